import { createHash } from 'node:crypto'
import * as z from 'zod'
import { documentBounds, parseJson } from '../../backup/documents/json.ts'
import { readText } from '../../backup/documents/read.ts'
import { parseWork, workDamaged } from '../../backup/documents/signed-work.ts'
import { jsonOf } from '../../backup/documents/write.ts'
import { putOnce } from '../../backup/documents/write-once.ts'
import { workKeys } from '../../backup/layout.ts'
import { Manifest, Seen, Warning } from '../../backup/manifest.ts'
import type { PlannedDatabase } from '../../database/schema/plan.ts'
import { NotFound, RunLost } from '../../errors.ts'
import type { Noted } from '../../ledger/documents.ts'
import type { PlannedRun, RunRef } from '../../ledger/run-ref.ts'
import { operationsOn } from '../../operations.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { nullable, shapeOfAll } from '../../store/sections.ts'
import { Touched } from '../../store/selection.ts'
import { targets } from '../../store.ts'
import { planSchemas, restoreSchemas } from '../../stores.ts'
import { ttl } from '../request/fields.ts'
import { strategies } from '../strategy.ts'

/** What a request calls the backup that its run makes. */
const Naming = z.strictObject({ label: z.string().nullable(), note: z.string().nullable(), pin: z.boolean() })

/** What Count decided, as the later steps read it from S3. */
export const Plan = z.strictObject({
  runId: z.string(),
  attempt: z.number(),
  /** Which try of Count planned it: its work lists lie under this name. */
  tried: z.string(),
  startedAt: z.string(),
  operation: z.enum(operationsOn('stores')),
  strategy: z.enum(strategies).nullable(),
  /** null: a reset that was told to take no backup. */
  backupId: z.string().nullable(),
  /** The backup is loaded and compared before it is sealed. */
  rehearse: z.boolean(),
  clears: z.array(z.enum(targets)),
  requestedBy: z.string().nullable(),
  preserve: Manifest.shape.preserved.extend({ excluded: z.array(z.string()) }),
  /** What the backup is to be called when the run has succeeded; null: nothing is said. */
  naming: Naming.nullable().default(null),
  ...nullable(planSchemas),
  /** What a restore puts back. */
  restore: z
    .strictObject({
      backupId: z.string(),
      /** As Count read it: the steps refuse any other. */
      seen: Seen,
      exact: z.boolean(),
      /** What becomes of the time to live of its keys. */
      ttl: ttl.default('absolute'),
      /** As the request called the backup that a reset goes back to; null: it is no reset. */
      to: z.string().nullable().default(null),
      ...shapeOfAll(restoreSchemas),
    })
    .nullable(),
  warnings: z.array(Warning),
})
export type Plan = z.output<typeof Plan>

/** What Count decided of a run on one backup, as the later steps read it from S3. */
export const MaintenancePlan = z.strictObject({
  runId: z.string(),
  attempt: z.number(),
  operation: z.enum(operationsOn('backup')),
  /** The backup that is read or deleted. */
  backupId: z.string(),
  /** As Count read it: the steps refuse any other. */
  seen: Seen,
  /** Of a comparison of two backups: the other one, as Count read it. */
  to: z.strictObject({ backupId: z.string(), seen: Seen }).optional(),
  /** Of a comparison: the stores that it is about; absent: all that the backup holds. */
  targets: z.array(z.enum(targets)).optional(),
  /** Of a comparison: the tables and sequences of the backup that it leaves out, as the restore that it is made for does. */
  without: z.array(z.string()).optional(),
  /** Of a comparison: the restore is one that foreign keys to what stays would end, so that their rows are counted. */
  countsKeys: z.boolean().optional(),
  /** The same of files and keys: what the restore touches. */
  touchedFiles: Touched.optional(),
  touchedKeys: Touched.optional(),
  /** Of a comparison: what the restore does with the time to live of keys; absent: `absolute`. */
  ttl: ttl.optional(),
  /** Of a comparison: the table of which the first rows are told that differ, so many of each kind. */
  rows: z.strictObject({ table: z.string(), limit: z.number() }).optional(),
  /** In so many batches its objects are read; 0 when it is deleted. An earlier version planned none: its delete goes on. */
  reads: z.number().default(0),
  /** In so many batches it is loaded; 0 when it is not rehearsed. */
  batches: z.number(),
})
export type MaintenancePlan = z.output<typeof MaintenancePlan>

