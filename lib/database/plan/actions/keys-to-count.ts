import type { Catalog } from '../../catalog/catalog.ts'
import type { Crossing } from '../../difference/keys/broken.ts'
import { isHeldAsText } from '../../scratch/schema.ts'
import type { TablePair } from '../../table-pair.ts'
import { crossingKeys } from './crossing-keys.ts'
import { families } from './families.ts'

/** More are not looked at: each takes some tables to work with, and a second look at the tables that differ. */
const most = 20

/**
 * The foreign keys of which a restore has to count rows: those that are asked of rows today, between managed tables, in columns that the
 * backup holds as they are. Of a key that is none of these the restore tells under its locks, as of all.
 */
export function keysToCount(
  catalog: Catalog,
  held: readonly { name: string }[],
  pairs: readonly TablePair[],
): Crossing[] {
  const backedUp = new Map(pairs.map(({ table }) => [table.name, table]))
  const notCompared = new Set(held.map(({ name }) => name).filter((name) => !backedUp.has(name)))
  const readable = catalog.tables.filter(({ name, mayRead }) => mayRead && !notCompared.has(name))
  const live = new Map(readable.map((table) => [table.name, table]))
  const back = new Set(backedUp.keys())
  const stays = new Set([...live.keys()].filter((name) => !back.has(name)))
  const { leavesBelow } = families(catalog.tables)
  const areHeld = (leaf: string, columns: readonly string[]) => {
    const of = backedUp.get(leaf) ?? live.get(leaf)
    return columns.every((name) => of?.columns.some((one) => one.name === name && !isHeldAsText(one)))
  }
  return crossingKeys(catalog, { back, stays })
    .filter(({ validated, operators }) => validated && operators.every((one) => one.endsWith('.=)')))
    .filter(({ from, to }) => [from, to].every((name) => leavesBelow(name).every((leaf) => live.has(leaf))))
    .filter(({ from, columns }) => leavesBelow(from).every((leaf) => areHeld(leaf, columns)))
    .filter(({ to, referenced }) => leavesBelow(to).every((leaf) => areHeld(leaf, referenced)))
    .slice(0, most)
    .map((key) => {
      const from = leavesBelow(key.from)
      const staying = from.flatMap((leaf) => (back.has(leaf) ? [] : (live.get(leaf) ?? [])))
      const to = Map.groupBy(leavesBelow(key.to), (leaf) => (back.has(leaf) ? 'back' : 'stays'))
      return {
        key,
        from: { back: from.filter((leaf) => back.has(leaf)), stays: staying },
        to: { back: to.get('back') ?? [], stays: to.get('stays') ?? [] },
      }
    })
}
