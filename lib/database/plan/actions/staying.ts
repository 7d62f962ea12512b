import type { BackedUpSequence, BackedUpTable } from '../../../backup/sections/database.ts'
import { InvalidRequest, PreservationConflict } from '../../../errors.ts'
import type { StoreOperation } from '../../../operations.ts'
import type { Selection } from '../../../store/selection.ts'
import type { Catalog } from '../../catalog/catalog.ts'
import { tablesNamed } from '../../catalog/named.ts'
import { families } from './families.ts'
import { checkNames, type Preservation, shortList, shortNames } from './table-actions.ts'

type Held = {
  tables: readonly Pick<BackedUpTable, 'name' | 'table'>[]
  sequences: readonly Pick<BackedUpSequence, 'name'>[]
}

type Asked = { operation: StoreOperation; preserve: Preservation; selection: Selection }

/**
 * Which tables and sequences of a backup stay as they are, although they are there: for a reset that goes back to the backup those that are
 * preserved or excluded, for a restore those that are excluded by now, which no safety backup would hold, and for one of some
 * tables all others. What is said of a partitioned table holds for its
 * partitions. A sequence stays with a table that uses it; of a restore of some tables comes back only what none but these use.
 * @throws InvalidRequest for a name that is none, or of a table that is excluded; PreservationConflict for rows that were to be
 *   kept of a table that is put back
 */
export function stayingOf(catalog: Catalog, held: Held, { operation, preserve, selection }: Asked): string[] {
  if (operation === 'reset-to') return preservedOf(catalog, held, preserve)
  const { excluded } = preserve
  if (selection.tables === undefined) return preservedOf(catalog, held, { tables: [], rows: {}, excluded })
  const selected = selectedOf(catalog, held, { ...selection, tables: selection.tables })
  refuseExcluded(catalog, selected, excluded)
  const { leavesBelow } = families(catalog.tables)
  const isSelected = (name: string) => {
    const leaves = leavesBelow(name)
    return leaves.length > 0 && leaves.every((leaf) => selected.has(leaf))
  }
  const users = new Map(catalog.sequences.map(({ name, usedBy }) => [name, usedBy]))
  const comesBack = ({ name }: { name: string }) => {
    const usedBy = users.get(name) ?? []
    return usedBy.length > 0 && usedBy.every(isSelected)
  }
  return [
    ...held.tables.filter(({ name }) => !selected.has(name)),
    ...held.sequences.filter((sequence) => !comesBack(sequence)),
  ].map(({ name }) => name)
}

function preservedOf(catalog: Catalog, held: Held, { tables, rows, excluded }: Preservation): string[] {
  checkNames(catalog, [...tables, ...excluded, ...Object.keys(rows)])
  const isOf = namedIn(catalog)
  const kept = new Set(catalog.tables.filter(isOf([...tables, ...excluded])).map(({ name }) => name))
  const back = new Set(held.tables.filter(({ name }) => !kept.has(name)).map(({ name }) => name))
  for (const [name, condition] of Object.entries(rows)) {
    const replaced = catalog.tables.filter((table) => back.has(table.name)).find(isOf([name]))
    if (replaced === undefined) continue
    throw new PreservationConflict(
      `Rows of ${name} are to be kept (${condition}), and a reset to a backup puts the rows of ${replaced.name} back as the backup holds them. Nothing was touched; preserve the whole table ${name}, or take its condition out of PRESERVE_ROWS`,
    )
  }
  const stays = new Set(
    catalog.sequences.filter(({ usedBy }) => usedBy.some((table) => kept.has(table))).map(({ name }) => name),
  )
  return [
    ...held.tables.filter(({ name }) => kept.has(name)),
    ...held.sequences.filter(({ name }) => stays.has(name)),
  ].map(({ name }) => name)
}

/** Whether one of the names is that of a table, or of a partitioned one above it. */
function namedIn({ tables }: Catalog) {
  const { familyOf } = families(tables)
  return (names: readonly string[]) => {
    const named = tablesNamed(tables, names)
    return (table: (typeof tables)[number]) => familyOf(table).some((member) => named.has(member))
  }
}

function refuseExcluded(catalog: Catalog, selected: ReadonlySet<string>, excluded: readonly string[]): void {
  const tables = catalog.tables.filter(namedIn(catalog)(excluded)).filter(({ name }) => selected.has(name))
  if (tables.length === 0) return
  throw new InvalidRequest(
    `${shortNames(tables)} would be put back, and EXCLUDE_TABLES says that it is left alone: no safety backup would hold its rows. Nothing was touched; take it out of EXCLUDE_TABLES, or restore other tables`,
  )
}

/** The tables that are put back. @throws InvalidRequest for a name that no table of the backup has, or several */
function selectedOf(
  { tables: live, foreignKeys }: Catalog,
  held: Held,
  {
    tables: names,
    includeParents = false,
  }: { tables: readonly string[]; includeParents?: boolean | undefined },
): Set<string> {
  const { familyOf, leavesBelow } = families(live)
  const known = new Map(live.map((table) => [table.name, table]))
  // With the partitioned tables above them, which no backup holds.
  const called = new Map(held.tables.map((table) => [table, [table, ...familyOf(known.get(table.name))]]))
  const all = [...new Map([...called.values()].flat().map((table) => [table.name, table])).values()]
  const meant = names.map((name) => ({ name, tables: [...tablesNamed(all, [name])] }))
  const unknown = meant.filter(({ tables }) => tables.length === 0).map(({ name }) => name)
  if (unknown.length > 0) {
    throw new InvalidRequest(
      `The backup does not hold ${shortList(unknown)}, so "tables" cannot put it back. Tables there: ${shortNames(held.tables)}. Correct the name, as schema.table or table`,
    )
  }
  const ambiguous = meant.find(({ tables }) => tables.length > 1)
  if (ambiguous !== undefined) {
    throw new InvalidRequest(
      `The backup holds several tables ${ambiguous.name}: ${shortNames(ambiguous.tables)}. Say in "tables" which are to be put back, as schema.table`,
    )
  }
  const wanted = new Set(meant.flatMap(({ tables }) => tables.map(({ name }) => name)))
  const inBackup = new Set(held.tables.map(({ name }) => name))
  const selected = new Set(
    [...called].filter(([, family]) => family.some(({ name }) => wanted.has(name))).map(([{ name }]) => name),
  )
  for (let before = -1; includeParents && before !== selected.size; ) {
    before = selected.size
    for (const { from, to } of foreignKeys) {
      if (!leavesBelow(from).some((leaf) => selected.has(leaf))) continue
      for (const leaf of leavesBelow(to)) if (inBackup.has(leaf)) selected.add(leaf)
    }
  }
  return selected
}
