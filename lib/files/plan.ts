import type { Warning } from '../backup/manifest.ts'
import type { Backup } from '../backup/read.ts'
import type { Clients } from '../clients.ts'
import type { Config } from '../config.ts'
import { InvalidRequest } from '../errors.ts'
import { listFiles } from './list.ts'
import type { FilesPlan, FilesRestorePlan } from './plan-section.ts'
import { probeConditions } from './probe.ts'
import { listRestore } from './restore/list.ts'

type Tools = Pick<Clients, 'files' | 'backups' | 'config'>

type FilesToPlan = {
  run: { runId: string; attempt: number; tried: string }
  operation: 'backup' | 'reset' | 'restore'
  /** Nothing is written: no work lists, and no objects to try the server with. */
  dryRun: boolean
  /** Prefixes, from FILES_PREFIX on. */
  preserve: readonly string[]
  /** The backup that is to be restored, for a restore. */
  restored: Pick<Backup, 'backupId' | 'files'> | null
}

/**
 * Lists the files, and those of the backup that is restored, into the run's work lists, and tries what the steps rely on.
 * @returns `restore`: null also for a dry run, which does not read the backup's list
 * @throws InvalidRequest for a preserved prefix that was meant from the bucket's root
 * @throws StoreUnavailable, NotPermitted, BackupDamaged
 */
export async function planFiles(
  tools: Tools,
  { run, operation, dryRun, preserve, restored }: FilesToPlan,
): Promise<{ planned: FilesPlan; restore: FilesRestorePlan | null; warnings: Warning[] }> {
  const { unmatched, ...planned } = await listFiles(tools, { preserve, ...(dryRun ? {} : { write: run }) })
  refuseWholeKeys(unmatched, tools.config.FILES_PREFIX)
  const warnings: Warning[] = unmatched.map((prefix) => ({
    code: 'PreserveMatchedNothing',
    message: `No file lies below ${prefix}, which was to be preserved`,
  }))
  if (dryRun) return { planned, restore: null, warnings }
  warnings.push(...(await probeConditions(tools, { run, changesFiles: operation !== 'backup' })))
  if (restored === null) return { planned, restore: null, warnings }
  const { backupId, files } = restored
  const restore = await listRestore(tools, { run, backupId, index: files?.index ?? null })
  return { planned, restore, warnings }
}

/** How many files the plan wipes, and how many a reset may. */
export function filesLimit(planned: FilesPlan, { MAX_OBJECTS }: Pick<Config, 'MAX_OBJECTS'>) {
  const count = planned.objects - planned.preservedObjects
  return { name: 'MAX_OBJECTS', limit: MAX_OBJECTS, count, what: 'file' } as const
}

/** @throws InvalidRequest for a prefix that was meant from the bucket's root: it would keep nothing */
function refuseWholeKeys(unmatched: readonly string[], filesPrefix: string): void {
  const whole = unmatched.find((prefix) => prefix.startsWith(filesPrefix))
  if (whole === undefined) return
  throw new InvalidRequest(
    `"${whole}" is to be preserved, but nothing lies there: what preserves files counts from FILES_PREFIX on. Say "${whole.slice(filesPrefix.length)}" in preserve.files or PRESERVE_FILES`,
  )
}
