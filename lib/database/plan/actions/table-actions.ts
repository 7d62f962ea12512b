import { InvalidRequest, PreservationConflict } from '../../../errors.ts'
import type { Catalog } from '../../catalog/catalog.ts'
import type { ForeignKey } from '../../catalog/foreign-keys.ts'
import { tablesNamed } from '../../catalog/named.ts'
import type { Table } from '../../catalog/table.ts'
import type { UnmanagedChild } from '../../catalog/unmanaged-children.ts'
import type { Action } from '../../schema/plan.ts'
import { families } from './families.ts'

export type TableAction = { table: Table; action: Action; keepRows: string | null }

/** What is to be kept, from the configuration and the request together. Names are `schema.table`, or `table` alone. */
export type Preservation = { tables: string[]; rows: Record<string, string>; excluded: string[] }

export type TableActions = {
  tables: TableAction[]
  /** Managed by schema, but left out of backup and wipe, with the reason. */
  unmanaged: { name: string; reason: string }[]
  /** Of the tables below managed ones that are not managed: those that EXCLUDE_TABLES does not name. */
  outside: UnmanagedChild[]
  /** Sequences that start again, as `schema.sequence`. */
  restart: { name: string; schema: string; table: string }[]
  /** Foreign keys for which it depends on the rows whether what is kept needs what goes; see kept-rows.ts. */
  dependsOnRows: ForeignKey[]
  /** Tables that stay, but that the ON DELETE action of a foreign key is tried on: their triggers would fire. */
  reached: { oid: number; sql: string }[]
}

/**
 * Decides what a wipe of the database does: a pure function of the catalog and of what is to be kept.
 * @throws InvalidRequest when a name that is to be kept does not exist (a typo must not cost a table)
 * @throws PreservationConflict when what is kept references what goes
 * @see docs/decisions.md#a-preserved-table-is-still-backed-up
 */
export function chooseActions(catalog: Catalog, keep: Preservation): TableActions {
  checkNames(catalog, [...keep.tables, ...keep.excluded, ...Object.keys(keep.rows)])
  const { familyOf } = families(catalog.tables)
  const outOfReach = tablesNamed(catalog.tables, keep.excluded)
  const excluded = catalog.tables.filter((table) => familyOf(table).some((one) => outOfReach.has(one)))
  const managed = catalog.tables.filter((table) => !excluded.includes(table))
  const said = {
    whole: tablesNamed(catalog.tables, keep.tables),
    rows: Object.entries(keep.rows).map(([name, condition]) => ({
      of: tablesNamed(catalog.tables, [name]),
      condition,
    })),
  }
  const actions = actionsOf(managed, catalog.foreignKeys, said, familyOf)
  const actionOf = new Map(actions.map(({ table, action }) => [table.name, action]))
  const isExcluded = (table: { name: string }) => keep.excluded.some((name) => isCalled(table, name))
  const conflicts = catalog.foreignKeys.filter(
    (key) => (actionOf.get(key.from) ?? 'keep') === 'keep' && isEmptied(actionOf.get(key.to)),
  )
  if (conflicts.length > 0)
    throw new PreservationConflict(
      shortList(
        conflicts.map((key) => explain(key, managed)),
        '\n',
      ),
    )
  return {
    tables: actions,
    unmanaged: [
      ...leftAlone(catalog).map((one) => (isExcluded(one) ? { ...one, reason: byExclusion } : one)),
      ...excluded.map(({ name }) => ({ name, reason: byExclusion })),
    ],
    outside: catalog.outside.filter((table) => !isExcluded(table)),
    restart: catalog.sequences
      .filter(
        (sequence) =>
          sequence.usedBy.length > 0 && sequence.usedBy.every((table) => isEmptied(actionOf.get(table))),
      )
      .map(({ name, schema, table }) => ({ name, schema, table })),
    dependsOnRows: catalog.foreignKeys.filter((key) => {
      if (key.derived) return false // no key is made from partition to partition; the one above them holds for both
      const from = actionOf.get(key.from) ?? 'keep'
      const to = actionOf.get(key.to) ?? 'keep'
      return (from === 'delete rows' && to !== 'keep') || (from === 'keep' && to === 'delete rows')
    }),
    reached: catalog.foreignKeys
      .filter(
        ({ from, to, onDelete }) =>
          'cnd'.includes(onDelete) &&
          (actionOf.get(from) ?? 'keep') === 'keep' &&
          (actionOf.get(to) ?? 'keep') !== 'keep',
      )
      .map(({ fromOid, fromSql }) => ({ oid: fromOid, sql: fromSql })),
  }
}

