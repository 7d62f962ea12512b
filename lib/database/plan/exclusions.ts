import type { Warning } from '../../backup/manifest.ts'
import type { Backup } from '../../backup/read.ts'
import { InvalidRequest } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Selection } from '../../store/selection.ts'
import type { Planning } from '../../store.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { checkSchema } from '../catalog/schema-differences.ts'
import { crossingIn, crossingKeys, warnOfCrossing } from './actions/crossing-keys.ts'
import { warnOfSequencesBehind } from './actions/shared-sequences.ts'
import { shortList } from './actions/table-actions.ts'

/** What of a backup a restore does not put back, as `schema.table`: all that is loaded, compared and swapped goes by it. */
export function leftOutBy({ without = [] }: Selection): string[] {
  return without
}

/** @throws InvalidRequest for a name that the backup does not hold */
export function checkSelection(backup: Backup, selection: Selection): void {
  leaveOut(backup, leftOutBy(selection))
}

/**
 * A backup without the tables and sequences that `names` says, as `schema.table`: what is no longer there cannot be put back.
 * @throws InvalidRequest for a name that the backup does not hold
 */
export function leaveOut(backup: Backup, names: readonly string[]): Backup {
  if (names.length === 0) return backup
  const { database } = backup
  const held = new Set([...(database?.tables ?? []), ...(database?.sequences ?? [])].map(({ name }) => name))
  const unknown = names.filter((name) => !held.has(name))
  if (unknown.length > 0) {
    throw new InvalidRequest(
      `The backup ${backup.backupId} does not hold ${unknown.join(', ')}, so "without" cannot leave it out. Correct the name, as schema.table`,
    )
  }
  if (database === null) return backup
  const left = new Set(names)
  const stays = ({ name }: { name: string }) => !left.has(name)
  const tables = database.tables.filter(stays)
  const parts = tables.flatMap((table) => table.parts)
  return {
    ...backup,
    database: {
      ...database,
      tables,
      rows: tables.reduce((sum, { rows }) => sum + rows, 0),
      bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
      sequences: database.sequences.filter(stays),
    },
  }
}

/**
 * What is not put back of a backup, and what comes back otherwise because of it.
 * @throws InvalidRequest for a name of "without" that is still there; SchemaChanged when the rest does not fit the tables
 */
export async function warnOfBackup(
  connection: Connection,
  catalog: Catalog,
  {
    backup,
    toLoad,
    stays,
    ...asked
  }: Pick<Planning, 'operation' | 'selection' | 'dryRun'> & {
    backup: Backup
    toLoad: Backup | null
    stays: readonly string[]
  },
): Promise<Warning[]> {
  const warnings = warnOfLeftOut(backup, leftOutBy(asked.selection), catalog)
  if (backup.database && stays.length > 0) {
    const back = new Set(toLoad?.database?.tables.map(({ name }) => name))
    const between = { back, stays: new Set(stays) }
    warnings.push(
      ...(await warnOfSequencesBehind(connection, catalog, { held: backup.database, ...between })),
    )
    if (asked.dryRun && crossingIn(asked) === 'refuse')
      warnings.push(...warnOfCrossing(crossingKeys(catalog, between)))
    if (asked.operation === 'restore' && asked.selection.tables === undefined)
      warnings.push(...warnOfExcluded(backup.database, between.stays))
  }
  if (toLoad?.database) warnings.push(...warnOfLaterColumns(checkSchema(toLoad.database, catalog)))
  return warnings
}

/**
 * What a restore does not put back because the request says so, with the rows that are lost with it.
 * @throws InvalidRequest for a table or a sequence that is still there: it would keep rows of another time
 */
function warnOfLeftOut(backup: Backup, names: readonly string[], catalog: Catalog): Warning[] {
  const present = [...catalog.tables, ...catalog.sequences].find(({ name }) => names.includes(name))
  if (present !== undefined) {
    throw new InvalidRequest(
      `${present.name} is there, so a restore puts it back with the others: "without" leaves out only what was dropped. Take it out of the list`,
    )
  }
  return notPutBack(
    (backup.database?.tables ?? []).filter(({ name }) => names.includes(name)),
    '"without" names them',
  )
}

/** What a restore leaves as it is because it is excluded by now, though the backup holds it. */
function warnOfExcluded({ tables }: NonNullable<Backup['database']>, stays: ReadonlySet<string>): Warning[] {
  return notPutBack(
    tables.filter(({ name }) => stays.has(name)),
    'EXCLUDE_TABLES names them, so that they stay as they are',
  )
}

function notPutBack(tables: readonly { name: string; rows: number }[], why: string): Warning[] {
  if (tables.length === 0) return []
  const named = tables.map(({ name, rows }) => `${name} (${rowsAre(rows)})`)
  return [
    {
      code: 'TablesLeftOut',
      message: `Of the backup, and not put back because ${why}: ${shortList(named)}`,
    },
  ]
}

/** Columns that a restore leaves there, and fills anew. */
export function warnOfLaterColumns(columns: readonly string[]): Warning[] {
  if (columns.length === 0) return []
  const message = `Columns that came after the backup get their default in the restored rows: ${columns.join(', ')}`
  return [{ code: 'NewColumns', message }]
}

type CountedTable = { table: { name: string; partitioned: boolean; parents: string[] }; rows: number }

/** Tables that a restore leaves with their rows, because they came after the backup. */
export function warnOfLaterTables(backup: Backup, tables: readonly CountedTable[]): Warning[] {
  const held = new Set((backup.database?.tables ?? []).map(({ name }) => name))
  const later = tables.filter(({ table, rows }) => !table.partitioned && rows > 0 && !held.has(table.name))
  if (later.length === 0) return []
  const named = later.map(({ table: { name, parents }, rows }) =>
    parents.length === 0
      ? `${name} (${rowsAre(rows)})`
      : `${name} (${rowsAre(rows)}, a partition of ${parents.join(' and ')})`,
  )
  const more = named.length > 20 ? ` and ${named.length - 20} more` : ''
  return [
    {
      code: 'TablesNotInBackup',
      message: `Tables that the backup does not hold keep their rows: ${named.slice(0, 20).join(', ')}${more}`,
    },
  ]
}

function rowsAre(rows: number): string {
  return rows === 1 ? '1 row' : `${rows} rows`
}
