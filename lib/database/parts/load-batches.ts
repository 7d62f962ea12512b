import type { BackedUpTable, TableDefinition, TablePart } from '../../backup/sections/database.ts'

/** One part and the table it belongs to. */
export type LoadablePart = { table: TableDefinition; part: TablePart }

/** Compressed bytes that one invocation loads. */
const batchBytes = 256 * 2 ** 20
/** More would outgrow a state's payload. */
const maxBatches = 1000

/** Cuts a backup's parts into batches, always the same for the same backup. */
export function loadBatches(tables: readonly BackedUpTable[]): LoadablePart[][] {
  const parts = tables.flatMap((table) => table.parts.map((part) => ({ table, part })))
  const total = parts.reduce((sum, { part }) => sum + part.bytes, 0)
  const target = Math.max(batchBytes, total / (maxBatches / 2))
  const batches: LoadablePart[][] = []
  let filled = Number.POSITIVE_INFINITY
  for (const loadable of parts) {
    if (filled + loadable.part.bytes > target) {
      batches.push([])
      filled = 0
    }
    batches.at(-1)?.push(loadable)
    filled += loadable.part.bytes
  }
  return batches
}