/** Why a table is not backed up that the configuration names. */
export const byExclusion = 'excluded by EXCLUDE_TABLES'

/** The tables of the managed schemas, or below tables of theirs, that are not managed. */
function leftAlone({ unmanaged, outside }: Catalog): { name: string; reason: string }[] {
  const known = new Set(unmanaged.map(({ name }) => name))
  return [
    ...unmanaged,
    ...outside
      .filter(({ name }) => !known.has(name))
      .map(({ name, of, partition }) => ({
        name,
        reason: `${partition ? 'a partition' : 'an heir'} of ${of} in a schema that is not managed`,
      })),
  ]
}

function actionsOf(
  managed: readonly Table[],
  foreignKeys: readonly ForeignKey[],
  said: Said,
  familyOf: (table: Table) => Table[],
): TableAction[] {
  const chosen = new Map(managed.map((table) => [table.name, chooseAlone(table, familyOf(table), said)]))
  for (let changed = true; changed; ) {
    changed = false
    const turnTo = (action: 'delete' | 'delete rows', entry: TableAction | undefined) => {
      if (!isEmptied(entry?.action) || entry.action === action) return
      entry.action = action
      changed = true
    }
    // TRUNCATE of a partitioned table takes every partition along, also one that is kept or not managed.
    for (const entry of chosen.values()) {
      const below = entry.table.partitions.map((name) => chosen.get(name)?.action)
      if (below.some((action) => !isEmptied(action))) turnTo('delete rows', entry)
      else if (below.includes('delete')) turnTo('delete', entry)
    }
    // TRUNCATE is refused while any table outside the same statement references one inside it.
    for (const { from, to } of foreignKeys) {
      const referencing = chosen.get(from)?.action
      if (referencing === 'delete' || referencing === 'delete rows') turnTo('delete', chosen.get(to))
    }
  }
  return [...chosen.values()]
}

type Said = { whole: ReadonlySet<Table>; rows: { of: ReadonlySet<Table>; condition: string }[] }

function chooseAlone(table: Table, family: readonly Table[], { whole, rows }: Said): TableAction {
  if (family.some((one) => whole.has(one))) return { table, action: 'keep', keepRows: null }
  const conditions = rows.flatMap(({ of, condition }) =>
    family.some((one) => of.has(one)) ? [condition] : [],
  )
  const either = conditions.length > 1 ? conditions.map((one) => `(${one})`).join(' OR ') : conditions[0]
  if (either === undefined) return { table, action: 'truncate', keepRows: null }
  return { table, action: 'delete rows', keepRows: table.partitioned ? null : either }
}

function isEmptied(action: Action | undefined): action is 'truncate' | 'delete' {
  return action === 'truncate' || action === 'delete'
}

/** @throws InvalidRequest for a name that is to be kept and that no table has, managed or not */
export function checkNames(catalog: Catalog, names: readonly string[]): void {
  for (const name of names) {
    if (tablesNamed(catalog.tables, [name]).size > 0) continue
    if (leftAlone(catalog).some((table) => isCalled(table, name))) continue
    throw new InvalidRequest(
      `The table ${name} is to be kept, but does not exist in the managed schemas. Tables there: ${shortNames([...catalog.tables, ...catalog.unmanaged])}. Correct the name in the request, or in PRESERVE_TABLES, PRESERVE_ROWS or EXCLUDE_TABLES`,
    )
  }
}

/** Of a table that is not managed: by its name with the schema or without. */
function isCalled(table: { name: string }, name: string): boolean {
  return table.name === name || table.name.endsWith(`.${name}`)
}

function explain(key: ForeignKey, managed: readonly Table[]): string {
  const kept = managed.some(({ name }) => name === key.from)
    ? { what: 'is to be kept', way: `do not preserve ${key.from}` }
    : {
        what: 'is not managed',
        way: `let ${key.from} be managed (DATABASE_SCHEMAS, EXCLUDE_TABLES) so that it is wiped too`,
      }
  return `${key.from} ${kept.what} and references ${key.to} (${key.name}), which would be wiped. Either preserve ${key.to} too, or ${kept.way}`
}

/** The names of at most 20 of them. */
export function shortNames(items: readonly { name: string }[]): string {
  return shortList(items.map(({ name }) => name))
}

/** At most 20 of them. */
export function shortList(items: readonly string[], separator = ', '): string {
  const shown = items.slice(0, 20).join(separator)
  return items.length <= 20 ? shown : `${shown}${separator}and ${items.length - 20} more`
}
