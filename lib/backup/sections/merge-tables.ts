import type { BackedUpTable, DatabaseSection, LateDatabaseSection } from './database.ts'
import { addFingerprints } from './fingerprint.ts'

/** The section with late parts, their totals, and their sequences in place. */
export function mergeDatabase(database: DatabaseSection, late: LateDatabaseSection): DatabaseSection {
  const tables = mergeLate(database.tables, late.tables)
  return {
    ...database,
    tables,
    rows: tables.reduce((sum, { rows }) => sum + rows, 0),
    bytes: tables.flatMap(({ parts }) => parts).reduce((sum, { bytes }) => sum + bytes, 0),
    sequences: late.sequences,
  }
}

/** A backup's tables with late parts in the place of those they replace; totals are made anew. */
export function mergeLate(
  tables: readonly BackedUpTable[],
  late: LateDatabaseSection['tables'],
): BackedUpTable[] {
  const replacements = new Map(
    late.map(({ name, parts }) => [name, new Map(parts.map((part) => [part.shard, part]))]),
  )
  return tables.map((table) => {
    const replaced = replacements.get(table.name)
    if (replaced === undefined) return table
    const parts = table.parts.map((part) => replaced.get(part.shard) ?? part)
    return {
      ...table,
      parts,
      rows: parts.reduce((sum, part) => sum + part.rows, 0),
      fingerprint: addFingerprints(parts.map((part) => part.fingerprint)),
    }
  })
}
