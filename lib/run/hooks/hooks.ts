import { setTimeout } from 'node:timers/promises'
import type { Clients } from '../../clients.ts'
import { type Hook, pauseBetweenTries } from '../../config/calls.ts'
import { HookFailed, HookRefused, InvalidConfiguration } from '../../errors.ts'
import {
  type CallRow,
  type CallState,
  type Moment,
  noteAnswer,
  noteOwed,
  noteTry,
  readCalls,
  tryToLockCalls,
} from '../../ledger/calls/calls.ts'
import type { Fence } from '../../ledger/fence.ts'
import { type LedgerLine, ledgerLine } from '../../ledger/line.ts'
import { type RunRow, readRun } from '../../ledger/runs.ts'
import { logger } from '../../log.ts'
import { saidAs } from '../../operations.ts'
import { judge } from '../../web/host.ts'
import { failureOf, send } from './send.ts'

/** What is asked before each call; of a run that is over, whether there is time. */
type MayCall = Pick<Fence, 'check' | 'signal'>

/** Milliseconds. Neon suspends a database that was asked nothing for five minutes, and the lock would go with it. */
const askEveryMs = 60_000
const lookEveryMs = 1_000

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
  await withCalls(clients, { runId, fence }, async (line, row, known) => {
    const hooks = hooksOf(clients, row)
    if (moment === 'before' && clients.config.HOOKS.length === 0)
      throw new InvalidConfiguration(
        `HOOKS_ON says that there are hooks, and HOOKS holds none. Set both, or none. ${untouched(moment)}`,
      )
    if (moment === 'before') {
      await refuseAddresses(clients, hooks)
      const owed = hooks.filter(({ when }) => when === 'always').map(({ name }) => name)
      await line.use((connection) => noteOwed(connection, runId, owed))
    }
    for (const hook of hooks) {
      if (hook.moment !== moment) continue
      const failure = await settle(clients, {
        line,
        row,
        hook,
        fence,
        known: known.get(`${moment} ${hook.name}`),
      })
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
  await withCalls(clients, { runId, fence }, async (line, row, known) => {
    const failures: Error[] = []
    const owed = [...known.values()].filter(({ state }) => state === 'owed' || state === 'calling')
    for (const hook of hooksOf(clients, row)) {
      const call = owed.find(({ moment, name }) => moment === 'after' && name === hook.name)
      if (call === undefined || hook.when !== 'always') continue
      // Each invocation has its tries: nobody but a repetition comes back to it.
      const failure = await settle(clients, {
        line,
        row,
        hook,
        fence,
        known: { ...call, tries: 0 },
        stays: 'owed',
      })
      if (failure !== null) failures.push(failedHook(row, hook, failure))
    }
    if (failures[0] !== undefined) throw failures[0]
  })
}

async function withCalls(
  clients: Clients,
  { runId, fence }: { runId: string; fence: MayCall },
  use: (line: LedgerLine, row: RunRow, known: Map<string, CallRow>) => Promise<void>,
): Promise<void> {
  const line = ledgerLine(clients)
  try {
    while (!(await line.use((connection) => tryToLockCalls(connection, runId)))) {
      await fence.check()
      await setTimeout(lookEveryMs)
    }
    const row = await line.use((connection) => readRun(connection, runId))
    const calls = await line.use((connection) => readCalls(connection, runId))
    await use(line, row, new Map(calls.map((call) => [`${call.moment} ${call.name}`, call])))
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

/** @returns what the last try failed with; null: it is done, now or since an earlier invocation */
async function settle(
  clients: Clients,
  {
    line,
    row,
    hook,
    fence,
    known,
    stays,
  }: {
    line: LedgerLine
    row: RunRow
    hook: Hook
    fence: MayCall
    known: CallRow | undefined
    /** What a call is when all tries failed; left out: over. */
    stays?: CallState
  },
): Promise<Failure | null> {
  if (known?.state === 'done') return null
  if (known?.state === 'failed' || known?.state === 'tolerated')
    return { says: known.error ?? 'it failed', refused: null }
  const key = { runId: row.runId, moment: hook.moment, name: hook.name }
  const over: CallState = stays ?? (hook.onFailure === 'error' ? 'failed' : 'tolerated')
  for (let tries = (known?.tries ?? 0) + 1; ; tries++) {
    await fence.check()
    if (!(await line.use((connection) => noteTry(connection, key)))) return null
    const called = await awake(line, send(clients, row, { hook, signal: fence.signal }))
    const failure = failureOf(called, hook)
    const isLast = failure === null || failure.isFinal || tries >= hook.tries
    const answer = 'status' in called ? called.status : null
    const state = failure === null ? 'done' : isLast && !fence.signal.aborted ? over : 'calling'
    await line.use((connection) =>
      noteAnswer(connection, key, { state, answer, error: failure?.says ?? null }),
    )
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

/** Keeps the ledger's connection, and with it the lock, while something takes long. */
async function awake<Result>(line: LedgerLine, work: Promise<Result>): Promise<Result> {
  const asking = setInterval(() => {
    line.use((connection) => connection.query('SELECT 1')).catch(() => {}) // whoever asks next hears of it
  }, askEveryMs)
  try {
    return await work
  } finally {
    clearInterval(asking)
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
