import { number } from '../../amounts.ts'
import type { Connection } from '../../postgres/connection.ts'
import { quote } from '../../postgres/identifiers.ts'
import { ownSearchPath, pinnedSearchPath } from '../../postgres/search-path.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { hashesOf, queryRows, type Rows, rowsOf } from '../rows.ts'
import type { DifferingRow } from '../schema/differing-rows.ts'
import { type Keys, type Looked, rowsLost } from './changed-rows.ts'
import { choosing } from './choose-rows.ts'
import { loadFrames } from './load-frames.ts'
import { framesOf, type StoredParts } from './stored-hashes.ts'

/** The first rows that differ, and by which columns those that changed are known; none where none did. */
export type FoundRows = { key: readonly string[]; rows: DifferingRow[] }

/** Of which table rows are wanted, at most so many of each kind, and what takes them; it is not asked where all are the same. */
export type WantedRows = { table: string; limit: number; take: (found: FoundRows) => void }

/** Characters: of a row, shared out among its columns, of which each has at least so many and at most so many. */
const most = { ofRow: 8192, ofValue: 500, leastOfValue: 16 }

type Values = (string | null)[]

/**
 * The first rows that differ. Of long values the server sends the beginning; of the backup those frames alone are read that hold
 * these rows, and each row is known by its hash, which is made again. In the transaction of findGroups or findHeldGroups, behind
 * countChanged.
 * @throws BackupDamaged when a row is not where the backup says
 * @see docs/decisions.md#rows-that-differ-are-told-to-who-may-restore
 */
export async function readDiffering(
  connection: Connection,
  bucket: Bucket,
  { table, groups, format, keys, limit }: Looked & { keys: Keys | null; limit: number },
): Promise<DifferingRow[]> {
  const chosen = `pg_temp.difference_chosen_${table.oid}`
  await connection.query(`${pinnedSearchPath}; ${choosing(chosen, { groups, keys, limit })}`)
  const picked = await connection.query(
    `SELECT kind, before::text AS before, now::text AS now FROM ${chosen} ORDER BY place`,
  )
  const before = await readStored(groups.stored, 'before')
  const now = 'now' in groups ? await readLive(groups.now) : await readStored(groups.later, 'now')
  const valuesOf = (found: ReadonlyMap<string, Values>, hash: string): Values => {
    const values = found.get(hash)
    if (values === undefined) throw rowsLost(table, 1)
    return values
  }
  return picked.rows.map(({ kind, ...of }) => {
    if (kind === 'extra') return { kind, now: valuesOf(now, of.now) }
    if (kind === 'missing') return { kind, before: valuesOf(before, of.before) }
    return { kind, before: valuesOf(before, of.before), now: valuesOf(now, of.now) }
  })

  async function readStored(of: StoredParts, side: 'before' | 'now'): Promise<Map<string, Values>> {
    const wanted = `(SELECT DISTINCT ${side} AS hash FROM ${chosen}) AS wanted`
    // Of equal rows one is enough: they have the same values.
    const first = `(SELECT s.hash, min(s.frame) AS frame FROM ${of.stored} AS s
      WHERE s.hash IN (SELECT ${side} FROM ${chosen}) GROUP BY s.hash) AS first`
    await connection.query(pinnedSearchPath)
    const frames = await framesOf(connection, { ...of, stored: first }, wanted)
    await connection.query(ownSearchPath)
    const found = new Map<string, Values>()
    await loadFrames(connection, bucket, { table, frames }, async (loaded) => {
      const hashes = `(${hashesOf(rowsOf(loaded, format), format)}) AS l`
      const tids = `SELECT DISTINCT ON (l.hash) l.hash, l.tid FROM ${hashes} JOIN ${wanted} USING (hash)`
      for (const [hash, values] of await readValues(loaded, tids)) found.set(hash, values)
    })
    return found
  }

  async function readLive(hashed: string): Promise<Map<string, Values>> {
    await connection.query(ownSearchPath)
    const wanted = `(SELECT DISTINCT now AS hash FROM ${chosen}) AS wanted`
    const tids = `SELECT DISTINCT ON (n.hash) n.hash, n.tid FROM ${hashed} AS n JOIN ${wanted} USING (hash)`
    return await readValues(table, tids)
  }

  async function readValues(rows: Rows, tids: string): Promise<Map<string, Values>> {
    const length = Math.floor(most.ofRow / Math.max(rows.columns.length, 1))
    const atMost = Math.max(most.leastOfValue, Math.min(most.ofValue, length))
    // Written by the output functions of their types: a cast of the application's might write otherwise.
    const texts = rows.columns.map(({ name }, at) => {
      const value = `v.${quote(name)}`
      return `CASE WHEN ${value} IS DISTINCT FROM NULL THEN pg_catalog.concat(${value}) END AS t${at}`
    })
    const each = (of: (text: string) => string, type: string) =>
      `pg_catalog.to_json(ARRAY[${texts.map((_, at) => of(`whole.t${at}`)).join(', ')}]::pg_catalog.${type}[])`
    // OFFSET 0 has each text made once.
    const whole = `SELECT ${texts.join(', ')} ${rowsOf(rows, format, null, 'r.ctid = found.tid')} OFFSET 0`
    const answers = await queryRows(
      connection,
      [rows],
      `SELECT found.hash::pg_catalog.text AS hash, ${each((text) => `pg_catalog."left"(${text}, ${atMost})`, 'text')} AS texts,
         ${each((text) => `pg_catalog.length(${text})`, 'int4')} AS lengths
       FROM (${tids}) AS found CROSS JOIN LATERAL (${whole}) AS whole`,
    )
    return new Map(
      answers.map(({ hash, texts, lengths }) => [
        hash,
        texts.map((text: string | null, at: number) => shortened(text, lengths[at], atMost)),
      ]),
    )
  }
}

function shortened(text: string | null, length: number | null, atMost: number): string | null {
  if (text === null || length === null || length <= atMost) return text
  return `${text}… (shortened; it has ${number(length)} characters)`
}
