import { bytes, counted } from '../../../lib/amounts.ts'
import type { Deleted } from '../../../lib/backup/retention/delete.ts'
import { type PruneResult, prune } from '../../../lib/backup/retention/prune.ts'
import { databaseClock } from '../../../lib/postgres/clock.ts'
import type { Answer } from '../answer.ts'
import type { Arguments } from '../arguments.ts'
import type { Connected } from '../connect.ts'
import { commandLine } from '../program.ts'
import { list } from '../show/table.ts'

/** Command "prune": says which backups stay and which go, and why; deletes only with --delete. */
export async function showPrune({ clients }: Connected, flags: Arguments['flags']): Promise<Answer> {
  const result = await prune({ ...clients, now: await databaseClock(clients) }, { dryRun: !flags.delete })
  return { document: result, text: textOfPrune(result), code: failuresOf(result) === 0 ? 0 : 1 }
}

/** What became of each backup, or would become of it; and why nothing is deleted, if so. */
export function textOfPrune(result: PruneResult): string {
  const { dryRun, refused, backups, left, leftovers } = result
  const failures = failuresOf(result)
  const isDry = dryRun || refused !== null
  const goes = backups.some(({ keep }) => !keep) || leftovers.length > 0
  return [
    list(
      ['backup', 'strategy', '', 'size', 'why'],
      [
        ...backups.map(({ backupId, strategy, keep, deleted, reasons }) => [
          backupId,
          strategy,
          keep ? 'stays' : fateOf(deleted, isDry),
          deleted === null ? '' : sizeOf(deleted),
          reasons.join('; '),
        ]),
        ...left.map(({ backupId, reason }) => [backupId, '', 'stays', '', reason]),
        ...leftovers.map(({ backupId, deleted }) => [
          ...[backupId, '', fateOf(deleted, isDry), sizeOf(deleted)],
          'what an earlier prune began to delete',
        ]),
      ],
    ),
    refused === null ? '' : `Nothing ${dryRun ? 'would be' : 'was'} deleted: ${refused}.\n`,
    failures === 0 ? '' : `${counted(failures, 'object')} could not be deleted; prune again.\n`,
    refused !== null || (goes && !dryRun)
      ? ''
      : goes
        ? `Nothing was deleted. To delete what would go: ${commandLine('prune', '--delete')}\n`
        : 'There is nothing to delete.\n',
  ].join('')
}

function fateOf(deleted: Deleted | null, isDry: boolean): string {
  if (isDry) return 'would go'
  return deleted !== null && deleted.failures > 0 ? 'partly gone' : 'gone'
}

function sizeOf({ objects, bytes: size }: Deleted): string {
  return `${counted(objects, 'object')}, ${bytes(size)}`
}

function failuresOf({ backups, leftovers }: PruneResult): number {
  return [...backups, ...leftovers].reduce((sum, { deleted }) => sum + (deleted?.failures ?? 0), 0)
}
