import * as z from 'zod'
import { agreeing, counted } from '../../amounts.ts'
import { resultOf } from '../../backup/documents/results.ts'
import { putOnce } from '../../backup/documents/write-once.ts'
import { workKeys } from '../../backup/layout.ts'
import { Warning } from '../../backup/manifest.ts'
import { type Backup, readBackup } from '../../backup/read.ts'
import { checkVerifiable } from '../../backup/trust.ts'
import { verifyBatch } from '../../backup/verify/batch.ts'
import { BatchFound } from '../../backup/verify/findings.ts'
import { batchesToVerify } from '../../backup/verify/share.ts'
import { judgeBackup, type Verification } from '../../backup/verify/verify.ts'
import type { Clients } from '../../clients.ts'
import { planRehearsal } from '../../database/plan/rehearsal.ts'
import { BackupDamaged, ForeignBackup } from '../../errors.ts'
import { readLateNoted } from '../../ledger/documents.ts'
import { exists } from '../../s3/bucket.ts'
import type { Outcome } from '../outcome.ts'
import type { MaintenancePlan } from '../planning/plan.ts'
import type { SubjectSummary } from '../planning/plan-summary.ts'
import type { MaintenancePlanner, StartCheck, SubjectEnd } from './operation.ts'

/** What was found of the backup, for the outcome. */
export const Verified = z.strictObject({
  objects: z.number(),
  bytes: z.number(),
  warnings: z.array(Warning),
})
export type Verified = z.output<typeof Verified>

/** Findings that a message names; the rest is counted. */
const named = 10

/** @throws NotFound, BackupDamaged, BackupTooNew; ForeignBackup, BackupUnsigned unless that is what was said */
export const checkVerify: StartCheck<'verify'> = async ({ backups, config }, _, request) => {
  checkVerifiable(await readBackup(backups, config.BACKUP_PREFIX, request.backupId), config, request)
}

/**
 * @throws as checkVerify; ForeignBackup, SchemaChanged when it cannot be rehearsed here
 * @throws LimitExceeded for what one invocation could not compare in its time
 */
export const planVerify: MaintenancePlanner<'verify'> = async (clients, connection, { run, request }) => {
  const { operation, backupId, rehearse } = request
  const { backups, config } = clients
  const late = await readLateNoted(connection, backupId)
  const backup = await readBackup(backups, config.BACKUP_PREFIX, backupId, { late })
  checkVerifiable(backup, config, request)
  const subject = { backupId, rehearse: rehearse && backup.database !== null, objects: 0, bytes: 0 }
  const reads = batchesToVerify(backup)
  const plan = { ...run, operation, backupId, seen: backup.seen, reads, batches: 0 }
  if (!rehearse) return { plan, subject, warnings: [] }
  if (backup.database === null) {
    const message = `The backup ${backupId} (${backup.strategy}) holds no database, so there is nothing to rehearse`
    return { plan, subject, warnings: [{ code: 'NotRehearsed', message }] }
  }
  if (backup.environment !== config.ENVIRONMENT) {
    throw new ForeignBackup(
      `The backup ${backupId} is of the environment "${backup.environment}": its rows are not loaded into the database of "${config.ENVIRONMENT}". Rehearse it there, or verify it without "rehearse"`,
    )
  }
  const held = backup.database
  const { batches, warnings } = await planRehearsal(clients, connection, { runId: run.runId, held })
  return { plan: { ...plan, batches }, subject, warnings: [...warnings, ...unprovedIn(backup)] }
}

/** What its rehearsal leaves open, too: the live tables hold other rows by now, and nothing is locked to try a restore. */
function unprovedIn({ warnings }: Backup): Warning[] {
  return warnings
    .filter(({ code }) => code === 'NotProved')
    .map(({ code, message }) => ({
      code,
      message: `When the backup was made this was not proved, and a rehearsal of it proves it in part at most: ${message}`,
    }))
}

/**
 * State "Verify": reads the objects of one batch, and leaves what it found in S3. A repeat finds it.
 * @throws StoreUnavailable, NotPermitted, which say nothing about the backup
 */
export async function verifyObjects(
  { backups: bucket, config }: Clients,
  { batch, plan }: { batch: number; plan: MaintenancePlan },
  report: (done: number, total: number) => Promise<void>,
): Promise<void> {
  const key = workKeys(plan).verifiedBatch(batch)
  if (await exists(bucket, key)) return
  const { backupId, seen: known } = plan
  const asked = { prefix: config.BACKUP_PREFIX, backupId, known, batch }
  await putOnce(bucket, key, await verifyBatch(bucket, asked, report))
}

/**
 * State "Judge": says what the backup is by what all batches found, and leaves that in S3.
 * @throws BackupDamaged naming the objects; BackupIncomplete when a batch left no result; StoreUnavailable, NotPermitted, which say
 *   nothing about the backup
 */
export async function judge(clients: Clients, plan: MaintenancePlan): Promise<void> {
  const { backups: bucket, config, now } = clients
  const batches: BatchFound[] = []
  for (let batch = 0; batch < plan.reads; batch++) {
    const key = workKeys(plan).verifiedBatch(batch)
    batches.push(await resultOf(bucket, key, BatchFound, `batch ${batch} of the verification`))
  }
  const { backupId, seen: known } = plan
  const found = await judgeBackup(bucket, { prefix: config.BACKUP_PREFIX, backupId, known, batches }, now)
  const { objects, bytes } = found
  const verified: Verified = { objects, bytes, warnings: warningsOf(found) }
  await putOnce(bucket, workKeys(plan).verified, verified)
  if (found.ok) return
  const list = listOf(found.problems.map(({ key, problem, detail }) => `${key} is ${problem}: ${detail}`))
  throw new BackupDamaged(
    `The backup ${plan.backupId} is damaged in ${counted(found.found.problems, 'object')} of s3://${bucket.name}: ${list}. Do not rely on it: take a new backup now, or bring back earlier versions of these objects`,
  )
}

function warningsOf({ authentic, extra, found }: Verification): Warning[] {
  const warnings: Warning[] = []
  if (authentic === 'unsigned' || authentic === 'unknown key') {
    const message = `Nobody known here signed the backup (${authentic}): its objects fit together, but whoever can write to the bucket may have made them so`
    warnings.push({ code: 'BackupUnsigned', message })
  }
  if (found.extra > 0) {
    const list = listOf(extra.map(({ key, detail }) => `${key}: ${detail}`))
    warnings.push({
      code: 'ExtraObjects',
      message: `${counted(found.extra, 'object')} ${agreeing(found.extra, 'belongs', 'belong')} to no backup: ${list}`,
    })
  }
  return warnings
}

function listOf(findings: readonly string[]): string {
  const rest = findings.length - named
  return [...findings.slice(0, named), ...(rest > 0 ? [`and ${rest} more`] : [])].join('; ')
}

/** An error of another kind says nothing of the backup. */
export function endOfVerify(
  { rehearse }: SubjectSummary,
  { verified }: { verified: Verified | null },
  error: Outcome['error'],
): SubjectEnd {
  const { objects = 0, bytes = 0 } = verified ?? {}
  if (error === null) return { state: rehearse ? 'rehearsed' : 'verified', objects, bytes }
  const isDamaged = ['BackupDamaged', 'RehearsalFailed'].includes(error.name)
  return { state: isDamaged ? 'damaged' : 'unknown', objects, bytes }
}
