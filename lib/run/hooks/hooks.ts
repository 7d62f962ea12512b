import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import type { Clients } from '../../clients.ts'
import { type Hook, pauseBetweenTries } from '../../config/calls.ts'
import { HookFailed, HookRefused, InvalidConfiguration } from '../../errors.ts'
import {
  type CallKey,
  type CallRow,
  type CallState,
  type Moment,
  noteAnswer,
  noteOwed,
  readCalls,
  takeCall,
} from '../../ledger/calls/calls.ts'
import type { Fence } from '../../ledger/fence.ts'
import { type LedgerLine, ledgerLine } from '../../ledger/line.ts'
import { type RunRow, readRun } from '../../ledger/runs.ts'
import { ensureLedger } from '../../ledger/tables.ts'
import { logger } from '../../log.ts'
import { saidAs } from '../../operations.ts'
import { judge } from '../../web/host.ts'
import { failureOf, send } from './send.ts'

/** What is asked before each call; of a run that is over, whether there is time. */
type MayCall = Pick<Fence, 'check' | 'signal'>

/** Milliseconds from one look at a call that another invocation makes to the next. */
const lookEveryMs = 1_000
/** Seconds that a call is taken for beside its time: the longest pause before the next try, and what noting its end takes. */
const beside = 15

/**
 * Calls the hooks of one moment of a run, in their order, each until it was answered as it should be and then never again,
 * whatever is repeated. Before a run, the first that fails ends it, and nothing was touched.
 * @throws HookFailed, HookRefused when a hook failed for which that is an error; those behind it are not called
 * @throws RunLost, OutOfTime as fence.check does
 * @see docs/decisions.md#a-hook-is-called-once-as-far-as-that-can-be-known
 */
export async function callHooks(
  clients: Clients,
  { runId, moment, fence }: { runId: string; moment: Moment; fence: MayCall },
): Promise<void> {
  await withCalls(clients, runId, async (calling, row) => {
    const hooks = hooksOf(clients, row)
    if (moment === 'before' && clients.config.HOOKS.length === 0)
      throw new InvalidConfiguration(
        `HOOKS_ON says that there are hooks, and HOOKS holds none. Set both, or none. ${untouched(moment)}`,
      )
    if (moment === 'before') {
      await refuseAddresses(clients, hooks)
      const owed = hooks.filter(({ when }) => when === 'always').map(({ name }) => name)
      await calling.line.use((connection) => noteOwed(connection, runId, owed))
    }
    for (const hook of hooks) {
      if (hook.moment !== moment) continue
      const failure = await settle(clients, { ...calling, row, hook, fence })
      if (failure !== null && hook.onFailure === 'error') throw failedHook(row, hook, failure)
    }
  })
}

/**
 * Calls what is owed at the end of a run that is over, and that the machine did not come to: the run failed, was cancelled or
 * was stopped in the middle.
 * @throws HookFailed when one of them failed, after the others were called; it stays owed
 */
export async function callOwed(
  clients: Clients,
  { runId, fence }: { runId: string; fence: MayCall },
): Promise<void> {
  await withCalls(clients, runId, async (calling, row) => {
    const failures: Error[] = []
    const known = await calling.line.use((connection) => readCalls(connection, runId))
    const owed = known.filter(({ state }) => state === 'owed' || state === 'calling')
    for (const hook of hooksOf(clients, row)) {
      const isOwed = owed.some(({ moment, name }) => moment === 'after' && name === hook.name)
      if (!isOwed || hook.when !== 'always') continue
      const failure = await settle(clients, { ...calling, row, hook, fence, stays: 'owed' })
      if (failure !== null) failures.push(failedHook(row, hook, failure))
    }
    if (failures[0] !== undefined) throw failures[0]
  })
}

/** `by`: the invocation, as a call says who makes it. */
type Calling = { line: LedgerLine; by: string }

async function withCalls(
  clients: Clients,
  runId: string,
  use: (calling: Calling, row: RunRow) => Promise<void>,
): Promise<void> {
  const line = ledgerLine(clients)
  try {
    // The run may have been counted by the version before.
    await line.use((connection) => ensureLedger(connection))
    const row = await line.use((connection) => readRun(connection, runId))
    await use({ line, by: randomUUID() }, row)
  } finally {
    await line.close()
  }
}

