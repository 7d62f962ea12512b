import * as z from 'zod'
import { pagesInRange } from '../../backup/ranges/range.ts'
import { Column, type TablePart } from '../../backup/sections/database.ts'
import type { FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import type { Table } from '../catalog/table.ts'
import { fillBatches } from './batches.ts'

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

/**
 * Cuts a table into shards of about 64 MiB: where its base was cut, so that what did not change since is found again, or
 * anew. The last one is open-ended: rows may come after the pages were counted.
 * @param base the parts of an earlier backup of the table, none when there is no such
 * @see docs/decisions.md#shards-begin-where-those-of-the-base-did
 */
export function shardsOf(table: Table, base: readonly Pick<TablePart, 'pages'>[] = []): Shard[] {
  const bytesPerPage = table.bytes / Math.max(1, table.pages)
  const cuts = cutsOf(table.pages, stepOf(bytesPerPage), base)
  const within = (page: number) => Math.min(page, table.pages)
  return cuts.map((from, shard) => {
    const to = cuts[shard + 1] ?? null
    return {
      name: table.name,
      schema: table.schema,
      table: table.table,
      columns: table.columns,
      shard,
      pages: { from, to },
      bytes: Math.ceil((within(to ?? table.pages) - within(from)) * bytesPerPage),
    }
  })
}

/** Of whole ranges, or, where pages have so many bytes beside them, of a part of one that goes into it. */
function stepOf(bytesPerPage: number): number {
  const pages = Math.floor(shardBytes / Math.max(1, bytesPerPage))
  if (pages >= pagesInRange) return pages - (pages % pagesInRange)
  return 2 ** Math.floor(Math.log2(Math.max(1, pages)))
}

/** The pages at which shards begin. */
function cutsOf(pages: number, step: number, base: readonly Pick<TablePart, 'pages'>[]): number[] {
  const former = base.map((part) => part.pages.from)
  const keeps = former.length > 0 && isAboutAsNow(former, pages, step)
  const cuts = keeps ? former : [0]
  // Behind the base's last cut a shard may grow before it is cut, else it would be another one each night.
  const most = keeps ? 1.5 * step : step
  for (let from = cuts.at(-1) ?? 0; pages - from > most; cuts.push(from)) from += step
  return cuts
}

/** Not when the table has lost half of its pages since, or its rows have become so large that the shards are. */
function isAboutAsNow(former: readonly number[], pages: number, step: number): boolean {
  const [, second = 0] = former
  return pages >= (former.at(-1) ?? 0) / 2 && second <= 4 * step
}

/** The shards in batches of about `batchBytes` of Postgres, in order. */
export function batchesOf(shards: readonly Shard[], batchBytes: number): Shard[][] {
  return fillBatches(Map.groupBy(shards, ({ name }) => name).values(), batchBytes, ({ bytes }) => bytes)
}

export function bytesOf(shards: readonly Shard[]): number {
  return shards.reduce((sum, shard) => sum + shard.bytes, 0)
}
