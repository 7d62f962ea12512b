import { agreeing, counted } from '../amounts.ts'
import { findResult } from '../backup/documents/results.ts'
import { workKeys } from '../backup/layout.ts'
import type { Manifest, Warning } from '../backup/manifest.ts'
import type { Clients } from '../clients.ts'
import type { RunRow } from '../ledger/runs.ts'
import { operationOf } from '../operations.ts'
import { isDue } from '../store/due.ts'
import { type Ender, type Ending, hasBegun, type TargetState } from '../store.ts'
import { FilesRestored } from './restore/results.ts'
import type { FilesCounts } from './schema/outcome.ts'
import type { FilesSummary } from './schema/plan-summary.ts'
import { FilesWiped } from './wipe.ts'

/** The results of the batches that left one. */
export type FilesLeft = { wiped: readonly FilesWiped[]; restored: readonly FilesRestored[] }

type Batches = Pick<FilesSummary, 'batches'>
type RestoreBatches = { files: Batches | null }
type FilesEnding = Ending<Batches, RestoreBatches, NonNullable<Manifest['files']>>

/** What became of the files: of them the ledger says only whether their turn has come. */
export const filesEnd: Ender<
  Batches,
  RestoreBatches,
  NonNullable<Manifest['files']>,
  FilesLeft,
  FilesCounts
> = {
  inLedger: () => ({ wiped: [], restored: [] }),
  inBucket: findLeft,
  end: (ending, left) => ({
    counts: countsOf(ending, left),
    warnings: [...warningsOfRestore(ending, left), ...warningsOfWipe(ending.row, left)],
    shortfall: {
      wipe:
        notDone('could not be deleted', left.wiped) ??
        (isDue('wiped', ending) ? notBegun(ending.summary?.planned, left.wiped) : null),
      restore:
        notDone('could not be put back or removed', left.restored) ??
        (isDue('replaced', ending) ? notBegun(ending.summary?.restore?.files, left.restored) : null),
    },
  }),
}

async function findLeft(
  { backups }: Pick<Clients, 'backups'>,
  { row, summary }: { row: RunRow; summary: FilesEnding['summary'] },
): Promise<FilesLeft> {
  const wiped: FilesWiped[] = []
  for (let batch = 0; batch < (summary?.planned?.batches ?? 0); batch++) {
    const found = await findResult(backups, workKeys(row).filesWiped(batch), FilesWiped)
    if (found !== undefined) wiped.push(found.result)
  }
  const restored: FilesRestored[] = []
  for (let batch = 0; batch < (summary?.restore?.files?.batches ?? 0); batch++) {
    const found = await findResult(backups, workKeys(row).filesRestored(batch), FilesRestored)
    if (found !== undefined) restored.push(found.result)
  }
  return { wiped, restored }
}

/** Counts are of what the state says: files wiped, put back, or backed up. */
function countsOf(ending: FilesEnding, left: FilesLeft): { state: TargetState } & FilesCounts {
  const before = stateBeforeRestore(ending, left.wiped)
  const state = (before === 'unknown' ? null : stateOfRestore(ending, left.restored)) ?? before
  if (state === 'restored' || state === 'partly_restored') {
    return {
      state,
      objects: sumOf(left.restored, ({ objects, unchanged }) => objects + unchanged),
      bytes: sumOf(left.restored, ({ bytes, unchangedBytes }) => bytes + unchangedBytes),
    }
  }
  const held = state === 'backed_up' ? ending.held : null
  return {
    state,
    objects: held?.objects ?? sumOf(left.wiped, ({ objects }) => objects),
    bytes: held?.bytes ?? sumOf(left.wiped, ({ bytes }) => bytes),
  }
}

/**
 * What a backup or a reset did, and what a restore did before it put anything back. Where results cannot be read, files
 * whose turn has come are `unknown`, never `untouched`.
 */