/** The digest by which the ledger knows a plan again. */
export function digestOfPlan(plan: Plan | MaintenancePlan): string {
  return createHash('sha256').update(jsonOf(plan)).digest('hex')
}

/**
 * The plan of a run that acts on the stores.
 * @throws WorkDamaged when what lies in S3 is not the plan that Count noted in the ledger, RunLost when Count has planned
 *   again since
 */
export function readPlan(bucket: Bucket, run: RunRef, noted: Noted): Promise<Plan> {
  return readNotedPlan(bucket, run, noted, Plan)
}

/** The plan of a run on one backup. @throws as readPlan */
export function readMaintenancePlan(bucket: Bucket, run: RunRef, noted: Noted): Promise<MaintenancePlan> {
  return readNotedPlan(bucket, run, noted, MaintenancePlan)
}

async function readNotedPlan<Schema extends z.ZodType>(
  bucket: Bucket,
  run: RunRef,
  { attempt, planDigest }: Noted,
  schema: Schema,
): Promise<z.output<Schema>> {
  if (attempt !== run.attempt) {
    throw new RunLost(
      `Run ${run.runId} is in its attempt ${attempt} by now, not in ${run.attempt}. This step stops without acting`,
    )
  }
  if (planDigest === null) throw new RunLost(`Run ${run.runId} has no plan that a step could carry out`)
  const key = workKeys(run).plan(planDigest)
  const { text, sha256 } = await readText(bucket, key, documentBounds)
  if (sha256 !== planDigest) throw workDamaged(bucket, key, 'the ledger has the digest of another plan')
  return parseWork(bucket, key, () => schema.parse(parseJson(text, documentBounds)))
}

/** Writes the plan where the steps look for the one that has this digest, once. */
export async function putPlan(bucket: Bucket, plan: Plan | MaintenancePlan): Promise<void> {
  await putOnce(bucket, workKeys(plan).plan(digestOfPlan(plan)), plan)
}

/** The id of the backup that the plan writes. @throws NotFound for a run that takes none */
export function sealedAs(plan: Plan): string {
  if (plan.backupId === null)
    throw new NotFound(`Run ${plan.runId} was told to take no backup, so no step may write one`)
  return plan.backupId
}

/** What the steps of the database are told. @throws NotFound when the run does not act on it */
export function databaseOf(plan: Plan): PlannedDatabase & Pick<Plan, 'preserve' | 'backupId'> {
  if (plan.database === null) throw new NotFound(`Run ${plan.runId} does not act on the database`)
  const { preserve, backupId } = plan
  return { run: plannedRun(plan), planned: plan.database, preserve, backupId }
}

/** What of the backup stays as it is, so that no row may lose or lack another by it; null: nothing is said to. */
export function stayingBy(plan: Plan): { names: string[]; ofReset: boolean } | null {
  const { without, crossing } = restoredBy(plan)
  return crossing === 'refuse' ? { names: without, ofReset: plan.operation === 'reset-to' } : null
}

/** The backup that the run restores, and what is left out of it. @throws NotFound for a run that restores none */
export function restoredBy(plan: Plan): NonNullable<Plan['restore']> {
  if (plan.restore === null) throw new NotFound(`Run ${plan.runId} restores no backup`)
  return plan.restore
}

/** The listing of the files, and how it is cut. @throws NotFound when the run does not act on the files */
export function filesOf(plan: Plan): Listing {
  if (plan.files === null) throw new NotFound(`Run ${plan.runId} does not act on the files`)
  return { run: plannedRun(plan), lists: plan.files.lists, listsPerBatch: plan.files.listsPerBatch }
}

/** The same of the files that are put back. @throws NotFound when the run restores none */
export function restoredFilesOf(plan: Plan): Listing {
  const files = plan.restore?.files
  if (!files) throw new NotFound(`Run ${plan.runId} restores no files`)
  return { run: plannedRun(plan), lists: files.lists, listsPerBatch: files.listsPerBatch }
}

type Listing = { run: PlannedRun; lists: number; listsPerBatch: number }

/** The run, and which try of Count planned it. */
export function plannedRun({ runId, attempt, tried }: Plan): PlannedRun {
  return { runId, attempt, tried }
}
