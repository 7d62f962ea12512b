import type { Run } from '../../lib/http/answers/run.ts'
import { statusWords } from '../../lib/ledger/status.ts'
import { operationOf, saidAs } from '../../lib/operations.ts'
import type { Outcome } from '../../lib/run/outcome.ts'
import { subjectSentence } from '../../lib/run/subject-state.ts'
import { changedBy } from '../../lib/run/words/next-steps.ts'
import { amountOfStore, ofBackupOfStore } from '../../lib/run/words/outcome.ts'
import { wouldBeRefused } from '../../lib/run/words/would-words.ts'
import type { Target, TargetState } from '../../lib/store.ts'
import { targets } from '../../lib/store.ts'
import { duration } from '../numbers.ts'
import { stores } from '../stores/stores.ts'
import { pageOf } from './operations.ts'
import type { Stage } from './steps.ts'

/** `Reset, full` or `Dry run of reset, full`. */
export function titleOf({
  operation,
  strategy,
  dryRun,
}: Pick<Run, 'operation' | 'strategy' | 'dryRun'>): string {
  const name = pageOf(operation).title
  const what = dryRun ? `Dry run of ${name.toLowerCase()}` : name
  return strategy === null ? what : `${what}, ${strategy}`
}

/** The backup that a run is about, and how: what it puts back, checks or deletes. */
export function aboutBackup({
  operation,
  backupId,
  restoredBackupId,
}: Pick<Run, 'operation' | 'backupId' | 'restoredBackupId'>): { says: string; backupId: string } | null {
  if (restoredBackupId !== null) return { says: 'from', backupId: restoredBackupId }
  if (backupId === null || operationOf(operation)?.actsOn !== 'backup') return null
  return { says: 'of', backupId }
}

type Ended = Pick<Run, 'status' | 'dryRun' | 'wouldDo'>

/** How a run stands, in a word or two. A dry run did nothing: it says what the run would come to that it stands for. */
export function statusOf({ status, dryRun, wouldDo }: Ended): string {
  if (!dryRun || isActive({ status })) return statusWords[status] ?? status
  if (wouldDo?.refusal) return 'dry run: would be refused'
  return status === 'failed' ? 'dry run: failed' : 'dry run: would run'
}

export function isActive({ status }: Pick<Run, 'status'>): boolean {
  return status === 'starting' || status === 'running'
}

/** How the run stands or ended, in one sentence or two. */
export function headlineOf(run: Run, stages: readonly Stage[], now = new Date()): string {
  const { status, startedAt, finishedAt, outcome } = run
  if (status === 'starting') return 'The run is starting.'
  if (status === 'running') return `${runningSentence(run, stages, now)}${waitingSentence(run)}`
  const took = finishedAt === null ? '' : ` after ${duration(Date.parse(finishedAt) - Date.parse(startedAt))}`
  if (status === 'cancelled') return `Cancelled${took}, before anything was changed.`
  if (status === 'abandoned') {
    return 'It gave no sign of life for too long, and another run took its place. How far it got is not known.'
  }
  if (run.dryRun) return dryRunSentence(run)
  const subject = outcome?.subject === undefined ? '' : ` ${subjectSentence(outcome.subject)}`
  if (status === 'failed') {
    const damage = outcome === null || subject !== '' ? subject : ` ${damageOf(outcome)}`
    return `Failed${took}.${damage}`
  }
  const warnings = status === 'succeeded' ? '' : ', with warnings that need a look'
  return `Succeeded${took}${warnings}.${subject}`
}

/** First what would refuse the run that the dry run stands for. */
function dryRunSentence({ operation, wouldDo, status }: Run): string {
  const refused = wouldDo && wouldBeRefused(wouldDo)
  if (refused)
    return `The ${saidAs(operation)} ${refused}${/[.!?]$/.test(refused) ? '' : '.'} Nothing was written.`
  if (status === 'failed')
    return `What the ${saidAs(operation)} would do could not be found out. Nothing was written.`
  return 'Counted and planned; nothing was written.'
}

