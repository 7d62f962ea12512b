import { agreeing, counted } from '../amounts.ts'
import { sealed } from '../backup/digest.ts'
import { putJson } from '../backup/documents/write.ts'
import { writeOnce } from '../backup/documents/write-once.ts'
import { type BackupKeys, backupKeys } from '../backup/layout.ts'
import { Manifest, type Warning } from '../backup/manifest.ts'
import { namedObjects } from '../backup/named-objects.ts'
import { findOwnManifest } from '../backup/read.ts'
import { pinBackup } from '../backup/retention/pin.ts'
import type { Clients } from '../clients.ts'
import { BackupIncomplete } from '../errors.ts'
import type { Fence } from '../ledger/fence.ts'
import type { Bucket } from '../s3/bucket.ts'
import { listSizes } from '../s3/list.ts'
import { perStore, type Target, targets } from '../store.ts'
import { type Held, type Planned, sealers } from '../stores.ts'
import { toolVersion } from '../version.ts'
import { lookAtBaselines } from './baseline/outdated.ts'
import { type Plan, plannedRun } from './planning/plan.ts'

/**
 * Writes the manifest, which makes the parts a backup, after checking that every planned batch has its result, that
 * totals agree, and that every object is there with its size. A repeat finds the manifest and leaves it.
 * @param check asks for the run's lock, right before anything is written, and last the manifest: a straggler must not seal a folder that
 *   was cleared since, nor a run that was called off have a backup that its outcome does not name
 * @param signal ends the requests that write: one that is carried out later would find the folder cleared as well
 * @throws BackupIncomplete naming what is missing or does not agree; RunLost
 */
export async function seal(
  clients: Clients,
  plan: Plan,
  check: Fence['check'],
  signal?: AbortSignal,
): Promise<void> {
  if (plan.backupId === null)
    throw new BackupIncomplete(`Run ${plan.runId} was told to take no backup, so there is none to seal`)
  const bucket = clients.backups
  const keys = backupKeys(clients.config.BACKUP_PREFIX, plan.backupId)
  const own = { backupId: plan.backupId, runId: plan.runId }
  const isSealed = async () => (await findOwnManifest(bucket, clients.config.BACKUP_PREFIX, own)) !== null
  if (await isSealed()) return
  const readBackAt = clients.now().toISOString()
  const { held, rehearsedAt, warnings } = await sealStores(
    clients,
    { ...plan, backupId: plan.backupId },
    { check, signal },
  )
  const baselines = await lookAtBaselines(clients, plan)
  const { excluded: _, ...preserved } = plan.preserve
  const manifest: Manifest = {
    version: held.database !== null && held.database.seed === undefined ? 1 : 2,
    backupId: plan.backupId,
    runId: plan.runId,
    environment: clients.config.ENVIRONMENT,
    strategy: plan.strategy ?? 'restore',
    toolVersion,
    startedAt: new Date(plan.startedAt).toISOString(),
    sealedAt: clients.now().toISOString(),
    readBackAt,
    rehearsedAt,
    ...held,
    preserved,
    warnings: [...plan.warnings, ...baselines, ...warnings],
  }
  await checkObjects(bucket, keys, manifest)
  await check()
  const signed = sealed(bucket.signing, Manifest.parse(manifest))
  // Where another try of this step was faster, both saw the same results.
  await writeOnce<unknown>(
    null,
    (options) => putJson(bucket, keys.manifest, signed, { ...options, ...(signal && { signal }) }),
    async () => (await isSealed()) || undefined,
  )
}

/** Pins the backup that was sealed, where its request says so. @throws as pinBackup */
export async function pinSealed(clients: Clients, { backupId, naming, requestedBy }: Plan): Promise<void> {
  if (backupId === null || !naming?.pin) return
  const pinning = { backupId, by: requestedBy, at: clients.now() }
  await pinBackup(clients.backups, clients.config.BACKUP_PREFIX, pinning)
}

/** The sections of the manifest, one for each store that the run acts on. */
async function sealStores(
  clients: Clients,
  plan: Plan & { backupId: string },
  fence: { check: Fence['check']; signal: AbortSignal | undefined },
) {
  const { backupId, rehearse } = plan
  const held: { [T in Target]: Held[T] | null } = perStore(() => null)
  const sealed = { held, rehearsedAt: null as string | null, warnings: [] as Warning[] }
  async function sealStore<T extends Target>(target: T, planned: Planned[T]): Promise<void> {
    const asked = { run: plannedRun(plan), backupId, planned, rehearse, fence }
    const store = await sealers[target](clients, asked)
    held[target] = store.held
    sealed.rehearsedAt ??= store.rehearsedAt ?? null
    sealed.warnings.push(...store.warnings)
  }
  for (const target of targets) {
    const planned = plan[target]
    if (planned !== null) await sealStore(target, planned)
  }
  return sealed
}

/** Each object that the manifest names is there with its size, by a listing that the steps had no part in. */
export async function checkObjects(bucket: Bucket, keys: BackupKeys, manifest: Manifest): Promise<void> {
  const expected = new Map(namedObjects(manifest).map(({ key, bytes }) => [key, bytes]))
  for await (const { key, size } of listSizes(bucket, keys.parts)) {
    if (expected.get(key) === size) expected.delete(key)
  }
  if (expected.size === 0) return
  const [first] = expected
  throw new BackupIncomplete(
    `${counted(expected.size, 'object')} of the backup ${agreeing(expected.size, 'is missing or has', 'are missing or have')} another size, for example s3://${bucket.name}/${first?.[0]} (${first?.[1]} bytes were written). Nothing was wiped; start again`,
  )
}
