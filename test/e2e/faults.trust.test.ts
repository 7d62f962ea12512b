import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fenceKey } from '../../lib/cache/keys.ts'
import { Outcome } from '../../lib/run/outcome.ts'
import { nextStepsOf } from '../../lib/run/words/next-steps.ts'
import { loadFunctions } from '../../local/functions.ts'
import { close, LOOPBACK, listen } from '../../local/loopback.ts'
import type { Handler } from '../../local/machine/tasks.ts'
import { errorElement, holding, isBulkDelete, objectsIn, s3Error } from '../files/s3-front.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { invocationsAtWork } from './at-work.ts'
import { useFronts } from './fronts.ts'
import {
  type Ended,
  environment,
  filesBucket,
  filesPrefix,
  fullReset,
  quickReset,
  useResetStack,
  withVariables,
} from './reset-stack.ts'

type Call = { state: string; invocation: number }

/** Looked at before and after each invocation; what it throws is what Lambda then reports. */
let before: (call: Call) => void | Promise<void> = () => {}
let after: (call: Call) => void | Promise<void> = () => {}
/** Replaces an invocation. */
let instead: ((call: Call, run: () => Promise<unknown>) => unknown) | undefined
const invocations = new Map<string, number>()

const atWork = invocationsAtWork()
const reset = useResetStack({
  loadFunctions: async () => {
    const functions = Object.entries(await loadFunctions())
    return Object.fromEntries(functions.map(([name, handler]) => [name, faulty(name, handler)]))
  },
})
const fronts = useFronts(reset)

function faulty(name: string, handler: Handler): Handler {
  return atWork.watch(async (event, context) => {
    const state = stateOf(name, event as Record<string, unknown>)
    const call = { state, invocation: (invocations.get(state) ?? 0) + 1 }
    invocations.set(state, call.invocation)
    await before(call)
    const run = async () => handler(event, context)
    const answer = instead === undefined ? await run() : await instead(call, run)
    await after(call)
    return answer
  })
}

function stateOf(name: string, input: Record<string, unknown>): string {
  const targets = { database: 'database batch', cache: 'cache batch' } as Record<string, string>
  if (name === 'count') return input.attempt === 0 ? 'Count' : 'Count again'
  if (input.purpose === 'reconcile') return 'Reconcile'
  if (name === 'export') return `Export ${targets[String(input.target)]}`
  if (name === 'copy') return 'Copy files batch'
  if (name === 'wipe') return `Wipe ${input.target === 'files' ? 'files batch' : input.target}`
  if (name === 'restore') return 'Restore database'
  if (name === 'putback') return `Restore ${input.target === 'files' ? 'files batch' : input.target}`
  if (name === 'load') return 'Rehearse batch'
  if (name === 'compare') return 'Compare'
  if (name === 'finish') return input.error === undefined ? 'Finish' : 'Finish failed'
  if (name === 'hooks') return `Hooks ${input.moment}`
  if (name === 'notify') return 'Notify'
  if (name === 'verify' && input.target !== undefined) return `Diff ${input.target}`
  if (name === 'verify') return input.batch === undefined ? 'Judge' : 'Verify batch'
  return 'Seal'
}

/** The faults last for one execution. */
async function withFaults<Result>(
  faults: { before?: typeof before; after?: typeof after; instead?: typeof instead },
  use: () => Promise<Result>,
): Promise<Result> {
  invocations.clear()
  before = faults.before ?? before
  after = faults.after ?? after
  instead = faults.instead
  try {
    return await use()
  } finally {
    before = () => {}
    after = () => {}
    instead = undefined
    await atWork.settled()
  }
}

function errorNamed(name: string, message = `injected ${name}`): Error {
  return Object.assign(new Error(message), { name })
}

const isEmpty = {
  database: (print: Record<string, string>) =>
    Object.entries(print).every(
      ([name, text]) =>
        !/\.(users|worlds|stories|events|tickets|empty_one)$/.test(name) ||
        / 0 0$/.test(` ${text.slice(text.indexOf(' ') + 1)}`),
    ),
  files: (print: string[]) => !print.some((line) => line.startsWith(filesPrefix)),
  cache: (print: string[]) => print.length === 1,
}

type Print = Awaited<ReturnType<typeof reset.fingerprint>>

/** The outcome says of each store what is really there. */
function checkHonest(outcome: Outcome, { was, is }: { was: Print; is: Print }): void {
  for (const store of ['database', 'files', 'cache'] as const) {
    const { state } = outcome.targets[store]
    if (state === 'wiped') expect(isEmpty[store](is[store] as never), store).toBe(true)
    else expect(is[store], `${store} is said to be ${state}`).toEqual(was[store])
    expect(state === 'backed_up').toBe(outcome.backupId !== null && state !== 'wiped')
  }
}

async function failedOutcome(ended: Ended): Promise<Outcome> {
  expect(ended.status).toBe('FAILED')
  const row = await reset.row(ended.name)
  expect(row.status).toBe('failed')
  expect(row.finished_at).not.toBeNull()
  const outcome = Outcome.parse(row.outcome)
  expect(outcome.status).toBe('failed')
  expect([outcome.error?.name, outcome.error?.message]).toEqual([ended.error, ended.cause])
  return outcome
}

