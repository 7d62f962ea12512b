import { DocumentDamaged } from '../../lib/backup/documents/backup-document.ts'
import { type Backup, type Known, readBackup } from '../../lib/backup/read.ts'
import { verifyBatch } from '../../lib/backup/verify/batch.ts'
import type { BatchFound } from '../../lib/backup/verify/findings.ts'
import { batchesToVerify } from '../../lib/backup/verify/share.ts'
import { judgeBackup, type Verification } from '../../lib/backup/verify/verify.ts'
import type { Bucket } from '../../lib/s3/bucket.ts'

/** What the states Verify and Judge do, one after the other; with fewer seconds for a batch there are more of them. */
export async function verifyBackup(
  bucket: Bucket,
  prefix: string,
  backupId: string,
  report: (done: number, total: number) => Promise<void> = async () => {},
  now?: () => Date,
  { known = {}, seconds }: { known?: Known; seconds?: number } = {},
): Promise<Verification> {
  const batches: BatchFound[] = []
  const backup = await readUnlessDamaged(bucket, prefix, backupId)
  const count = backup === null ? 0 : batchesToVerify(backup, seconds)
  for (let batch = 0; batch < count; batch++)
    batches.push(await verifyBatch(bucket, { prefix, backupId, known, batch }, report, seconds))
  return judgeBackup(bucket, { prefix, backupId, known, batches }, now)
}

/** A document that is damaged is a finding when all is judged: Count reads it first, and would refuse it. */
async function readUnlessDamaged(bucket: Bucket, prefix: string, backupId: string): Promise<Backup | null> {
  try {
    return await readBackup(bucket, prefix, backupId)
  } catch (error) {
    if (error instanceof DocumentDamaged) return null
    throw error
  }
}