function runningSentence({ startedAt }: Run, stages: readonly Stage[], now: Date): string {
  const running = stages.flatMap(({ steps }) => steps).filter(({ state }) => state === 'running')
  const stage = stages.findIndex(({ steps }) => steps.some(({ state }) => state === 'running'))
  const since = `for ${duration(now.getTime() - Date.parse(startedAt))}`
  if (running.length === 0) return `Running ${since}.`
  const names = new Intl.ListFormat('en').format(running.map(({ name }) => name))
  return `${names}: stage ${stage + 1} of ${stages.length}. Running ${since}.`
}

/** While a step waits, nothing is changed; who is in the way is what a person has to know. */
function waitingSentence({ waiting }: Run): string {
  return waiting === null ? '' : ` It is ${waiting}. Nothing is changed until it has them.`
}

function damageOf(outcome: Outcome): string {
  const changed = changedBy(outcome)
  if (changed.length === 0) return 'Nothing was wiped or replaced.'
  return `What was done before stays done: see ${new Intl.ListFormat('en').format(changed)} below.`
}

const changes: Record<string, string> = { Wipe: 'wiping', Restore: 'putting back' }

/** Whether an active run can be cancelled, and why not: from what the ledger says of the step that it is in. */
export function cancelSentence({
  operation,
  dryRun,
  cancellable,
  phase,
  waiting,
}: Pick<Run, 'operation' | 'dryRun' | 'cancellable' | 'phase' | 'waiting'>): string {
  const { actsOn, changes: becomes = 'replaced' } = operationOf(operation) ?? {}
  if (cancellable) {
    if (waiting !== null) return 'Possible: it waits, and has changed nothing yet.'
    if (dryRun || becomes === null) return 'Possible until it ends: it changes nothing.'
    return `Possible until ${actsOn === 'backup' ? 'the backup' : 'something'} is ${becomes}.`
  }
  if (actsOn === 'environment') return 'It ends by itself in a moment.'
  const [verb = '', store = ''] = (phase ?? '').split(' ')
  if (verb === 'Delete') return 'Too late to cancel: the backup is being deleted.'
  const change = changes[verb] ?? 'changing the stores'
  const where = targets.some((target) => target === store) ? `, and is at the ${store}` : ''
  return `Too late to cancel: ${change} has begun${where}. Let it end; what it took a backup of can be put back.`
}

/** How often a run plans, of which the machine takes back the last but one when the backup was stale. */
const attempts = 3

/** A backup that was stale is taken again. */
export function staleSentence({ attempt, cancellable }: Pick<Run, 'attempt' | 'cancellable'>): string | null {
  if (attempt === 0) return null
  const times = attempt === 1 ? 'once more' : `${attempt} times more`
  return `More was written after the backup than may be added to it under the lock, so it counted and backed up ${times}: attempt ${attempt + 1} of ${attempts}.${cancellable ? ' Nothing is wiped or replaced yet.' : ''}`
}

/** What happened to one target, for somebody who does not know the words of this tool. */
export function sentenceOf(outcome: Outcome, target: Target): string {
  const { state } = outcome.targets[target]
  const what = amountOf(target, outcome.targets[target])
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
  return sentences[state] + backupSentence(target, outcome.targets[target])
}

function backupSentence<T extends Target>(target: T, counts: Outcome['targets'][T]): string {
  const says = ofBackupOfStore(target, counts)
  return says === null ? '' : ` ${says[0]?.toUpperCase()}${says.slice(1)}.`
}

function amountOf<T extends Target>(target: T, counts: Outcome['targets'][T]): string {
  return stores[target].amount?.(counts) ?? amountOfStore(target, counts)
}

/** `schedule`, `api:ci`; who asked is not always known. */
export function askedBy(requestedBy: string | null): string {
  return requestedBy ?? 'not said'
}