function hooksOf({ config }: Pick<Clients, 'config'>, { operation }: RunRow): Hook[] {
  return config.HOOKS.filter(({ operations }) => operations.some((one) => one === operation))
}

/** Those after the run, too: where maintenance cannot be ended it is not begun. @throws HookRefused */
async function refuseAddresses({ config }: Pick<Clients, 'config'>, hooks: readonly Hook[]): Promise<void> {
  for (const { name, url } of hooks) {
    const judged = url === undefined ? null : await judge(url, config.ALLOWED_PRIVATE_HOSTS)
    if (judged !== null && 'refused' in judged) throw refusedHook(name, judged.refused)
  }
}

type Failure = { says: string; refused: string | null }

/** @returns what the last try failed with; null: it is done, now or by another invocation */
async function settle(
  clients: Clients,
  {
    line,
    by,
    row,
    hook,
    fence,
    stays,
  }: Calling & {
    row: RunRow
    hook: Hook
    fence: MayCall
    /** What a call is when all tries failed; then each invocation has its own, for nobody but a repetition comes back to it. */
    stays?: CallState
  },
): Promise<Failure | null> {
  const key = { runId: row.runId, moment: hook.moment, name: hook.name }
  const taking = { by, seconds: hook.timeoutSeconds + beside }
  const over: CallState = stays ?? (hook.onFailure === 'error' ? 'failed' : 'tolerated')
  for (let own = 0; ; ) {
    await fence.check()
    const { isOurs, call } = await line.use((connection) => takeCall(connection, key, taking))
    if (call?.state === 'done') return null
    if (call?.state === 'failed' || call?.state === 'tolerated')
      return { says: call.error ?? 'it failed', refused: null }
    if (!isOurs) {
      await setTimeout(lookEveryMs)
      continue
    }
    await checkTaken(line, { key, by, call, fence })
    own += 1
    const tries = stays === undefined ? call.tries : own
    const called = await send(clients, row, { hook, signal: fence.signal })
    const failure = failureOf(called, hook)
    const isLast = failure === null || failure.isFinal || tries >= hook.tries
    const answer = 'status' in called ? called.status : null
    const isCut = fence.signal.aborted
    const state = failure === null ? 'done' : isLast && !isCut ? over : 'calling'
    const became = { by, keeps: !isLast && !isCut, state, answer, error: failure?.says ?? null } as const
    await line.use((connection) => noteAnswer(connection, key, became))
    const about = { runId: row.runId, hook: hook.name, moment: hook.moment, tries, answer }
    if (failure === null) {
      logger.info('hook called', about)
      return null
    }
    logger.warn('hook failed', { ...about, reason: failure.says })
    await fence.check() // its time may have been over, and not the hook's
    if (isLast)
      return {
        says: `${failure.says}, in ${tries === 1 ? 'one try' : `${tries} tries`}`,
        refused: 'refused' in called ? called.refused : null,
      }
    await setTimeout(pauseBetweenTries(tries))
  }
}

/**
 * Asks again, now that nobody else makes a call of the run: it may have ended right before this one was taken, and what is owed then
 * was called by somebody who did not see that.
 */
async function checkTaken(
  line: LedgerLine,
  { key, by, call, fence }: { key: CallKey; by: string; call: CallRow; fence: MayCall },
): Promise<void> {
  try {
    await fence.check()
  } catch (error) {
    const { answer, error: says } = call
    const untried = { by, keeps: false, state: 'calling', answer, error: says } as const
    await line.use((connection) => noteAnswer(connection, key, untried)).catch(() => {}) // its time ends by itself
    throw error
  }
}

function failedHook(
  row: RunRow,
  { name, moment }: Hook,
  { says, refused }: Failure,
): HookFailed | HookRefused {
  if (refused !== null && moment === 'before') return refusedHook(name, refused)
  return new HookFailed(
    `The hook "${name}" ${moment} the ${saidAs(row.operation)} failed: ${says}. ${untouched(moment)} Look at what it calls; its answers are in no log of this tool`,
  )
}

function refusedHook(name: string, says: string): HookRefused {
  return new HookRefused(
    `The hook "${name}" may not be called: ${says}. ${untouched('before')} Correct its address in HOOKS, or name the host in ALLOWED_PRIVATE_HOSTS`,
  )
}

function untouched(moment: Moment): string {
  return moment === 'before' ? 'Nothing was touched.' : 'What the run did to the stores is done, and stays.'
}
