import type * as z from 'zod'
import { findJson, getJson } from '../../backup/documents/read.ts'
import { workKeys } from '../../backup/layout.ts'
import type { RunRow } from '../../ledger/runs.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { Nullable } from '../../store/sections.ts'
import { perStore, type Target, targets } from '../../store.ts'
import { type Differences, differenceSchemas } from '../../stores.ts'

/**
 * What the run found of each store, beside a backup; null of one: the backup does not hold it, or it was not come to.
 * @param partly a run that failed need not have come to all of them
 * @throws NotFound when something is missing otherwise
 */
export async function findDifference(
  bucket: Bucket,
  row: RunRow,
  partly: boolean,
): Promise<Nullable<Differences>> {
  const found: Nullable<Differences> = perStore(() => null)
  async function find<T extends Target>(target: T): Promise<void> {
    const schema = differenceSchemas[target].nullable() as unknown as z.ZodType<Differences[T] | null>
    const key = workKeys(row).difference(target)
    found[target] = partly
      ? ((await findJson(bucket, key, schema)) ?? null)
      : await getJson(bucket, key, schema)
  }
  for (const target of targets) await find(target)
  return found
}
