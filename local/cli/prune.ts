import { bytes, counted } from '../../lib/amounts.ts'
import { prune } from '../../lib/backup/prune.ts'
import { databaseClock } from '../../lib/ledger/clock.ts'
import type { Answer } from './answer.ts'
import type { Arguments } from './arguments.ts'
import type { Connected } from './connect.ts'
import { table } from './text.ts'

/** Command "prune": says which backups stay and which go, and why; deletes only with --delete. */
export async function showPrune({ clients }: Connected, flags: Arguments['flags']): Promise<Answer> {
  const result = await prune({ ...clients, now: await databaseClock(clients) }, { dryRun: !flags.delete })
  const rows = result.backups.map(({ backupId, keep, reasons, deleted }) => [
    backupId,
    keep ? 'stays' : result.dryRun ? 'would go' : 'gone',
    deleted === null ? '' : `${counted(deleted.objects, 'object')}, ${bytes(deleted.bytes)}`,
    reasons.join('; '),
  ])
  const left = result.left.map(({ backupId, reason }) => [backupId, 'stays', '', reason])
  const halves = result.leftovers.map(({ backupId, deleted }) => [
    backupId,
    result.dryRun ? 'would go' : 'gone',
    `${counted(deleted.objects, 'object')}, ${bytes(deleted.bytes)}`,
    'what an earlier prune began to delete',
  ])
  const failures = [...result.backups, ...result.leftovers].reduce(
    (sum, { deleted }) => sum + (deleted?.failures ?? 0),
    0,
  )
  const text = [
    table([...rows, ...left, ...halves], ''),
    result.refused === null ? '' : `Nothing is deleted: ${result.refused}\n`,
    failures === 0 ? '' : `${counted(failures, 'object')} could not be deleted; prune again.\n`,
    result.dryRun ? 'Nothing was deleted; say --delete to do it.\n' : '',
  ]
  return { document: result, text: text.join(''), code: failures === 0 ? 0 : 1 }
}
