import { agreeing, counted, enumeration, number } from '../amounts.ts'
import type { DatabaseSection } from '../backup/sections/database.ts'
import type { Selection } from '../store/selection.ts'
import type { Asked, Change, DifferenceLine, Words } from '../store/words.ts'
import { tablesNamed } from './catalog/named.ts'
import type { BrokenKey, DatabaseDifference, TableDifference } from './schema/difference.ts'
import type { DatabaseOption } from './schema/option.ts'
import type { DatabaseCounts } from './schema/outcome.ts'
import type { DatabaseWould, TableWould } from './schema/plan-answer.ts'

export type DatabaseTold = {
  /** `tables`: of what became of it, the rows of each. */
  amount: { rows: number; tables?: object; takenOver?: DatabaseCounts['takenOver'] }
  found: DatabaseOption
  held: DatabaseSection
  would: DatabaseWould
  difference: DatabaseDifference
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
  ofBackup: ({ takenOver }) =>
    takenOver === undefined
      ? null
      : `the run's backup took over ${counted(takenOver.rows, 'row')} of ${takenOver.backupId}, and ${number(takenOver.exported)} were exported`,
  replaced: (preserves) =>
    `All rows of these tables become those of the backup${preserves ? ', also of tables that a reset would keep' : ''}: rows that were changed since are changed back, rows that came since go, and rows that went come back.`,
  differs: ({ tables, sequences, broken = [] }) => [
    ...tables.map(differenceLine),
    ...broken.map((key) => {
      const restore = `would be refused: ${rowsThatBreak(key)}`
      return { what: `foreign key ${key.name} of ${key.from}`, before: '', now: '', restore }
    }),
    ...sequences.map(({ name, before, now }) => ({
      what: `sequence ${name}`,
      before: before?.lastValue ?? 'none',
      now: now?.lastValue ?? 'none',
      restore: before === null ? 'would leave it' : now === null ? 'would be refused' : 'would set it back',
    })),
  ],
  parts: {
    changes: changesOf,
    would: ({ tables }) =>
      tables.map((table) => ({ what: table.name, holds: counted(table.rows, 'row'), would: fateOf(table) })),
  },
}

/** Of a foreign key that would not hold. */
export function rowsThatBreak({ from, to, coming, staying }: BrokenKey): string {
  const rows = [
    ...(coming > 0 ? [`${counted(coming, 'row')} that ${agreeing(coming, 'comes', 'come')} back`] : []),
    ...(staying > 0 ? [`${counted(staying, 'row')} that ${agreeing(staying, 'stays', 'stay')}`] : []),
  ]
  return `${enumeration(rows, 'and')} of ${from} would refer to no row of ${to}`
}

/** Each table of the database and of the backup. */
function changesOf(database: Asked<DatabaseOption>, held: DatabaseSection, selection: Selection): Change[] {
  const { without = [] } = selection
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
    const stays = stayOf(selection, held, name)
    if (stays !== null) return stays
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

/**
 * That a table of the backup is none of those that are put back; null: it is one. Its partitions and its foreign keys are not looked
 * at for a sentence, which a dry run does.
 */
function stayOf({ tables, includeParents }: Selection, held: DatabaseSection, name: string): string | null {
  if (tables === undefined) return null
  const named = [...tablesNamed(held.tables, tables)]
  if (named.some((table) => table.name === name)) return null
  const isPlain = tables.every((one) => tablesNamed(held.tables, [one]).size > 0)
  if (includeParents) return 'stays, unless what is named refers to it'
  return isPlain ? 'stays' : 'stays, unless it is a partition of what is named'
}

function differenceLine(table: TableDifference): DifferenceLine {
  const told = (rows: number | null) => (rows === null ? 'none' : counted(rows, 'row'))
  const now = table.obstacle === undefined ? told(table.now) : ''
  return { what: table.name, before: told(table.before), now, restore: restoreOf(table) }
}

function restoreOf({ before, now, extra, missing, changed, obstacle }: TableDifference): string {
  if (obstacle !== undefined) return `not compared: ${obstacle}`
  if (before === null) return 'would leave it'
  if (now === null) return 'would be refused: create it, or leave it out'
  const does = [
    ...(missing > 0 ? [`bring back ${counted(missing, 'row')}`] : []),
    ...(changed ? [`change back ${counted(changed, 'row')}`] : []),
    ...(extra > 0 ? [`remove ${counted(extra, 'row')}`] : []),
  ]
  // Of two backups it is the live table's, which may be gone.
  const asBoth = changed === null && missing > 0 && extra > 0
  return `would ${enumeration(does, 'and')}${asBoth ? ' (no primary key is known: a changed row is removed and brought back)' : ''}`
}

function fateOf({ would, keptRows, rowsAfter }: TableWould): string {
  if (would === 'backed up') return 'would be backed up, and stay'
  if (would === 'kept') return 'would stay'
  if (would === 'replaced') return `would be replaced by the ${counted(rowsAfter, 'row')} of the backup`
  return keptRows === 0 ? 'would be wiped' : `would be wiped but for ${counted(keptRows, 'row')}`
}