/** What a failure in each state leaves of database, files and cache; and by which name Step Functions reports it. */
const untouched = ['untouched', 'untouched', 'untouched']
const backedUp = ['backed_up', 'backed_up', 'backed_up']
const states: Record<string, { failsBefore: string[]; failsAfter: string[] }> = {
  Count: { failsBefore: untouched, failsAfter: untouched },
  'Hooks before': { failsBefore: untouched, failsAfter: untouched },
  'Export database batch': { failsBefore: untouched, failsAfter: untouched },
  'Copy files batch': { failsBefore: untouched, failsAfter: untouched },
  'Export cache batch': { failsBefore: untouched, failsAfter: untouched },
  'Rehearse batch': { failsBefore: untouched, failsAfter: untouched },
  Compare: { failsBefore: untouched, failsAfter: untouched },
  Reconcile: { failsBefore: untouched, failsAfter: untouched },
  Seal: { failsBefore: untouched, failsAfter: backedUp },
  'Wipe database': { failsBefore: backedUp, failsAfter: ['wiped', 'backed_up', 'backed_up'] },
  'Wipe files batch': {
    failsBefore: ['wiped', 'backed_up', 'backed_up'],
    failsAfter: ['wiped', 'wiped', 'backed_up'],
  },
  'Wipe cache': { failsBefore: ['wiped', 'wiped', 'backed_up'], failsAfter: ['wiped', 'wiped', 'wiped'] },
  'Hooks after': { failsBefore: ['wiped', 'wiped', 'wiped'], failsAfter: ['wiped', 'wiped', 'wiped'] },
  Finish: { failsBefore: ['wiped', 'wiped', 'wiped'], failsAfter: ['wiped', 'wiped', 'wiped'] },
}

/** An application that does all that its hooks ask for. */
const application = createServer((_, response) => response.end())
let hooks: Record<string, string>
beforeAll(async () => {
  const url = `http://${LOOPBACK}:${await listen(application)}`
  const both = ['before', 'after'].map((moment) => ({ name: moment, moment, url, secret: 's'.repeat(32) }))
  hooks = { HOOKS: JSON.stringify(both), ALLOWED_PRIVATE_HOSTS: LOOPBACK }
})
afterAll(() => close(application))

/** A reset that comes by the state: it is rehearsed, exported in several batches, or has hooks, only where that is what fails. */
function resetBy(state: string): Promise<Ended> {
  const EXPORT_BATCH_BYTES = state === 'Reconcile' ? '20000' : undefined
  const request = /^(Rehearse|Compare)/.test(state) ? fullReset : quickReset
  const variables = { EXPORT_BATCH_BYTES, ...(state.startsWith('Hooks') ? hooks : {}) }
  return withVariables(variables, () => reset.run(request))
}

