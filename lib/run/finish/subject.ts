import { findJson } from '../../backup/documents/read.ts'
import { backupKeys, workKeys } from '../../backup/layout.ts'
import { isSealed } from '../../backup/read.ts'
import { Compared } from '../../database/load/rehearse.ts'
import type { RunRow } from '../../ledger/runs.ts'
import { operationOf } from '../../operations.ts'
import { type Bucket, exists } from '../../s3/bucket.ts'
import type { Outcome, SubjectState } from '../outcome.ts'
import type { SubjectSummary } from '../planning/plan-summary.ts'
import { Verified } from '../verify.ts'

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

/** @param found null when it could not be looked at */
export function describeSubject(
  { backupId, rehearse, ...size }: SubjectSummary,
  found: FoundSubject | null,
  { operation, error }: { operation: string; error: Outcome['error'] },
): NonNullable<Outcome['subject']> {
  if (found === null) return { backupId, state: 'unknown', objects: 0, bytes: 0 }
  if (operationOf(operation)?.changes === 'deleted') {
    const state = stateOfDeleted(found)
    return { backupId, state, ...(state === 'deleted' ? size : { objects: 0, bytes: 0 }) }
  }
  const { objects = 0, bytes = 0 } = found.verified ?? {}
  return { backupId, state: stateOfVerified(rehearse, error), objects, bytes }
}

function stateOfDeleted({ isSealed, hasTombstone }: FoundSubject): SubjectState {
  if (isSealed) return 'kept'
  return hasTombstone ? 'partly_deleted' : 'deleted'
}

function stateOfVerified(rehearse: boolean, error: Outcome['error']): SubjectState {
  if (error === null) return rehearse ? 'rehearsed' : 'verified'
  return ['BackupDamaged', 'RehearsalFailed'].includes(error.name) ? 'damaged' : 'unknown'
}
