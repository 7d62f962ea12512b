import { GetExecutionHistoryCommand, type HistoryEvent } from '@aws-sdk/client-sfn'
import * as z from 'zod'
import type { Clients } from '../../../lib/clients.ts'
import { executionArn, machineArnOf, machineError } from '../../../lib/executions/executions.ts'
import type { Progress, RunRow } from '../../../lib/ledger/runs.ts'
import { perStore, targets } from '../../../lib/store.ts'
import { words } from '../../../lib/stores/words.ts'

/** One state of the machine that does something, as far as it got. */
export type StepProgress = {
  name: string
  state: 'running' | 'done' | 'failed'
  startedAt: Date
  endedAt: Date | undefined
  /** What it waits for before it changes anything, as the ledger says. */
  waiting: string | undefined
  /** From 0 to 1; undefined when the step does not tell. */
  fraction: number | undefined
}

const failed = /(Failed|TimedOut|Aborted)$/

/** The steps of an execution so far, from its history; how far the ones at work are, from the ledger. */
export async function readSteps(
  { sfn, config }: Pick<Clients, 'sfn' | 'config'>,
  name: string,
  row: Pick<RunRow, 'phase' | 'progress' | 'waiting' | 'plan'> | undefined,
): Promise<StepProgress[]> {
  const machineArn = machineArnOf(config)
  const events: HistoryEvent[] = []
  let token: string | undefined
  do {
    const page = new GetExecutionHistoryCommand({
      executionArn: executionArn(machineArn, name),
      includeExecutionData: false,
      maxResults: 1000,
      nextToken: token,
    })
    const answer = await sfn.send(page).catch((error: unknown) => {
      throw machineError(machineArn, error)
    })
    events.push(...(answer.events ?? []))
    token = answer.nextToken
  } while (token !== undefined)
  return stepsOfRun(events, row)
}

/** The steps of a run: those with something to do, and what the one at work waits for. */
export function stepsOfRun(
  events: readonly HistoryEvent[],
  row: Pick<RunRow, 'phase' | 'progress' | 'waiting' | 'plan'> | undefined,
): StepProgress[] {
  const plan = row?.plan ?? null
  const steps = stepsOf(events, (row?.progress ?? {}) as Progress).filter(({ name }) => hasWork(name, plan))
  const waiting = steps.findLast(({ name, state }) => state === 'running' && name === row?.phase)
  if (waiting !== undefined) waiting.waiting = row?.waiting ?? undefined
  return steps
}

export function stepsOf(events: readonly HistoryEvent[], progress: Progress): StepProgress[] {
  const steps: StepProgress[] = []
  const types = new Map(events.map(({ id, type = '' }) => [id, type]))
  for (const event of events) {
    const { type = '', timestamp = new Date(), previousEventId } = event
    const entered = event.stateEnteredEventDetails?.name
    const exited = event.stateExitedEventDetails?.name
    if (entered !== undefined && /^(Task|Map)StateEntered$/.test(type)) {
      steps.push({
        name: entered,
        state: 'running',
        startedAt: timestamp,
        endedAt: undefined,
        waiting: undefined,
        fraction: undefined,
      })
    }
    const step = steps.findLast(({ name, endedAt }) => name === exited && endedAt === undefined)
    if (step !== undefined)
      end(step, failed.test(types.get(previousEventId) ?? '') ? 'failed' : 'done', timestamp)
    // Branches that a failure beside them cut off are never left.
    if (type === 'ParallelStateExited' || /^Execution(Succeeded|Failed|TimedOut|Aborted)$/.test(type)) {
      for (const step of steps) if (step.endedAt === undefined) end(step, 'failed', timestamp)
    }
  }
  const isFailed = events.some(({ type = '' }) => /^Execution(Failed|TimedOut|Aborted)$/.test(type))
  const isOver = isFailed || events.some(({ type }) => type === 'ExecutionSucceeded')
  for (const step of steps) {
    if (step.name === finishFailed) endOfRun(step, { isFailed, isOver })
    if (step.state === 'running') step.fraction = fractionOf(step.name, progress)
  }
  return steps
}

const finishFailed = 'Finish failed'

/**
 * The state that writes down how a run failed does so without an error of its own: what it stands for is the failed end of the
 * run. When only the answer of "Finish" was lost, the run has succeeded after all: which it was, the end tells.
 */
function endOfRun(step: StepProgress, { isFailed, isOver }: { isFailed: boolean; isOver: boolean }): void {
  step.name = 'Finish'
  if (isFailed) step.state = 'failed'
  if (isOver) return
  step.state = 'running'
  step.endedAt = undefined
}

const section = z.object({ batches: z.number().default(1) }).nullish()
const sections = perStore(() => section)
const Work = z.object({
  ...sections,
  restore: z.object({ batches: z.number(), ...sections }).nullish(),
  subject: z.object({ rehearse: z.boolean() }).optional(),
})
type Work = z.output<typeof Work>

/** Batches of the states that the machine also passes when there is nothing for them to do. */
const workOf: Record<string, (plan: Work) => number> = {
  Rehearse: ({ database }) => database?.batches ?? 0,
  'Load backup': ({ restore, subject }) => (subject ? Number(subject.rehearse) : (restore?.batches ?? 0)),
}
for (const target of targets) {
  workOf[words[target].backedUpIn] = (plan) => plan[target]?.batches ?? 0
  if (!words[target].isChangedInBatches) continue
  workOf[`Wipe ${target}`] = (plan) => plan[target]?.batches ?? 0
  workOf[`Restore ${target}`] = ({ restore }) => restore?.[target]?.batches ?? 0
}

/** Whether a step does anything in this run: one that has nothing to do was not done. @param plan the ledger's */
function hasWork(name: string, plan: unknown): boolean {
  if (plan === null) return true
  return (workOf[name]?.(Work.parse(plan)) ?? 1) > 0
}

function end(step: StepProgress, state: 'done' | 'failed', at: Date): void {
  step.state = state
  step.endedAt = at
}

/** The ledger counts per batch; a batch that has not begun is not in it. */
function fractionOf(name: string, progress: Progress): number | undefined {
  const batches = Object.entries(progress).filter(([key]) => key.startsWith(`${name}/`))
  const sum = (pick: (batch: { done: number; total: number }) => number) =>
    batches.reduce((total, [, batch]) => total + pick(batch), 0)
  const total = sum((batch) => batch.total)
  return total > 0 ? sum((batch) => batch.done) / total : undefined
}