function stateBeforeRestore(
  { row, summary, clears, dryRun, succeeded, held, unread }: FilesEnding,
  wiped: readonly FilesWiped[],
): TargetState {
  const otherwise = held === null ? 'untouched' : 'backed_up'
  if (dryRun || !clears) return otherwise
  const begun = hasBegun(row, 'files')
  if (unread && begun) return 'unknown'
  const batches = summary?.planned?.batches
  if (operationOf(row.operation)?.changes !== 'wiped' || batches === undefined) return otherwise
  // Without files there is no batch to leave a result; the folder is empty all the same once its turn has come.
  if (batches === 0) return succeeded || row.wiped !== null || begun ? 'wiped' : otherwise
  if (wiped.length === batches && sumOf(wiped, ({ failures }) => failures) === 0) return 'wiped'
  return wiped.length > 0 || begun ? 'partly_wiped' : otherwise
}

/** null: nothing was put back, nor was it tried. */
function stateOfRestore(
  { row, summary }: FilesEnding,
  restored: readonly FilesRestored[],
): 'restored' | 'partly_restored' | null {
  const batches = summary?.restore?.files?.batches ?? 0
  const undone = sumOf(restored, ({ failures, changedMeanwhile }) => failures + changedMeanwhile)
  if (batches > 0 && restored.length === batches && undone === 0) return 'restored'
  return restored.length > 0 || row.phase === 'Restore files' ? 'partly_restored' : null
}

function warningsOfRestore({ exact }: FilesEnding, { restored }: FilesLeft): Warning[] {
  const extra = sumOf(restored, (result) => result.extra)
  const changed = sumOf(restored, ({ changedMeanwhile }) => changedMeanwhile)
  const failures = sumOf(restored, (result) => result.failures)
  return [
    ...warningOf(
      'FilesNotInBackup',
      extra,
      exact
        ? [
            'is not in the backup and could not be removed: it came or changed meanwhile, or S3 refused it',
            'are not in the backup and could not be removed: they came or changed meanwhile, or S3 refused it',
          ]
        : [
            'is not in the backup and was left; "exact": true removes it',
            'are not in the backup and were left; "exact": true removes them',
          ],
    ),
    ...warningOf('FilesChangedMeanwhile', changed, [
      'changed after the safety backup, so it was left as it is',
      'changed after the safety backup, so they were left as they are',
    ]),
    ...warningOf('FilesNotRestored', failures, 'could not be put back or removed'),
  ]
}

function warningsOfWipe({ backupId }: RunRow, { wiped }: FilesLeft): Warning[] {
  const before = backupId === null ? 'the count' : 'the backup'
  const [changed, came] = [sumOf(wiped, (result) => result.changed), sumOf(wiped, ({ appeared }) => appeared)]
  const failures = sumOf(wiped, (result) => result.failures)
  return [
    ...warningOf('FilesChangedLater', changed, [
      `changed after ${before}, and was not deleted`,
      `changed after ${before}, and were not deleted`,
    ]),
    ...warningOf('FilesAppeared', came, [
      `came after ${before}, and was not deleted`,
      `came after ${before}, and were not deleted`,
    ]),
    ...warningOf('FilesNotDeleted', failures, `could not be deleted${exampleOf(wiped)}`),
  ]
}

/** One warning, or none when there is no file of which it would tell. */
function warningOf(code: string, count: number, says: string | [one: string, many: string]): Warning[] {
  if (count === 0) return []
  const [one, many] = typeof says === 'string' ? [says, says] : says
  return [{ code, message: `${counted(count, 'file')} ${agreeing(count, one, many)}` }]
}

/** What was left undone, in the words of an error; null: nothing. What others changed meanwhile is no failure. */
function notDone(what: string, results: readonly (FilesWiped | FilesRestored)[]): string | null {
  const failures = sumOf(results, (result) => result.failures)
  return failures === 0 ? null : `${counted(failures, 'file')} ${what}${exampleOf(results)}`
}

/** The same of batches that left no result at all: the machine went past their step. */
function notBegun(planned: Batches | null | undefined, results: readonly unknown[]): string | null {
  const batches = planned?.batches ?? 0
  const missing = batches - results.length
  if (missing <= 0) return null
  return `of ${counted(batches, 'batch', 'batches')} of files ${missing} ${agreeing(missing, 'was', 'were')} never begun`
}

function exampleOf(results: readonly (FilesWiped | FilesRestored)[]): string {
  const [first] = results.flatMap(({ failed }) => failed)
  return first === undefined ? '' : ` (for example ${first.key}: ${first.code})`
}

function sumOf<Result>(results: readonly Result[], pick: (result: Result) => number): number {
  return results.reduce((total, result) => total + pick(result), 0)
}
