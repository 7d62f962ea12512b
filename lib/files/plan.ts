import type { Warning } from '../backup/manifest.ts'
import { InvalidRequest } from '../errors.ts'
import { destroys } from '../operations.ts'
import type { Limit, Planner } from '../store.ts'
import { listFiles } from './list.ts'
import { probeConditions } from './probe.ts'
import { listRestore } from './restore/list.ts'
import type { FilesInRestore, FilesPlan } from './schema/plan.ts'

/**
 * Lists the files, and those of the backup that is restored, into the run's work lists, and tries what the steps rely on.
 * A dry run does not read the backup's list.
 * @throws InvalidRequest for a preserved prefix that was meant from the bucket's root
 * @throws StoreUnavailable, NotPermitted, BackupDamaged
 */
export const planFiles: Planner<FilesPlan, FilesInRestore> = async (
  clients,
  _connection,
  { run, operation, dryRun, preserve, backup },
) => {
  const { unmatched, ...planned } = await listFiles(clients, {
    preserve: preserve.files,
    ...(dryRun ? {} : { write: run }),
  })
  refuseWholeKeys(unmatched, clients.config.FILES_PREFIX)
  const warnings: Warning[] = unmatched.map((prefix) => ({
    code: 'PreserveMatchedNothing',
    message: `No file lies below ${prefix}, which was to be preserved`,
  }))
  if (dryRun) return { planned, restore: null, warnings }
  warnings.push(...(await probeConditions(clients, { run, changesFiles: destroys(operation) })))
  if (backup === null) return { planned, restore: null, warnings }
  const { backupId, files } = backup
  const toRestore = await listRestore(clients, { run, backupId, index: files?.index ?? null })
  return { planned, restore: { files: toRestore }, warnings }
}

/** How many files the plan wipes, and how many a reset may. */
export const filesLimit: Limit<FilesPlan> = ({ objects, preservedObjects }, { MAX_OBJECTS }) => ({
  ...{ name: 'MAX_OBJECTS', limit: MAX_OBJECTS, count: objects - preservedObjects, what: 'file' },
})

/** @throws InvalidRequest for a prefix that was meant from the bucket's root: it would keep nothing */
function refuseWholeKeys(unmatched: readonly string[], filesPrefix: string): void {
  const whole = unmatched.find((prefix) => prefix.startsWith(filesPrefix))
  if (whole === undefined) return
  throw new InvalidRequest(
    `"${whole}" is to be preserved, but nothing lies there: what preserves files counts from FILES_PREFIX on. Say "${whole.slice(filesPrefix.length)}" in preserve.files or PRESERVE_FILES`,
  )
}
