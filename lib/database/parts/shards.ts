import * as z from 'zod'
import { Column } from '../../backup/sections/database.ts'
import type { FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import type { Table } from '../catalog/table.ts'

/** A shard: what becomes one part of the backup, a page range of one table. */
export const Shard = z.strictObject({
  name: z.string(),
  schema: z.string(),
  table: z.string(),
  columns: z.array(Column),
  shard: z.number(),
  pages: z.strictObject({ from: z.number(), to: z.number().nullable() }),
  /** Estimated bytes in Postgres, with TOAST. */
  bytes: z.number(),
})
export type Shard = z.output<typeof Shard>

/** With how its fingerprint is made. */
export type HashedShard = Shard & { fingerprints: FingerprintFormat }

const shardBytes = 64 * 2 ** 20

/** More batches than this would outgrow a state's payload; each batch takes more shards instead. */
const maxBatches = 1000

/** Cuts a table into shards of about 64 MiB. The last one is open-ended: rows may come after the pages were counted. */
export function shardsOf(table: Table): Shard[] {
  const bytesPerPage = table.bytes / Math.max(1, table.pages)
  const step = Math.max(1, Math.floor(shardBytes / Math.max(1, bytesPerPage)))
  const count = Math.max(1, Math.ceil(table.pages / step))
  return Array.from({ length: count }, (_, shard) => {
    const last = shard === count - 1
    const pages = last ? table.pages - shard * step : step
    return {
      name: table.name,
      schema: table.schema,
      table: table.table,
      columns: table.columns,
      shard,
      pages: { from: shard * step, to: last ? null : (shard + 1) * step },
      bytes: Math.ceil(pages * bytesPerPage),
    }
  })
}

/** Fills batches of about `batchBytes`, in order, at most 1,000; no tables give one empty batch less: none. */
export function batchesOf(shards: readonly Shard[], batchBytes: number): Shard[][] {
  const total = bytesOf(shards)
  const target = Math.max(batchBytes, total / (maxBatches / 2))
  const batches: Shard[][] = []
  let filled = Number.POSITIVE_INFINITY
  for (const shard of shards) {
    if (filled + shard.bytes > target) {
      batches.push([])
      filled = 0
    }
    batches.at(-1)?.push(shard)
    filled += shard.bytes
  }
  return batches
}

export function bytesOf(shards: readonly Shard[]): number {
  return shards.reduce((sum, shard) => sum + shard.bytes, 0)
}
