import type { Warning } from '../../../backup/manifest.ts'
import type { DatabaseSection } from '../../../backup/sections/database.ts'
import type { Connection } from '../../../postgres/connection.ts'
import type { Catalog } from '../../catalog/catalog.ts'
import { readPositions } from '../../catalog/sequences.ts'
import { shortList } from './table-actions.ts'

/**
 * Sequences that stay, because a table that stays uses them, where a table that is put back does, too, and has higher numbers
 * in the backup than they have given by now: its next rows would get numbers that are there.
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
  const behind = positions.filter(
    ({ name, lastValue }) => BigInt(lastValue) < BigInt(then.get(name)?.lastValue ?? 0),
  )
  if (behind.length === 0) return []
  const named = behind.map(
    ({ name, lastValue }) => `${name} (at ${lastValue}, in the backup at ${then.get(name)?.lastValue})`,
  )
  const message = `Sequences that tables which stay use as well are left where they are, behind numbers that come back: ${shortList(named)}. Set them afterwards (SELECT setval), or new rows meet rows that are there`
  return [{ code: 'SequencesBehind', message }]
}
