import * as z from 'zod'
import { agreeing, counted } from '../amounts.ts'
import { putOnce } from '../backup/documents/write-once.ts'
import { workKeys } from '../backup/layout.ts'
import { Warning } from '../backup/manifest.ts'
import { type Verification, verifyBackup } from '../backup/verify/verify.ts'
import type { Clients } from '../clients.ts'
import { BackupDamaged } from '../errors.ts'
import type { MaintenancePlan } from './planning/plan.ts'

/** What "Verify" found, for the outcome. */
export const Verified = z.strictObject({
  objects: z.number(),
  bytes: z.number(),
  warnings: z.array(Warning),
})
export type Verified = z.output<typeof Verified>

/** Findings that a message names; the rest is counted. */
const named = 10

/**
 * Reads every object of the backup, and leaves what it found in S3.
 * @throws BackupDamaged naming the objects; StoreUnavailable, NotPermitted, which say nothing about the backup
 */
export async function verify(
  clients: Clients,
  plan: MaintenancePlan,
  report: (done: number, total: number) => Promise<void>,
): Promise<void> {
  const { backups: bucket, config, now } = clients
  const found = await verifyBackup(bucket, config.BACKUP_PREFIX, plan.backupId, report, now, plan.seen)
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
