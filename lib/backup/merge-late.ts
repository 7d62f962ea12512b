import type * as z from 'zod'
import { addFingerprints } from './fingerprint.ts'
import type { BackedUpTable, Late } from './manifest.ts'

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
