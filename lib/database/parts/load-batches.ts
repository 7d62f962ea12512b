import type { FrameAt } from '../../backup/ranges/read-frames.ts'
import type { BackedUpTable, TableDefinition, TablePart } from '../../backup/sections/database.ts'
import { fillBatches } from './batches.ts'

/** One part and the table it belongs to. */
export type LoadablePart = {
  table: TableDefinition
  part: TablePart
  /** Those of its ranges that are loaded, by their place, from (inclusive) to (exclusive); absent: all of it is. */
  ranges?: readonly (readonly [number, number])[]
  /** The same, by where their frames lie in the object. */
  frames?: readonly FrameAt[]
}

/** Compressed bytes that one invocation loads. */
const batchBytes = 256 * 2 ** 20
/** Cuts a backup's parts into batches, always the same for the same backup. */
export function loadBatches(tables: readonly BackedUpTable[]): LoadablePart[][] {
  const ofTables = tables.map((table) => table.parts.map((part) => ({ table, part })))
  return fillBatches<LoadablePart>(ofTables, batchBytes, ({ part }) => part.bytes)
}
