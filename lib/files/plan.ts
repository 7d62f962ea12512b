import type { Warning } from '../backup/manifest.ts'
import type { Config } from '../config/variables.ts'
import { InvalidRequest } from '../errors.ts'
import { checkInvocation, type Speed } from '../executions/invocation.ts'
import { destroys } from '../operations.ts'
import type { Limit, Planner } from '../store.ts'
import { listFiles } from './list.ts'
import { probeConditions } from './probe.ts'
import { listRestore } from './restore/list.ts'
import type { FilesInRestore, FilesPlan } from './schema/plan.ts'

/**
 * Lists the files, and those of the backup that is restored, into the run's work lists, and tries what the steps rely on.
 * A dry run reads the backup's list only to find what was named of it.
 * @throws InvalidRequest for a prefix that was meant from the bucket's root
 * @throws LimitExceeded for more than one invocation can list, seal or read
 * @throws StoreUnavailable, NotPermitted, BackupDamaged
 */
export const planFiles: Planner<FilesPlan, FilesInRestore> = async (
  clients,
  _connection,
  { run, operation, takesBackup, dryRun, preserve, backup, selection, signal },
) => {
  const { unmatched, ...planned } = await listFiles(clients, {
    ...{ preserve: preserve.files, signal },
    ...(dryRun ? {} : { write: run }),
  })
  refuseWholeKeys(unmatched, clients.config, 'preserved')
  const warnings: Warning[] = unmatched.map((prefix) => ({
    code: 'PreserveMatchedNothing',
    message: `No file lies below ${prefix}, which was to be preserved`,
  }))
  warnings.push(
    ...checkFiles('Sealing the list of files', takesBackup ? planned.objects : 0, speeds.seal),
    ...checkFiles('Reading the list of files of the backup', backup?.files?.objects ?? 0, speeds.readList),
  )
  if (!dryRun) warnings.push(...(await probeConditions(clients, { run, changesFiles: destroys(operation) })))
  if (backup === null) return { planned, restore: null, warnings }
  const touchedFiles = { only: selection.files ?? null, kept: preserve.files }
  if (dryRun && touchedFiles.only === null)
    return { planned, restore: { files: null, touchedFiles }, warnings }
  const { unmatched: unheld, ...files } = await listRestore(clients, {
    ...{ run: dryRun ? null : run, backupId: backup.backupId },
    ...{ index: backup.files?.index ?? null, touched: touchedFiles },
  })
  refuseWholeKeys(unheld, clients.config, 'put back')
  warnings.push(
    ...unheld.map((prefix) => ({
      code: 'SelectionMatchedNothing',
      message: `No file of the backup lies below ${prefix}, which was to be put back`,
    })),
  )
  return { planned, restore: { files: dryRun ? null : files, touchedFiles }, warnings }
}

/** Files a second. @see docs/scale.md */
export const speeds = {
  seal: { slow: 6_000, fast: 20_000 },
  readList: { slow: 15_000, fast: 50_000 },
} satisfies Record<string, Speed>

/** @throws LimitExceeded */
function checkFiles(does: string, files: number, speed: Speed): Warning[] {
  const amounts = [{ amount: files, of: 'file', speed }] as const
  const instead = 'say a narrower FILES_PREFIX, or choose a strategy ("targets") without the files'
  return checkInvocation({ does, amounts, instead })
}

/** How many files the plan wipes, and how many a reset may. */
export const filesLimit: Limit<FilesPlan> = ({ objects, preservedObjects }, { MAX_OBJECTS }) => ({
  ...{ name: 'MAX_OBJECTS', limit: MAX_OBJECTS, count: objects - preservedObjects, what: 'file' },
})

/** @throws InvalidRequest for a prefix that was meant from the bucket's root: it would keep, or bring back, nothing */
function refuseWholeKeys(
  unmatched: readonly string[],
  { FILES_PREFIX }: Config,
  to: keyof typeof fieldsOf,
): void {
  const whole = unmatched.find((prefix) => prefix.startsWith(FILES_PREFIX))
  if (whole === undefined) return
  const [what, fields] = fieldsOf[to]
  throw new InvalidRequest(
    `"${whole}" is to be ${to}, but nothing lies there: what ${what} files counts from FILES_PREFIX on. Say "${whole.slice(FILES_PREFIX.length)}" in ${fields}`,
  )
}

const fieldsOf = {
  preserved: ['preserves', 'preserve.files or PRESERVE_FILES'],
  'put back': ['selects', 'files'],
} as const
