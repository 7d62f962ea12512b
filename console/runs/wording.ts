import type { Run } from '../../lib/http/run.ts'
import type { Outcome, TargetState } from '../../lib/run/outcome.ts'
import type { Target } from '../../lib/run/strategy.ts'
import { bytes, counted, duration } from '../numbers.ts'
import type { Stage } from './steps.ts'

const operations: Record<string, string> = {
  backup: 'Backup',
  reset: 'Reset',
  restore: 'Restore',
  claim: 'Claim',
  verify: 'Verification',
  delete: 'Deletion',
}

/** `Reset, full` or `Dry run of reset, full`. */
export function titleOf({
  operation,
  strategy,
  dryRun,
}: Pick<Run, 'operation' | 'strategy' | 'dryRun'>): string {
  const name = operations[operation] ?? operation
  const what = dryRun ? `Dry run of ${name.toLowerCase()}` : name
  return strategy === null ? what : `${what}, ${strategy}`
}

export const statusWords: Record<Run['status'], string> = {
  starting: 'starting',
  running: 'running',
  succeeded: 'succeeded',
  succeeded_with_warnings: 'succeeded, with warnings',
  failed: 'failed',
  abandoned: 'abandoned',
  cancelled: 'cancelled',
}

export function isActive({ status }: Pick<Run, 'status'>): boolean {
  return status === 'starting' || status === 'running'
}

/** How the run stands or ended, in one sentence. */
export function headlineOf(run: Run, stages: readonly Stage[]): string {
  const { status, startedAt, finishedAt, outcome } = run
  if (status === 'starting') return 'The run is starting.'
  if (status === 'running') return `${runningSentence(stages)}${waitingSentence(run)}`
  const took = finishedAt === null ? '' : ` after ${duration(Date.parse(finishedAt) - Date.parse(startedAt))}`
  if (status === 'cancelled') return `Cancelled${took}, before anything was changed.`
  if (status === 'abandoned') {
    return 'It gave no sign of life for too long, and another run took its place. How far it got is not known.'
  }
  if (status === 'failed') return `Failed${took}. ${outcome === null ? '' : damageOf(outcome)}`.trim()
  if (run.dryRun) return 'Counted and planned; nothing was written.'
  return status === 'succeeded' ? `Succeeded${took}.` : `Succeeded${took}, with warnings that need a look.`
}

function runningSentence(stages: readonly Stage[]): string {
  const running = stages.flatMap(({ steps }) => steps).filter(({ state }) => state === 'running')
  const stage = stages.findIndex(({ steps }) => steps.some(({ state }) => state === 'running'))
  if (running.length === 0) return 'Running.'
  const names = new Intl.ListFormat('en').format(running.map(({ name }) => name))
  return `${names}: stage ${stage + 1} of ${stages.length}.`
}

/** While a step waits, nothing is changed; who is in the way is what a person has to know. */
function waitingSentence({ waiting }: Run): string {
  return waiting === null ? '' : ` It is ${waiting}. Nothing is changed until it has them.`
}

function damageOf({ targets }: Outcome): string {
  const changed = Object.entries(targets).filter(
    ([, { state }]) => state !== 'untouched' && state !== 'backed_up',
  )
  if (changed.length === 0) return 'Nothing was wiped or replaced.'
  return `What was done before stays done: see ${new Intl.ListFormat('en').format(changed.map(([target]) => target))} below.`
}

export const targetNames: Record<Target, string> = { database: 'Database', files: 'Files', cache: 'Cache' }

export const stateWords: Record<TargetState, string> = {
  untouched: 'Untouched',
  backed_up: 'Backed up',
  wiped: 'Wiped',
  partly_wiped: 'Partly wiped',
  restored: 'Restored',
  partly_restored: 'Partly restored',
  unknown: 'Not known',
}

/** What happened to one target, for somebody who does not know the words of this tool. */
export function sentenceOf(outcome: Outcome, target: Target): string {
  const { state } = outcome.targets[target]
  const what = contentsOf(outcome, target)
  const isCovered = outcome.backupId !== null
  const sentences: Record<TargetState, string> = {
    untouched: 'Nothing was done to it.',
    backed_up: `${what}: in the backup, and not changed.`,
    wiped: isCovered ? `${what}: wiped, and in the backup.` : `${what}: wiped. There is no backup.`,
    partly_wiped: `The wipe began and it is not sure that it ended. Known to be gone: ${what}. ${isCovered ? 'All of it is in the backup: restore it, or run the reset again.' : 'There is no backup. Run the reset again.'}`,
    restored: `${what}: put back.`,
    partly_restored: `Putting back began and it is not sure that it ended. Known to be back: ${what}. Run the restore again; twice is the same as once.`,
    unknown: `Its turn had come, and how far that got could not be read. ${isCovered ? 'What it held is in the backup. ' : ''}Look at the counts before you decide.`,
  }
  return sentences[state]
}

function contentsOf({ targets: { database, files, cache } }: Outcome, target: Target): string {
  if (target === 'database') {
    return `${counted(database.rows, 'row')} in ${counted(Object.keys(database.tables).length, 'table')}`
  }
  if (target === 'files') return `${counted(files.objects, 'file')} (${bytes(files.bytes)})`
  return counted(cache.keys, 'key')
}

/** `schedule`, `api:ci`; who asked is not always known. */
export function askedBy(requestedBy: string | null): string {
  return requestedBy ?? 'not said'
}
