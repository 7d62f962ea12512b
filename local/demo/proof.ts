import { bytes, counted } from '../../lib/amounts.ts'
import type { Outcome } from '../../lib/run/outcome.ts'
import { type Target, targets } from '../../lib/store.ts'
import { countObjects } from '../files/demonstration.ts'
import type { DirectAccess } from '../store.ts'
import type { CountsOfStores, Demonstrations } from './counts.ts'
import { countStores } from './counts.ts'

/**
 * Compares what the run says with what the stores hold, asked past the product.
 * @returns a line per thing that was found to be so
 * @throws Error naming the first thing that is not
 */
export async function prove(
  demonstrations: Demonstrations,
  asked: DirectAccess,
  { before, outcome }: { before: CountsOfStores; outcome: Outcome },
): Promise<string[]> {
  const prefix = outcome.backupPrefix?.replace(/^s3:\/\/[^/]+\//, '')
  if (prefix === undefined) throw new Error('The run names no backup')
  const backup = { bucket: asked.env.BACKUP_BUCKET ?? '', prefix }
  const after = await countStores(demonstrations, asked)
  const proveStore = <T extends Target>(store: T) =>
    demonstrations[store].proveWiped({ before: before[store], after: after[store], outcome, backup }, asked)
  const proved = await Promise.all(targets.map(proveStore))
  const all = await countObjects(asked.s3, backup.bucket, prefix)
  return [
    ...proved,
    `ListObjectsV2 of the backup: ${counted(all.objects, 'object')}, ${bytes(all.bytes)}; every file is there, and the manifest has the rows of each table`,
  ]
}

/** The same after the reset to the baseline: everything is as it was when that was taken. */
export async function proveRestored(
  demonstrations: Demonstrations,
  asked: DirectAccess,
  before: CountsOfStores,
): Promise<string[]> {
  const after = await countStores(demonstrations, asked)
  const proveStore = <T extends Target>(store: T) =>
    demonstrations[store].proveRestored({ before: before[store], after: after[store] }, asked)
  return targets.map(proveStore)
}