describe('a failure', () => {
  test('is tried in every state that calls a function', () => {
    const text = readFileSync(new URL('../../state-machine.asl.json', import.meta.url), 'utf8')
    const tasks = [...text.matchAll(/"([^"]+)": \{\s+"Type": "Task"/g)].map(([, name]) => name)
    // Those of a restore, of pruning, and of runs on one backup have tests of their own.
    const ours = tasks.filter(
      (name = '') => !/^(Load backup|Compare backup|Restore|Prune|Verify|Judge|Diff|Delete)/.test(name),
    )
    expect([...Object.keys(states), 'Count again', 'Finish failed'].sort()).toEqual(ours.sort())
  })

  // The short form tries one state before, and another after.
  test.each(Object.entries(states).filter(([state]) => isFull || state === 'Copy files batch'))(
    'before %s leaves untouched what was not wiped yet, and ends the run',
    async (state, { failsBefore }) => {
      await reset.seed()
      const was = await reset.fingerprint()
      const fault = (call: Call) => {
        if (call.state === state) throw errorNamed('Crashed', `injected before ${state}`)
      }
      const ended = await withFaults({ before: fault }, () => resetBy(state))
      const is = await reset.fingerprint()
      if (state === 'Count') {
        expect(ended).toMatchObject({ status: 'FAILED', error: 'Crashed', cause: 'injected before Count' })
        expect(await reset.row(ended.name)).toBeUndefined()
        expect(is).toEqual(was)
      } else {
        const inMap = state.endsWith('batch')
        expect(ended.error).toBe(inMap ? 'States.ExceedToleratedFailureThreshold' : 'Crashed')
        expect(ended.cause).toContain(
          inMap ? 'ended without saying why: its function crashed' : `injected before ${state}`,
        )
        const outcome = await failedOutcome(ended)
        expect(Object.values(outcome.targets).map((target) => target.state)).toEqual(failsBefore)
        checkHonest(outcome, { was, is })
      }
      if (!state.startsWith('Wipe')) return // that another run may begin is shown by the test that comes next
      const next = await reset.succeed(quickReset)
      expect(next.status).toBe('succeeded')
      expect(Object.values(next.targets).map((target) => target.state)).toEqual(['wiped', 'wiped', 'wiped'])
      const left = Object.values(failsBefore).map((said) => (said === 'wiped' ? 0 : 1))
      expect([next.targets.database.rows, next.targets.files.objects, next.targets.cache.keys]).toEqual([
        607 * (left[0] ?? 0),
        12 * (left[1] ?? 0),
        16 * (left[2] ?? 0),
      ])
    },
  )

  const onBackup = {
    'Verify batch': 'verify',
    Judge: 'verify',
    'Diff database': 'diff',
    'Diff files': 'diff',
    'Diff cache': 'diff',
  } as const
  test.runIf(isFull).each(Object.entries(onBackup))(
    `before or after %s of a %s changes nothing, and tells nothing about the backup ${inFullForm}`,
    async (state, operation) => {
      await reset.seed({ users: 3, files: 2, keys: 2 })
      const { backupId } = await reset.succeed({ operation: 'backup', rehearse: false })
      const was = await reset.fingerprint()
      for (const when of ['before', 'after']) {
        const fault = (call: Call) => {
          if (call.state === state) throw errorNamed('Crashed', `injected ${when} ${state}`)
        }
        const ended = await withFaults({ [when]: fault }, () => reset.run({ operation, backupId }))
        const { subject } = await failedOutcome(ended)
        expect(subject).toMatchObject({ backupId, state: operation === 'diff' ? 'kept' : 'unknown' })
        expect(await reset.fingerprint()).toEqual(was)
      }
      const { subject } = await reset.succeed({ operation, backupId })
      expect(subject).toMatchObject({ backupId, state: operation === 'diff' ? 'compared' : 'verified' })
    },
  )

  test.each(
    Object.entries(states).filter(([state]) => state !== 'Finish' && (isFull || state === 'Wipe cache')),
  )(
    'after %s, its answer lost for good, ends the run with what is really there',
    async (state, { failsAfter }) => {
      await reset.seed()
      const was = await reset.fingerprint()
      const fault = (call: Call) => {
        if (call.state === state) throw errorNamed('Crashed', `injected after ${state}`)
      }
      const ended = await withFaults({ after: fault }, () => resetBy(state))
      const outcome = await failedOutcome(ended)
      expect(Object.values(outcome.targets).map((target) => target.state)).toEqual(failsAfter)
      checkHonest(outcome, { was, is: await reset.fingerprint() })
    },
  )

  test.runIf(isFull)(
    `after Finish, its answer lost for good, is a success: the ledger has the outcome ${inFullForm}`,
    async () => {
      await reset.seed()
      const fault = (call: Call) => {
        if (call.state === 'Finish') throw errorNamed('Crashed')
      }
      const ended = await withFaults({ after: fault }, () => reset.run(quickReset))
      expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { status: 'succeeded' } })
      const row = await reset.row(ended.name)
      expect(row.outcome).toEqual(ended.output)
      expect(row.outcome.targets.database).toMatchObject({ state: 'wiped', rows: 607 })
    },
  )

  test.runIf(isFull)(
    `of Finish failed itself keeps the first error, and the lock until the run is dead ${inFullForm}`,
    async () => {
      await reset.seed()
      const was = await reset.fingerprint()
      const fault = (call: Call) => {
        if (call.state === 'Seal') throw errorNamed('FirstError', 'the first error')
        if (call.state === 'Finish failed') throw errorNamed('SecondError')
      }
      const ended = await withFaults({ before: fault }, () => reset.run(quickReset))
      expect(ended).toMatchObject({ status: 'FAILED', error: 'FirstError' })
      expect(ended.cause).toContain('the first error')
      expect((await reset.row(ended.name)).status).toBe('running')
      const refused = await reset.run(quickReset)
      expect(refused).toMatchObject({ status: 'FAILED', error: 'RunActive' })
      expect(refused.cause).toContain(ended.name)
      expect(await reset.fingerprint()).toEqual(was)
      await reset.stack.admin.query(
        `UPDATE taskmaster_reset.runs SET heartbeat_at = now() - interval '21 minutes' WHERE run_id = $1`,
        [ended.name],
      )
      expect((await reset.succeed(quickReset)).targets.database.rows).toBe(607)
      expect(await reset.row(ended.name)).toMatchObject({ status: 'abandoned', outcome: null })
    },
  )

  test.runIf(isFull)(
    `after Finish failed, its answer lost for good, is in the ledger all the same ${inFullForm}`,
    async () => {
      await reset.seed()
      const fault = (call: Call) => {
        if (call.state === 'Finish failed') throw errorNamed('Crashed')
      }
      const ended = await withFaults(
        {
          before: ({ state }) => {
            if (state === 'Seal') throw errorNamed('FirstError', 'the first error')
          },
          after: fault,
        },
        () => reset.run(quickReset),
      )
      expect(ended).toMatchObject({ status: 'FAILED', error: 'FirstError' })
      expect((await reset.row(ended.name)).outcome.error).toEqual({
        name: 'FirstError',
        message: 'the first error',
      })
      await reset.succeed({ operation: 'reset', strategy: 'cache-only', confirm: environment, backup: false })
    },
  )

  test.runIf(isFull).each(['before', 'after'] as const)(
    `%s Count again leaves everything untouched ${inFullForm}`,
    async (when) => {
      await reset.seed()
      const was = await reset.fingerprint()
      const change = async ({ state }: Call) => {
        if (state === 'Wipe database')
          await reset.stack.sql.query(`INSERT INTO events (what) SELECT repeat('late', 9)`)
      }
      const fault = (call: Call) => {
        if (call.state === 'Count again') throw errorNamed('Crashed', 'injected at Count again')
      }
      const ended = await withVariables({ LATE_MAX_BYTES: '1' }, () =>
        withFaults(
          when === 'after'
            ? { before: change, after: fault }
            : {
                before: async (call) => {
                  await change(call)
                  fault(call)
                },
              },
          () => reset.run(quickReset),
        ),
      )
      const outcome = await failedOutcome(ended)
      const { 'public.events': _, ...others } = was.database
      const is = await reset.fingerprint()
      expect(is).toMatchObject({ database: others, files: was.files, cache: was.cache })
      // The first attempt's backup is sealed; after the second attempt was planned, it is that one's that counts.
      const expected = when === 'before' ? backedUp : untouched
      expect(Object.values(outcome.targets).map((target) => target.state)).toEqual(expected)
    },
  )
})

