import type { Keys } from './changed-rows.ts'
import type { Groups } from './groups.ts'
import type { HeldGroups } from './held-groups.ts'

type Differing = { groups: Groups | HeldGroups; keys: Keys | null; limit: number }

/**
 * Statements that make a TEMP table of the first rows that differ, at most so many of each kind, by their hashes: `before` of a row of the
 * backup, `now` of one of the other side. Of a group as many rows are taken as one side has more than the other, so that equal
 * rows count as often as they are there. With pg_catalog on the search path.
 */
export function choosing(chosen: string, differing: Differing): string {
  const { keys } = differing
  return `CREATE TEMP TABLE ${chosen} (place int4 GENERATED ALWAYS AS IDENTITY, kind text, before int8, now int8) ON COMMIT DROP;
    ${keys === null ? byPlace(chosen, differing) : byKey(chosen, { ...differing, keys })}; ANALYZE ${chosen}`
}

/** As they lie in the table, or in the backup. */
function byPlace(chosen: string, { groups, limit }: Differing): string {
  const first = (side: string, place: string, which: '<' | '>') =>
    `SELECT hash FROM (${surplusOf(groups.groups, { side, fields: `s.${place} AS spot`, which })}) AS one ORDER BY spot LIMIT ${limit}`
  const extra = 'now' in groups ? first(groups.now, 'tid', '>') : first(groups.later.stored, 'ctid', '>')
  const missing = first(groups.stored.stored, 'ctid', '<')
  return `INSERT INTO ${chosen} (kind, now) SELECT 'extra', hash FROM (${extra}) AS found;
    INSERT INTO ${chosen} (kind, before) SELECT 'missing', hash FROM (${missing}) AS found`
}

/** By the primary key's text, a shorter one first, which is the order of numbers; it tells which row is which. */
function byKey(chosen: string, { groups, keys, limit }: Differing & { keys: Keys }): string {
  const numbered = (side: string, which: '<' | '>') =>
    `SELECT hash, key, row_number() OVER (PARTITION BY key ORDER BY hash) AS nth
     FROM (${surplusOf(groups.groups, { side, fields: 's.key', which })}) AS one`
  return `INSERT INTO ${chosen} (kind, before, now)
    WITH pairs AS (SELECT t.hash AS before, n.hash AS now, key FROM (${numbered(keys.then, '<')}) AS t
        FULL JOIN (${numbered(keys.now, '>')}) AS n USING (key, nth)),
      placed AS (SELECT before, now, CASE WHEN before IS NULL THEN 1 WHEN now IS NULL THEN 2 ELSE 3 END AS kind,
        row_number() OVER (PARTITION BY before IS NULL, now IS NULL ORDER BY length(key), key COLLATE "C") AS nth FROM pairs)
    SELECT (ARRAY['extra', 'missing', 'changed'])[kind], before, now FROM placed WHERE nth <= ${limit} ORDER BY kind, nth`
}

/** The rows of one side that it has more often than the other. */
function surplusOf(
  groups: string,
  { side, fields, which }: { side: string; fields: string; which: '<' | '>' },
): string {
  return `SELECT * FROM (SELECT s.hash, ${fields}, row_number() OVER (PARTITION BY s.hash ORDER BY s.ctid) AS copy, abs(g.surplus) AS surplus
      FROM ${side} AS s JOIN ${groups} AS g USING (hash) WHERE g.surplus ${which} 0) AS each WHERE copy <= surplus`
}
