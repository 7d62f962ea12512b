import type { Warning } from '../../../backup/manifest.ts'
import type { DatabaseSection } from '../../../backup/sections/database.ts'
import type { Connection } from '../../../postgres/connection.ts'
import { plainName } from '../../../postgres/identifiers.ts'
import type { Catalog } from '../../catalog/catalog.ts'
import { readPositions } from '../../catalog/sequences.ts'
import { shortList } from './table-actions.ts'

/**
 * Sequences that stay, because a table that stays uses them, where a table that is put back does, too, and are further in the
 * backup than they are by now, up or down: its next rows would get numbers that are there.
 */
export async function warnOfSequencesBehind(
  connection: Connection,
  catalog: Pick<Catalog, 'sequences'>,
  {
    held,
    stays,
    back,
  }: { held: Pick<DatabaseSection, 'sequences'>; stays: ReadonlySet<string>; back: ReadonlySet<string> },
): Promise<Warning[]> {
  const then = new Map(held.sequences.map((one) => [one.name, one]))
  const shared = catalog.sequences.filter(
    ({ name, mayRead, usedBy }) =>
      mayRead && then.has(name) && stays.has(name) && usedBy.some((table) => back.has(table)),
  )
  const positions = await readPositions(connection, shared)
  const down = await readDescending(connection, shared)
  const behind = positions.filter((now) => {
    const held = then.get(now.name)
    if (held === undefined) return false
    if (now.lastValue === held.lastValue) return held.isCalled && !now.isCalled
    return BigInt(now.lastValue) < BigInt(held.lastValue) !== down.has(now.name)
  })
  if (behind.length === 0) return []
  const named = behind.map(
    ({ name, lastValue }) => `${name} (at ${lastValue}, in the backup at ${then.get(name)?.lastValue})`,
  )
  const message = `Sequences that tables which stay use as well are left where they are, behind numbers that come back: ${shortList(named)}. Set them afterwards (SELECT setval), or new rows meet rows that are there`
  return [{ code: 'SequencesBehind', message }]
}

/** The names of those that count down. */
async function readDescending(
  connection: Connection,
  sequences: readonly { name: string }[],
): Promise<Set<string>> {
  const { rows } = await connection.query(
    `SELECT name FROM (SELECT ${plainName('n.nspname', 'c.relname')} AS name FROM pg_sequence q
       JOIN pg_class c ON c.oid = q.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE q.seqincrement < 0) AS d
     WHERE name = ANY($1)`,
    [sequences.map(({ name }) => name)],
  )
  return new Set(rows.map(({ name }) => name))
}
