import { findJson } from '../../backup/documents/read.ts'
import { backupKeys, workKeys } from '../../backup/layout.ts'
import { isSealed } from '../../backup/read.ts'
import { Compared } from '../../database/load/rehearse.ts'
import type { RunRow } from '../../ledger/runs.ts'
import type { BackupOperation } from '../../operations.ts'
import { type Bucket, exists } from '../../s3/bucket.ts'
import type { SubjectEnd } from '../on-backup/operation.ts'
import { enders } from '../on-backup/operations.ts'
import { Verified } from '../on-backup/verify.ts'
import type { Outcome } from '../outcome.ts'
import type { SubjectSummary } from '../planning/plan-summary.ts'

/** What is there of it now. */
export type FoundSubject = {
  verified: Verified | null
  /** null: it was not rehearsed, or not to the end. */
  compared: Compared | null
  isSealed: boolean
  hasTombstone: boolean
}

export async function findSubject(
  bucket: Bucket,
  prefix: string,
  { row, backupId }: { row: RunRow; backupId: string },
): Promise<FoundSubject> {
  return {
    verified: (await findJson(bucket, workKeys(row).verified, Verified)) ?? null,
    compared: (await findJson(bucket, workKeys(row).compared, Compared)) ?? null,
    isSealed: await isSealed(bucket, prefix, backupId),
    hasTombstone: await exists(bucket, backupKeys(prefix, backupId).tombstone),
  }
}

type SubjectEnder = (summary: SubjectSummary, found: FoundSubject, error: Outcome['error']) => SubjectEnd

/** @param found null when it could not be looked at */
export function describeSubject(
  summary: SubjectSummary,
  found: FoundSubject | null,
  { operation, error }: { operation: string; error: Outcome['error'] },
): NonNullable<Outcome['subject']> {
  const end = enderOf(operation)
  const became =
    found && end ? end(summary, found, error) : { state: 'unknown' as const, objects: 0, bytes: 0 }
  const { backupId, to } = summary
  return { backupId, ...(to !== undefined && { to }), ...became }
}

/** undefined: the row is of another version, and what its operation makes of a backup is not known. */
function enderOf(operation: string): SubjectEnder | undefined {
  return Object.hasOwn(enders, operation) ? enders[operation as BackupOperation] : undefined
}