describe('a step', () => {
  test.runIf(isFull)(
    `that is repeated, because Lambda was busy before it or lost its answer, gives the same ${inFullForm}`,
    async () => {
      await reset.seed()
      const calls: string[] = []
      const outcome = await withFaults(
        {
          before: ({ state, invocation }) => {
            calls.push(state)
            if (invocation === 1) throw errorNamed('Lambda.TooManyRequestsException')
          },
          after: ({ invocation }) => {
            if (invocation === 2) throw errorNamed('Lambda.Unknown')
            if (invocation === 3) throw errorNamed('Sandbox.Timedout')
          },
        },
        () => reset.succeed(fullReset),
      )
      const skipped = ['Reconcile', 'Hooks before', 'Hooks after'] // there is one batch, and no hook
      const passed = Object.keys(states).filter((state) => !skipped.includes(state))
      for (const state of passed)
        expect(
          calls.filter((call) => call === state),
          state,
        ).toHaveLength(4)
      expect(outcome).toMatchObject({
        status: 'succeeded',
        targets: {
          database: { state: 'wiped', rows: 607 },
          files: { state: 'wiped', objects: 12 },
          cache: { state: 'wiped', keys: 16 },
        },
      })
      expect(await reset.manifestOf(outcome.backupId)).toMatchObject({
        database: { rows: 607 },
        files: { objects: 12 },
        cache: { keys: 16 },
      })
      expect((await reset.row(outcome.runId)).failure).toBeNull()
    },
  )

  test.runIf(isFull)(
    `that failed once and then succeeded is not what a later failure is blamed on ${inFullForm}`,
    async () => {
      await reset.seed()
      const ended = await withFaults(
        {
          instead: async ({ state, invocation }, run) => {
            if (state === 'Wipe files batch') throw errorNamed('Crashed')
            if (state !== 'Copy files batch' || invocation > 1) return run()
            fronts.s3.faults = [
              ({ key, method }) =>
                method === 'PUT' && key.includes('/results/') ? s3Error(400, 'BadDigest') : undefined,
            ]
            try {
              return await run()
            } finally {
              fronts.s3.faults = []
            }
          },
        },
        () => withVariables(fronts.variables, () => reset.run(quickReset)),
      )
      expect(ended.error).toBe('States.ExceedToleratedFailureThreshold')
      expect((await failedOutcome(ended)).targets.database.state).toBe('wiped')
    },
  )

  test('below a Map that failed gives the run its own error', async () => {
    await reset.seed()
    const was = await reset.fingerprint()
    fronts.s3.faults = [
      ({ key, method }) =>
        method === 'PUT' && key.includes('/cache/') ? s3Error(403, 'AccessDenied') : undefined,
    ]
    const ended = await withVariables(fronts.variables, () => reset.run(quickReset))
    expect(ended.error).toBe('NotPermitted')
    expect(ended.cause).toMatch(
      /^S3 refuses to write s3:\/\/taskmaster-backups\/.*\/cache\/00000\.jsonl\.zst: /,
    )
    checkHonest(await failedOutcome(ended), { was, is: await reset.fingerprint() })
  })
})

