import { counted } from '../amounts.ts'
import type { DatabaseSection } from '../backup/sections/database.ts'
import type { Selection } from '../store/selection.ts'
import type { Asked, Change, Words } from '../store/words.ts'
import type { DatabaseOption } from './schema/option.ts'
import type { DatabaseWould, TableWould } from './schema/plan-answer.ts'

export type DatabaseTold = {
  /** `tables`: of what became of it, the rows of each. */
  amount: { rows: number; tables?: object }
  found: DatabaseOption
  held: DatabaseSection
  would: DatabaseWould
  back: object
}

export const databaseWords: Words<DatabaseTold> = {
  unit: 'row',
  named: 'row',
  total: 'rows',
  count: ({ rows }) => rows,
  nothing: { rows: 0, tables: {} },
  backedUpIn: 'Export database',
  amount: ({ rows }: DatabaseTold['amount']) => counted(rows, 'row'),
  outcome: ({ rows, tables = {} }) => {
    const names = Object.keys(tables).length
    // A long outcome is kept without the names of its tables.
    return `${counted(rows, 'row')}${names === 0 && rows > 0 ? '' : ` in ${counted(names, 'table')}`}`
  },
  replaced:
    'All rows of these tables become those of the backup, also of tables that a reset would keep: rows that were changed since are changed back, rows that came since go, and rows that went come back.',
  parts: {
    changes: changesOf,
    would: ({ tables }) =>
      tables.map((table) => ({ what: table.name, holds: counted(table.rows, 'row'), would: fateOf(table) })),
  },
}

/** Each table of the database and of the backup. */
function changesOf(
  database: Asked<DatabaseOption>,
  held: DatabaseSection,
  { without = [] }: Selection,
): Change[] {
  const live = new Map(
    database.available ? database.tables.map(({ name, rows }) => [name, rows] as const) : [],
  )
  const names = new Set(held.tables.map(({ name }) => name))
  const nowOf = (name: string) => {
    const rows = live.get(name)
    if (!database.available) return `not known: ${database.reason.name}`
    return rows === undefined ? 'no such table' : rows === null ? 'not readable' : counted(rows, 'row')
  }
  const afterOf = (name: string, rows: number) => {
    if (without.includes(name)) return 'left out'
    return database.available && !live.has(name)
      ? 'refused: create it, or leave it out'
      : counted(rows, 'row')
  }
  return [
    ...held.tables.map(({ name, rows }) => ({ what: name, now: nowOf(name), after: afterOf(name, rows) })),
    ...[...live.keys()]
      .filter((name) => !names.has(name))
      .map((name) => ({ what: name, now: nowOf(name), after: 'stays: it is not in the backup' })),
  ]
}

function fateOf({ would, keptRows, rowsAfter }: TableWould): string {
  if (would === 'backed up') return 'would be backed up, and stay'
  if (would === 'kept') return 'would stay'
  if (would === 'replaced') return `would be replaced by the ${counted(rowsAfter, 'row')} of the backup`
  return keptRows === 0 ? 'would be wiped' : `would be wiped but for ${counted(keptRows, 'row')}`
}
