import type * as z from 'zod'
import { addFingerprints } from './fingerprint.ts'
import type { BackedUpTable, Late, Manifest } from './manifest.ts'

/** A backup's tables with late parts in the place of those they replace; totals are made anew. */
export function mergeLate(
  tables: readonly BackedUpTable[],
  late: z.output<typeof Late>['tables'],
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

/** A manifest with the parts, sequences and totals of its late file in place. */
export function withLate(manifest: Manifest, late: Late): Manifest & { late: number } {
  return {
    ...manifest,
    database: manifest.database && mergeDatabase(manifest.database, late),
    cache: manifest.cache && mergeCache(manifest.cache, late),
    late: late.attempt,
  }
}

function mergeDatabase(database: NonNullable<Manifest['database']>, late: Late): Manifest['database'] {
  const tables = mergeLate(database.tables, late.tables)
  return {
    ...database,
    tables,
    rows: tables.reduce((sum, { rows }) => sum + rows, 0),
    bytes: tables.flatMap(({ parts }) => parts).reduce((sum, { bytes }) => sum + bytes, 0),
    sequences: late.sequences,
  }
}

/** Late parts come last: of a key that is there twice, the later line counts. */
function mergeCache(cache: NonNullable<Manifest['cache']>, late: Late): Manifest['cache'] {
  if (late.cache === undefined) return cache
  return { ...cache, keys: cache.keys + late.cache.added, parts: [...cache.parts, ...late.cache.parts] }
}