describe('a wipe', () => {
  test.runIf(isFull)(
    `of a store whose mark is gone when its turn comes does not touch it ${inFullForm}`,
    async () => {
      await reset.seed()
      const ended = await withFaults(
        {
          before: async ({ state }) => {
            if (state === 'Wipe cache') await reset.stack.redis.del('taskmaster:environment')
          },
        },
        () => reset.run(quickReset),
      )
      expect(ended.error).toBe('EnvironmentUnclaimed')
      const outcome = await failedOutcome(ended)
      expect(outcome.targets.cache).toEqual({ state: 'backed_up', keys: 16 })
      expect(await reset.stack.redis.dbsize()).toBe(17) // with the fencing number
      // The other stores were wiped before: nobody says that nothing was.
      expect(outcome.error?.message).toMatch(/carries no environment's name\. This step touched nothing; /)
      expect(nextStepsOf(outcome)[0]?.says).toContain('database wiped, files wiped, cache backed up')
    },
  )

  test.runIf(isFull)(`or a restore of such a store does not touch it either ${inFullForm}`, async () => {
    await reset.seed({ users: 1, files: 1, keys: 1 })
    const { backupId } = await reset.succeed({ operation: 'backup', strategy: 'cache-only' })
    await reset.stack.redis.set('came-later', 'stays')
    const ended = await withFaults(
      {
        before: async ({ state }) => {
          if (state === 'Restore cache') await reset.stack.redis.del('taskmaster:environment')
        },
      },
      () => reset.run({ operation: 'restore', backupId, confirm: environment, exact: true }),
    )
    expect(ended.error).toBe('EnvironmentUnclaimed')
    const outcome = await failedOutcome(ended)
    expect(outcome.targets.cache.state).toBe('backed_up')
    expect(await reset.stack.redis.get('came-later')).toBe('stays')
    await reset.stack.redis.del('came-later')
  })

  test.runIf(isFull)(
    `whose answer was lost while it waits for its lock finds the run closed, and does nothing ${inFullForm}`,
    async () => {
      await reset.seed()
      const was = await reset.fingerprint()
      await reset.stack.admin.query('BEGIN; LOCK TABLE users IN ACCESS SHARE MODE')
      let zombie: Promise<unknown> = Promise.resolve()
      const ended = await withFaults(
        {
          instead: async ({ state }, run) => {
            if (state !== 'Wipe database') return run()
            zombie = run().catch((error: Error) => error)
            await waitUntil(async () => (await waitingForLocks()) > 0)
            throw errorNamed('States.Timeout')
          },
        },
        () => reset.run(quickReset),
      )
      await reset.stack.admin.query('COMMIT')
      const outcome = await failedOutcome(ended)
      expect(await zombie).toMatchObject({ name: expect.stringMatching(/RunLost|DatabaseBusy/) })
      checkHonest(outcome, { was, is: await reset.fingerprint() })
      expect(outcome.targets.database.state).toBe('backed_up')
    },
  )

  test.runIf(isFull)(
    `whose answer was lost while it is at work is waited for, and stands in the outcome ${inFullForm}`,
    async () => {
      await reset.seed()
      const was = await reset.fingerprint()
      const { promise: held, resolve: isHeld } = Promise.withResolvers<void>()
      const { promise: released, resolve: release } = Promise.withResolvers<void>()
      const ended = await withFaults(
        {
          before: ({ state }) => {
            if (state === 'Finish failed') setTimeout(release, 300)
          },
          instead: async ({ state }, run) => {
            if (state !== 'Wipe database') return run()
            // It looks for late parts inside its transaction, after it has locked the ledger's row.
            fronts.s3.faults = [
              async ({ query }) => {
                if (!query.get('prefix')?.endsWith('/late-')) return undefined
                isHeld()
                await released
                return undefined
              },
            ]
            run().catch(() => {})
            await held
            throw errorNamed('States.Timeout')
          },
        },
        () => withVariables(fronts.variables, () => reset.run(quickReset)),
      )
      const outcome = await failedOutcome(ended)
      expect(outcome.targets.database).toMatchObject({ state: 'wiped', rows: 607 })
      checkHonest(outcome, { was, is: await reset.fingerprint() })
    },
  )

  test.runIf(isFull)(
    'of which a batch goes on after its Map has failed keeps the next run out until that batch has ended (full form)',
    async () => {
      await reset.seed()
      const held = holding(isBulkDelete)
      let sibling: Promise<unknown> = Promise.resolve()
      const ended = await withFaults(
        {
          instead: async ({ state }, run) => {
            if (state !== 'Wipe files batch') return run()
            fronts.s3.faults = [held.fault] // not before: Count tries deletions on objects of its own
            sibling = run().catch((error: Error) => error)
            await held.arrived
            throw errorNamed('Crashed')
          },
        },
        () => withVariables(fronts.variables, () => reset.run(quickReset)),
      )
      expect((await failedOutcome(ended)).targets.files).toMatchObject({ state: 'partly_wiped', objects: 0 })
      const next = await reset.run(quickReset)
      expect(next).toMatchObject({ status: 'FAILED', error: 'RunActive' })
      expect(next.cause).toContain(
        `Run ${ended.name} (reset, last in Wipe files) has ended, but an invocation`,
      )
      held.release()
      await sibling
      const { backup_id } = await reset.row(ended.name)
      const back = { operation: 'restore', backupId: backup_id, confirm: environment, rehearse: false }
      expect(await reset.succeed(back)).toMatchObject({
        targets: { files: { state: 'restored', objects: 12 } },
      })
      expect((await reset.fingerprint()).files.filter((line) => line.startsWith(filesPrefix))).toHaveLength(
        12,
      )
    },
  )

  test.runIf(isFull)(
    `of files that S3 refuses to delete is a failed run, which says how many and which ${inFullForm}`,
    async () => {
      await reset.seed()
      fronts.s3.faults = [
        async (request, forward) => {
          if (!isBulkDelete(request)) return undefined
          const refused = objectsIn(request.body).filter(([, key]) => key.endsWith('story 5.txt'))
          for (const [element] of refused)
            request.raw = Buffer.from(request.raw.toString().replace(element, ''))
          const answer = await forward()
          const errors = refused.map(([, key]) => errorElement(key, 'AccessDenied')).join('')
          return {
            ...answer,
            body: answer.body.toString().replace('</DeleteResult>', `${errors}</DeleteResult>`),
          }
        },
      ]
      const ended = await withVariables(fronts.variables, () => reset.run(quickReset))
      const outcome = await failedOutcome(ended)
      expect(ended.error).toBe('WipeIncomplete')
      expect(ended.cause).toContain(
        `1 file could not be deleted (for example ${filesPrefix}story 5.txt: AccessDenied)`,
      )
      expect(outcome.warnings).toContainEqual({
        code: 'FilesNotDeleted',
        message: `1 file could not be deleted (for example ${filesPrefix}story 5.txt: AccessDenied)`,
      })
      expect(outcome.targets.files).toMatchObject({ state: 'partly_wiped', objects: 11 })
      expect(outcome.backupId).not.toBeNull()
    },
  )

  test.runIf(isFull)(
    `of a restore whose file S3 says it copied but does not hold is a failed run, which says how many and which ${inFullForm}`,
    async () => {
      await reset.seed()
      const { backupId } = await reset.succeed({ ...quickReset, strategy: 'files-only' })
      const restore = { operation: 'restore', backupId, confirm: environment } as const
      const story = `${filesPrefix}story 5.txt`
      const body = `<CopyObjectResult><ETag>"${'0'.repeat(32)}"</ETag></CopyObjectResult>`
      fronts.s3.faults = [
        ({ bucket, key, headers }) =>
          bucket === filesBucket && key === story && headers['x-amz-copy-source']
            ? { status: 200, body }
            : undefined,
      ]
      const ended = await withVariables(fronts.variables, () => reset.run(restore))
      const outcome = await failedOutcome(ended)
      expect(ended.error).toBe('RestoreIncomplete')
      expect(ended.cause).toContain(
        `1 file could not be put back or removed (for example ${story}: NotCopied)`,
      )
      expect(outcome.targets.files).toMatchObject({ state: 'partly_restored', objects: 11 })
      fronts.s3.faults = []
      expect((await reset.succeed(restore)).targets.files.state).toBe('restored')
    },
  )

  test.runIf(isFull)(
    `of a cache that keeps its keys is a failed run, and no key is said to be gone ${inFullForm}`,
    async () => {
      await reset.seed({ users: 3, files: 0, keys: 20 })
      const ended = await withFaults(
        {
          instead: async ({ state }, run) => {
            if (state !== 'Wipe cache') return run()
            // Count tries the same on a key of its own: the right is lost after that.
            fronts.cache.faults = [
              (commands) =>
                /UNLINK/i.test(JSON.stringify(commands))
                  ? { status: 401, body: '{"error":"NOPERM injected"}' }
                  : undefined,
            ]
            try {
              return await run()
            } finally {
              fronts.cache.faults = []
            }
          },
        },
        () => withVariables(fronts.variables, () => reset.run({ ...quickReset, strategy: 'cache-only' })),
      )
      const outcome = await failedOutcome(ended)
      expect(outcome.targets.cache).toEqual({ state: 'partly_wiped', keys: 0 })
      expect(await reset.stack.redis.dbsize()).toBe(23) // with the fencing number
    },
  )
})

test('a cache of which keys are left after the last pass is partly wiped, and the run has failed', async () => {
  await reset.seed({ users: 3, files: 0, keys: 20 })
  let kept = 0
  fronts.cache.faults = [
    async (commands, forward) => {
      for (const command of commands) {
        if (command[0] !== 'EVAL') continue
        const script = command[1] ?? ''
        command[1] = script
          .replace("redis.call('UNLINK', unpack(gone, from, last))", '0')
          .replace("fates[goneAt[i]] = 'n'", "fates[goneAt[i]] = 'l'")
        if (command[1] !== script) kept++
      }
      return await forward()
    },
  ]
  const ended = await withVariables(fronts.variables, () =>
    reset.run({ ...quickReset, strategy: 'cache-only' }),
  )
  fronts.cache.faults = []
  expect(kept).toBeGreaterThan(0)
  const outcome = await failedOutcome(ended)
  expect(ended.error).toBe('WipeIncomplete')
  expect(outcome.targets.cache.state).toBe('partly_wiped')
  expect(outcome.warnings).toContainEqual(expect.objectContaining({ code: 'KeysLeft' }))
})

test.runIf(isFull)(
  `a cache of which a restore leaves a key, because it changed again and again, is partly restored ${inFullForm}`,
  async () => {
    await reset.seed({ users: 3, files: 0, keys: 20 })
    const { backupId } = await reset.succeed({ operation: 'backup', strategy: 'cache-only', rehearse: false })
    await reset.stack.redis.set('page:1', 'no longer as in the backup')
    let writes = 0
    fronts.cache.faults = [
      async (commands) => {
        const isRestoring = commands.some((command) => command.some((part) => part.startsWith('=SET')))
        if (isRestoring) await reset.stack.redis.set('page:1', `busy ${++writes}`)
        return undefined
      },
    ]
    const { name } = await withVariables(fronts.variables, () =>
      reset.run({ operation: 'restore', backupId, confirm: environment }),
    )
    fronts.cache.faults = []
    const { outcome } = await reset.row(name)
    expect(outcome.targets.cache.state).toBe('partly_restored')
    expect(outcome.warnings).toContainEqual(
      expect.objectContaining({ code: 'KeysChangedMeanwhile', message: expect.stringContaining('page:1') }),
    )
    expect(await reset.stack.redis.get('page:1')).toBe(`busy ${writes}`)
  },
)

test.runIf(isFull)(
  `what others did to files and tables while it ran is told by name and number, and is in the backup or left ${inFullForm}`,
  async () => {
    await reset.seed({ users: 3, files: 8, keys: 0 })
    const story = (n: number) => `${filesPrefix}story ${n}.txt`
    const meanwhile: Record<string, () => Promise<unknown>> = {
      'Copy files batch': async () => {
        await reset.put(story(1), 'changed before it was copied')
        await reset.remove(filesBucket, [story(2)])
      },
      'Wipe database': () => reset.stack.sql.query('CREATE TABLE came_later (id int)'),
      'Wipe files batch': async () => {
        for (const n of [3, 5]) await reset.put(story(n), `changed after it was copied, ${n}`)
        for (const n of [1, 2, 3]) await reset.put(`${filesPrefix}new ${n}.txt`, 'came later')
      },
    }
    const ended = await withFaults(
      {
        before: async ({ state }) => {
          await meanwhile[state]?.()
        },
      },
      () => reset.run(quickReset),
    )
    await reset.stack.sql.query('DROP TABLE came_later')
    const { outcome } = await reset.row(ended.name)
    expect(outcome.status).toBe('succeeded_with_warnings')
    const said = new Map(outcome.warnings.map(({ code, message }: Record<string, string>) => [code, message]))
    expect(said.get('FilesVanished')).toMatch(/^1 file was deleted by somebody else/)
    expect(said.get('FilesChanged')).toMatch(/^1 file changed during the backup; the newer version is in it/)
    expect(said.get('FilesChangedLater')).toMatch(/^2 files changed after the backup, and were not deleted/)
    expect(said.get('FilesAppeared')).toMatch(/^3 files came after the backup, and were not deleted/)
    expect(said.get('TablesAppeared')).toBe('Created since the backup, so not wiped: public.came_later')
    expect(outcome.targets.files).toMatchObject({ state: 'wiped', objects: 5 })
    expect(await reset.objects(filesBucket, filesPrefix)).toHaveLength(5)
  },
)

test.runIf(isFull)(
  `a restore of which S3 refuses a part is a failed run, which says how many and which ${inFullForm}`,
  async () => {
    await reset.seed()
    const { backupId } = await reset.succeed({ operation: 'backup', strategy: 'files-only', rehearse: false })
    await reset.put(`${filesPrefix}story 5.txt`, 'changed')
    await reset.put(`${filesPrefix}extra.txt`, 'not in the backup')
    const restore = { operation: 'restore', backupId, targets: ['files'], exact: true, confirm: environment }
    const ended = await withFaults(
      {
        before: ({ state }) => {
          if (state !== 'Restore files batch') return
          fronts.s3.faults = [
            async (request, forward) => {
              if (!isBulkDelete(request)) return undefined
              for (const [element] of objectsIn(request.body))
                request.raw = Buffer.from(request.raw.toString().replace(element, ''))
              const errors = objectsIn(request.body).map(([, key]) => errorElement(key, 'AccessDenied'))
              const answer = await forward()
              const body = answer.body
                .toString()
                .replace('</DeleteResult>', `${errors.join('')}</DeleteResult>`)
              return { ...answer, body }
            },
          ]
        },
      },
      () => withVariables(fronts.variables, () => reset.run({ ...restore, rehearse: false })),
    )
    fronts.s3.faults = []
    const outcome = await failedOutcome(ended)
    expect(ended.error).toBe('RestoreIncomplete')
    expect(ended.cause).toContain(
      `1 file could not be put back or removed (for example ${filesPrefix}extra.txt: AccessDenied)`,
    )
    expect(outcome.targets.files).toMatchObject({ state: 'partly_restored', objects: 12 })
    expect(await reset.sealed()).toContain(outcome.backupId)
  },
)

describe('an outcome whose results cannot be read', () => {
  /** S3 refuses whoever reads the run's results, from the given state on. */
  const hideResults = (from: string) => ({
    before: ({ state }: Call) => {
      if (state !== from) return
      fronts.s3.faults = [
        ({ method, path }) =>
          method === 'GET' && /results|manifest/.test(path) ? s3Error(403, 'AccessDenied') : undefined,
      ]
    },
  })

  test.runIf(isFull)(
    `of a reset has the facts of the ledger: rows wiped, the backup that holds them, the rest unknown ${inFullForm}`,
    async () => {
      await reset.seed()
      const ended = await withFaults(hideResults('Finish'), () =>
        withVariables(fronts.variables, () => reset.run(quickReset)),
      )
      fronts.s3.faults = []
      const outcome = await failedOutcome(ended)
      const { backup_id } = await reset.row(ended.name)
      expect(outcome).toMatchObject({
        backupId: backup_id,
        backupPrefix: expect.stringContaining(backup_id),
        warnings: expect.arrayContaining([expect.objectContaining({ code: 'BackupUnread' })]),
        targets: {
          database: { state: 'wiped', rows: 607 },
          files: { state: 'unknown', objects: 0 },
          cache: { state: 'unknown' },
        },
      })
      expect(await reset.sealed()).toContain(backup_id)
    },
  )

  test.runIf(isFull)(
    `of a restore has the facts of the ledger: rows restored, the safety backup, the rest unknown ${inFullForm}`,
    async () => {
      await reset.seed()
      const { backupId } = await reset.succeed({ operation: 'backup', strategy: 'full', rehearse: false })
      const restore = { operation: 'restore', backupId, confirm: environment, rehearse: false }
      const ended = await withFaults(hideResults('Finish'), () =>
        withVariables(fronts.variables, () => reset.run(restore)),
      )
      fronts.s3.faults = []
      const outcome = await failedOutcome(ended)
      const { backup_id } = await reset.row(ended.name)
      expect(outcome).toMatchObject({
        ...{ backupId: backup_id, restoredBackupId: backupId },
        warnings: expect.arrayContaining([expect.objectContaining({ code: 'BackupUnread' })]),
        targets: {
          database: { state: 'restored', rows: 607 },
          files: { state: 'unknown', objects: 0 },
          cache: { state: 'unknown', keys: 0 },
        },
      })
      expect(await reset.sealed()).toContain(backup_id)
    },
  )

  test.runIf(isFull)(
    'of a run of which the ledger holds what this version does not understand is told, and the run is closed (full form)',
    async () => {
      await reset.seed()
      const ended = await withFaults(
        {
          before: async ({ state }) => {
            if (!state.startsWith('Wipe cache')) return
            await reset.stack.admin.query(
              `UPDATE taskmaster_reset.runs SET plan = '{"of": "another version"}', wiped = '{"of": "another version"}' WHERE status = 'running'`,
            )
            throw new Error('the step fails')
          },
        },
        () => reset.run(quickReset),
      )
      const outcome = await failedOutcome(ended)
      expect((await reset.row(ended.name)).status).toBe('failed')
      expect(outcome.targets).toMatchObject({
        database: { state: 'wiped' },
        files: { state: 'unknown' },
        cache: { state: 'untouched' },
      })
      expect(outcome.warnings).toMatchObject([{ code: 'BackupUnread' }])
    },
  )

  test.runIf(isFull)(
    'is not changed by a cache or a scratch schema that cannot be tidied up after it (full form)',
    async () => {
      await reset.seed()
      const ended = await withFaults(
        {
          before: async ({ state }) => {
            if (state === 'Finish') fronts.cache.faults = [() => ({ status: 500, body: '{"error":"ERR"}' })]
          },
        },
        () => withVariables(fronts.variables, () => reset.run(quickReset)),
      )
      fronts.cache.faults = []
      expect(ended.status).toBe('SUCCEEDED')
      expect((await reset.row(ended.name)).status).toBe('succeeded')
      const { redis } = reset.stack
      expect(await redis.get(fenceKey)).not.toBe('closed')
      await reset.succeed(quickReset)
      expect(await redis.get(fenceKey)).toBe('closed')
    },
  )

  test.runIf(isFull)(
    `of a reset of files alone is unknown only where their turn had come ${inFullForm}`,
    async () => {
      await reset.seed()
      const ended = await withFaults(hideResults('Wipe files batch'), () =>
        withVariables(fronts.variables, () => reset.run({ ...quickReset, strategy: 'files-only' })),
      )
      fronts.s3.faults = []
      const states = Object.values((await failedOutcome(ended)).targets).map(({ state }) => state)
      expect(states).toEqual(['untouched', 'unknown', 'untouched'])
    },
  )
})

test.runIf(isFull)(
  `a run whose outcome the ledger does not take ends all the same, with what is certain of it ${inFullForm}`,
  async () => {
    await reset.seed({ users: 3, files: 0, keys: 0 })
    const { admin } = reset.stack
    await admin.query(
      `ALTER TABLE taskmaster_reset.runs ADD CONSTRAINT small CHECK (NOT outcome::text LIKE '%public.users%') NOT VALID`,
    )
    try {
      const outcome = await reset.succeed({ ...quickReset, strategy: 'database-only' }, 'refused-outcome')
      expect(outcome.targets.database.state).toBe('wiped')
      const row = await reset.row('refused-outcome')
      expect(row.status).toBe('succeeded_with_warnings')
      expect(Outcome.parse(row.outcome)).toMatchObject({
        targets: { database: { state: 'wiped', tables: {} } },
        warnings: [{ code: 'OutcomeReduced' }],
        backupId: outcome.backupId,
      })
    } finally {
      await admin.query('ALTER TABLE taskmaster_reset.runs DROP CONSTRAINT small')
    }
  },
)

describe('a cache that loses keys in the middle of a run', () => {
  test.runIf(isFull)(
    'all of them, before the wipe: the run fails by name, and claim and restore bring everything back (full form)',
    async () => {
      await reset.seed()
      const was = await reset.fingerprint()
      const { redis } = reset.stack
      const ended = await withFaults(
        {
          before: async ({ state }) => {
            if (state.startsWith('Wipe cache')) await redis.flushall()
          },
        },
        () => reset.run(quickReset),
      )
      expect(ended).toMatchObject({ status: 'FAILED', error: 'EnvironmentUnclaimed' })
      const outcome = await failedOutcome(ended)
      expect(outcome.targets).toMatchObject({ database: { state: 'wiped' }, files: { state: 'wiped' } })
      expect(outcome.targets.cache.state).not.toBe('wiped')
      await reset.succeed({ operation: 'claim', confirm: environment })
      const restore = {
        operation: 'restore',
        backupId: outcome.backupId,
        confirm: environment,
        rehearse: false,
      }
      await reset.succeed(restore)
      expect(await reset.fingerprint()).toEqual(was)
    },
  )

  test.runIf(isFull)(
    'the fencing number, again and again: it is written anew after the ledger was asked, and nothing is lost (full form)',
    async () => {
      await reset.seed()
      const was = await reset.fingerprint()
      const { redis } = reset.stack
      const evicting = () => {
        let times = 0
        fronts.cache.faults = [
          async (commands) => {
            if (commands.some(([name]) => name === 'EVAL') && times++ < 3) await redis.del(fenceKey)
            return undefined
          },
        ]
      }
      const { backupId } = await withVariables(fronts.variables, async () => {
        const acts = {
          before: ({ state }: Call) => {
            if (/^(Wipe|Restore) cache/.test(state)) evicting()
          },
        }
        const wiped = await withFaults(acts, () => reset.succeed(quickReset))
        fronts.cache.faults = []
        const restore = {
          operation: 'restore',
          backupId: wiped.backupId,
          confirm: environment,
          rehearse: false,
        }
        await withFaults(acts, () => reset.succeed(restore))
        fronts.cache.faults = []
        return wiped
      })
      expect(await reset.sealed()).toContain(backupId)
      expect(await reset.fingerprint()).toEqual(was)
    },
  )
})

describe('a store that breaks off', () => {
  test.runIf(isFull)(
    'S3, after the backup was sealed: the run fails, and is closed with what the ledger knows (full form)',
    async () => {
      await reset.seed()
      const was = await reset.fingerprint()
      const ended = await withFaults(
        {
          before: ({ state }) => {
            if (state === 'Wipe database') fronts.s3.faults = [() => s3Error(403, 'AccessDenied')]
          },
        },
        () => withVariables(fronts.variables, () => reset.run(quickReset)),
      )
      fronts.s3.faults = []
      expect(ended.error).toBe('NotPermitted')
      const outcome = await failedOutcome(ended)
      expect(outcome.warnings).toMatchObject([{ code: 'BackupUnread' }])
      const { backup_id } = await reset.row(ended.name)
      expect(outcome.warnings[0]?.message).toContain(backup_id)
      expect(await reset.sealed()).toContain(backup_id)
      expect(await reset.fingerprint()).toEqual(was)
      await reset.succeed(quickReset)
    },
  )

  test.runIf(isFull)(
    `the cache, whose token is withdrawn before its wipe: it is not touched, and the others are said to be wiped ${inFullForm}`,
    async () => {
      await reset.seed()
      const was = await reset.fingerprint()
      const ended = await withFaults(
        {
          before: ({ state }) => {
            if (state === 'Wipe cache')
              fronts.cache.faults = [() => ({ status: 401, body: '{"error":"WRONGPASS"}' })]
          },
        },
        () => withVariables(fronts.variables, () => reset.run(quickReset)),
      )
      expect(ended.error).toBe('NotPermitted')
      expect(ended.cause).toMatch(/^The cache at 127\.0\.0\.1:\d+ refuses the token/)
      const outcome = await failedOutcome(ended)
      expect(Object.values(outcome.targets).map(({ state }) => state)).toEqual([
        'wiped',
        'wiped',
        'backed_up',
      ])
      checkHonest(outcome, { was, is: await reset.fingerprint() })
    },
  )

  test('the database, for the moment of one export: the export is repeated', async () => {
    await reset.seed()
    const outcome = await withFaults(
      {
        before: ({ state, invocation }) => {
          if (state === 'Export database batch') fronts.database.down = invocation === 1
        },
      },
      () =>
        withVariables(fronts.variables, () => reset.succeed({ ...quickReset, strategy: 'database-only' })),
    )
    expect(outcome.targets.database).toMatchObject({ state: 'wiped', rows: 607 })
  })

  test.runIf(isFull)(
    `the database, for good, before its wipe: the run fails with the reason, and nothing is wiped ${inFullForm}`,
    async () => {
      await reset.seed()
      const was = await reset.fingerprint()
      const ended = await withFaults(
        {
          before: ({ state }) => {
            if (state === 'Wipe database') fronts.database.down = true
          },
        },
        () => withVariables(fronts.variables, () => reset.run(quickReset)),
      )
      expect(ended).toMatchObject({ status: 'FAILED', error: 'StoreUnavailable' })
      expect(ended.cause).toContain('cannot be reached')
      expect(await reset.fingerprint()).toEqual(was)
    },
  )
})

async function waitingForLocks(): Promise<number> {
  const answer = await reset.stack.admin.query(
    'SELECT count(*)::int AS waiting FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())',
  )
  return answer.rows[0].waiting
}

async function waitUntil(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 10))
}
