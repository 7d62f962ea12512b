import type * as z from 'zod'
import { putOnce } from '../../backup/documents/write-once.ts'
import { workKeys } from '../../backup/layout.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import type { Clients } from '../../clients.ts'
import type { Config } from '../../config/variables.ts'
import type { Planning } from '../../store.ts'
import type { Table } from '../catalog/table.ts'
import type { BaseTable, DatabaseBatch } from '../export/batch.ts'
import { batchesOf, type Shard, shardsOf } from '../parts/shards.ts'

/** What the base holds of tables, by name. */
type Held = ReadonlyMap<string, BackedUpTable>

/** The batches in which the tables are exported. */
export function cutBatches(
  tables: readonly { table: Table }[],
  base: Held,
  { EXPORT_BATCH_BYTES }: Pick<Config, 'EXPORT_BATCH_BYTES'>,
): Shard[][] {
  const shards = tables
    .filter(({ table }) => !table.partitioned)
    .flatMap(({ table }) => shardsOf(table, base.get(table.name)?.parts))
  return batchesOf(shards, EXPORT_BATCH_BYTES)
}

/** Writes the batches for the export, each with what the base holds of its tables. @returns how many there are */
export async function putBatches(
  { backups }: Pick<Clients, 'backups'>,
  { run, takesBackup, dryRun }: Pick<Planning, 'run' | 'takesBackup' | 'dryRun'>,
  batches: readonly Shard[][],
  base: Held,
): Promise<number> {
  if (takesBackup && !dryRun) {
    const all = Map.groupBy(batches.flat(), ({ name }) => name)
    for (const [batch, shards] of batches.entries()) {
      const tables = [...Map.groupBy(shards, ({ name }) => name)].flatMap(([name, own]) => {
        const held = base.get(name)
        return held === undefined ? [] : [tableOf(held, own, own.length === all.get(name)?.length)]
      })
      const work: z.input<typeof DatabaseBatch> = { batch, shards, base: tables }
      await putOnce(backups, workKeys(run).databaseBatch(batch), work)
    }
  }
  return batches.length
}

/** @param shards those of the table in one batch, which follow each other */
function tableOf(
  { name, rows, fingerprint, parts }: BackedUpTable,
  shards: readonly Shard[],
  isWhole: boolean,
): BaseTable {
  const end = (page: number | null | undefined) => page ?? Number.POSITIVE_INFINITY
  const [from, to] = [shards[0]?.pages.from ?? 0, end(shards.at(-1)?.pages.to)]
  const among = ({ pages }: BaseTable['parts'][number]) => pages.from < to && from < end(pages.to)
  return { name, rows, fingerprint, isWhole, parts: isWhole ? parts : parts.filter(among) }
}
