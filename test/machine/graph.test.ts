import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { errorKinds } from '../../lib/errors.ts'
import { abandonedAfterMinutes } from '../../lib/ledger/records.ts'
import { operations, operationsOn } from '../../lib/operations.ts'
import { CountInput } from '../../lib/run/count.ts'
import { FinishInput } from '../../lib/run/finish/finish.ts'
import { type Counted, countedBy } from '../../lib/run/planning/counted.ts'
import type { Plan } from '../../lib/run/planning/plan.ts'
import { targets } from '../../lib/store.ts'

type Choice = {
  Variable: string
  Next: string
  StringEquals?: string
  BooleanEquals?: boolean
  IsPresent?: boolean
}
type Retry = {
  ErrorEquals: string[]
  IntervalSeconds: number
  MaxAttempts: number
  BackoffRate: number
  MaxDelaySeconds?: number
  JitterStrategy: string
}
type State = {
  Type: string
  Next?: string
  Default?: string
  End?: boolean
  Choices?: Choice[]
  Catch?: { ErrorEquals: string[]; Next: string; ResultPath?: string }[]
  Retry?: Retry[]
  Branches?: Machine[]
  ItemProcessor?: Machine & { ProcessorConfig: { Mode: string } }
  ItemSelector?: Record<string, unknown>
  ItemsPath?: string
  MaxConcurrency?: number
  Resource?: string
  TimeoutSeconds?: number
  ResultPath?: string | null
  Parameters?: Record<string, unknown>
  InputPath?: string
  ErrorPath?: string
  CausePath?: string
}
type Machine = { StartAt: string; States: Record<string, State> }

const text = readFileSync(new URL('../../state-machine.asl.json', import.meta.url), 'utf8')
const machine: Machine = JSON.parse(text)

/** Every state with the states of the machines inside it, and whether something around it catches. */
function* all(
  { States }: Machine,
  caught = false,
): Generator<{ name: string; state: State; caught: boolean }> {
  for (const [name, state] of Object.entries(States)) {
    yield { name, state, caught: caught || state.Catch !== undefined }
    for (const inner of [...(state.Branches ?? []), ...(state.ItemProcessor ? [state.ItemProcessor] : [])]) {
      yield* all(inner, caught || state.Catch !== undefined)
    }
  }
}

const states = [...all(machine)]
/** The machine, and the branches within it. */
const machines = [machine, ...states.flatMap(({ state }) => state.Branches ?? [])]
const tasks = states.filter(({ state }) => state.Type === 'Task')
/** The states that change what is live. */
const isWipe = (name: string) => /^(Wipe|Restore) /.test(name) && !name.endsWith('?')

function next(state: State): string[] {
  const onward = [state.Next, state.Default, ...(state.Choices ?? []).map((choice) => choice.Next)]
  return [...onward, ...(state.Catch ?? []).map((one) => one.Next)].filter((name) => name !== undefined)
}

/** Every way through the machine that visits no state twice, from `from`; each as the names on it. */
function paths(from: string, before: string[] = []): string[][] {
  const here = [...before, from]
  const onward = next(machine.States[from] as State).filter((name) => !here.includes(name))
  return onward.length === 0 ? [here] : onward.flatMap((name) => paths(name, here))
}

function stateOf(name: string): State {
  const state = machine.States[name]
  if (state === undefined) throw new Error(`There is no state ${name}`)
  return state
}

/** What Count gives for a run that goes on: the payload that the paths of the states after it point into. */
const counted: Counted = {
  next: 'backup',
  runId: 'run',
  attempt: 0,
  operation: 'reset',
  rehearse: true,
  reconcile: true,
  prunes: false,
  clears: { database: true, files: true, cache: true },
  batches: { database: [0], files: [0], cache: [0], verify: [0], load: [0], restoreFiles: [0] },
  hooks: true,
}

/** Seconds, when chance makes every wait as long as it may be. */
function longestWait({
  IntervalSeconds,
  MaxAttempts,
  BackoffRate,
  MaxDelaySeconds = Infinity,
}: Retry): number {
  const waits = Array.from({ length: MaxAttempts }, (_, retry) => IntervalSeconds * BackoffRate ** retry)
  return waits.reduce((sum, wait) => sum + Math.min(wait, MaxDelaySeconds), 0)
}

function isIn(value: unknown, path: string): boolean {
  const keys = path.split('.').slice(1)
  let at = value
  for (const key of keys) {
    if (at === null || typeof at !== 'object' || !(key in at)) return false
    at = (at as Record<string, unknown>)[key]
  }
  return true
}

/** The Tasks and Maps that an execution comes through from a state on, when nothing fails. */
function stepsOf({ States }: Pick<Machine, 'States'>, from: string, payload: unknown): string[] {
  const steps: string[] = []
  for (let at: string | undefined = from; at !== undefined; ) {
    const { Type, Next, Default, Choices = [], Branches = [] } = States[at] as State
    if (Type === 'Task' || Type === 'Map') steps.push(at)
    for (const branch of Branches) steps.push(...stepsOf(branch, branch.StartAt, payload))
    at = Type === 'Choice' ? (Choices.find((choice) => applies(choice, payload))?.Next ?? Default) : Next
  }
  return steps
}

function applies(choice: Choice & { IsPresent?: boolean }, payload: unknown): boolean {
  const path = choice.Variable.replace(/\[(\d+)\]/g, '.$1')
    .split('.')
    .slice(1)
  // biome-ignore lint/suspicious/noExplicitAny: any payload
  const value = path.reduce((of: any, key) => of?.[key], payload)
  if (choice.IsPresent !== undefined) return (value !== undefined) === choice.IsPresent
  return value === (choice.StringEquals ?? choice.BooleanEquals)
}

describe('the state machine', () => {
  test('every path from "Back up" to a wipe passes "Seal"', () => {
    // Count again makes a new plan, and "What next?" begins anew with it.
    const wiping = paths('Back up').filter((path) => path.some(isWipe) && !path.includes('Count again'))
    expect(wiping.length).toBeGreaterThan(0)
    for (const path of wiping) {
      const seal = path.indexOf('Seal')
      expect(seal, path.join(' → ')).toBeGreaterThanOrEqual(0)
      expect(seal, path.join(' → ')).toBeLessThan(path.findIndex(isWipe))
    }
  })

  test('without a backup in between, only a plan that wants none leads to a wipe or a restore', () => {
    const { Choices = [], Default } = stateOf('What next?')
    const leads = Object.fromEntries(Choices.map((choice) => [choice.StringEquals, choice.Next]))
    expect(leads).toEqual({
      backup: 'Back up',
      wipe: 'Wipe database?',
      restore: 'Load backup?',
      verify: 'Verify?',
      diff: 'Diff database',
      delete: 'Delete',
      repeated: 'Repeated',
    })
    expect(Default).toBe('Finish')
  })

  test('nothing is restored before it was loaded and compared', () => {
    const restoring = paths(machine.StartAt).filter((path) => path.some((name) => /^Restore \w+$/.test(name)))
    expect(restoring.length).toBeGreaterThan(0)
    for (const path of restoring) {
      const compared = path.indexOf('Compare backup')
      expect(path.indexOf('Load backup?'), path.join(' → ')).toBeGreaterThanOrEqual(0)
      expect(compared, path.join(' → ')).toBeGreaterThan(path.indexOf('Load backup?'))
      expect(compared, path.join(' → ')).toBeLessThan(path.findIndex((name) => /^Restore \w+$/.test(name)))
    }
  })

  test('a rehearsal, when it is wanted, comes before the seal that tells of it', () => {
    expect(stateOf('Rehearse?')).toMatchObject({
      Choices: [{ Variable: '$.rehearse', BooleanEquals: true, Next: 'Anything to rehearse?' }],
      Default: 'Seal',
    })
    expect([stateOf('Rehearse').Next, stateOf('Compare').Next]).toEqual(['Compare', 'Seal'])
  })

  test('the batches are made one moment before any is rehearsed', () => {
    expect(stateOf('Back up').Next).toBe('Reconcile?')
    expect(stateOf('Reconcile?')).toMatchObject({
      Choices: [{ Variable: '$.reconcile', BooleanEquals: true, Next: 'Reconcile' }],
      Default: 'Rehearse?',
    })
    expect(stateOf('Reconcile').Next).toBe('Rehearse?')
  })

  test('no wipe is passed but by a Choice that asks whether its target is cleared, or whether there are batches', () => {
    for (const name of ['Wipe', 'Restore']) {
      expect(stateOf(`${name} database?`).Choices, name).toEqual([
        { Variable: '$.clears.database', BooleanEquals: true, Next: `${name} database` },
      ])
      expect(stateOf(`${name} cache?`).Choices, name).toEqual([
        { Variable: '$.clears.cache', BooleanEquals: true, Next: `${name} cache` },
      ])
    }
  })

  /** @see docs/decisions.md#no-map-is-begun-over-an-empty-list */
  test('no Map is begun over an empty list: a Choice before it asks whether there is a first item', () => {
    const maps = machines.flatMap(({ States }) =>
      Object.entries(States)
        .filter(([, { Type }]) => Type === 'Map')
        .map(([name, { ItemsPath, Next }]) => ({ States, name, ItemsPath, Next })),
    )
    expect(maps).toHaveLength(8)
    for (const { States, name, ItemsPath, Next } of maps) {
      const before = Object.entries(States).filter(([, state]) => next(state).includes(name))
      expect(before, name).toHaveLength(1)
      const [, asking] = before[0] as [string, State]
      expect(asking.Choices, name).toEqual([{ Variable: `${ItemsPath}[0]`, IsPresent: true, Next: name }])
      // What there is nothing of is passed by as if it had been done.
      const past = States[asking.Default ?? '']
      expect(Next === undefined ? past : asking.Default, name).toEqual(Next ?? { Type: 'Pass', End: true })
    }
    for (const { StartAt, States } of machines) expect(States[StartAt]?.Type).not.toBe('Map')
  })

  test('only what says that it is a reset goes on from its backup to a wipe, and a backup to nothing', () => {
    expect(stateOf('Seal').Next).toBe('Wipe wanted?')
    expect(stateOf('Wipe wanted?')).toMatchObject({
      Choices: [
        { Variable: '$.operation', StringEquals: 'reset', Next: 'Wipe database?' },
        { Variable: '$.operation', StringEquals: 'restore', Next: 'Load backup?' },
      ],
      Default: 'Finish',
    })
    for (const operation of ['backup', 'reset-to', 'a word of another version']) {
      const steps = stepsOf(machine, 'Wipe wanted?', { operation, clears: { database: true }, batches: {} })
      expect(steps).toEqual(['Finish'])
    }
  })

  const stores = { database: { batches: 1 }, files: { batches: 1 }, cache: {} }
  const kinds = operationsOn('stores').flatMap((operation) =>
    [null, 'a backup'].flatMap((backupId) =>
      targets.map((only) => ({ operation, backupId, clears: targets.filter((one) => one !== only) })),
    ),
  )
  test.each(kinds)('$operation changes what its operation says, backup $backupId, of $clears', (about) => {
    const restore = { batches: 1, files: { batches: 1 } }
    const plan = { runId: 'r', attempt: 0, rehearse: true, ...stores, restore, ...about } as unknown as Plan
    const counted = countedBy(plan, { prunes: true, hooks: true })
    const { changes } = operations[about.operation]
    const steps = stepsOf(machine, 'What next?', counted)
    expect(steps.includes('Seal')).toBe(about.backupId !== null)
    expect(steps.some((name) => /^Wipe /.test(name))).toBe(changes === 'wiped')
    expect(steps.some((name) => /^Restore /.test(name))).toBe(changes === 'replaced')
    expect(counted).toMatchObject({
      operation: { wiped: 'reset', replaced: 'restore', null: 'backup' }[String(changes)],
    })
  })

  test('only what says that it is a restore goes on from the compared backup to the live stores', () => {
    expect(stateOf('Compare backup').Next).toBe('Restore wanted?')
    expect(stateOf('Restore wanted?')).toMatchObject({
      Choices: [{ Variable: '$.operation', StringEquals: 'restore', Next: 'Restore database?' }],
      Default: 'Finish',
    })
    const before = (name: string) =>
      Object.keys(machine.States).filter((one) => next(stateOf(one)).includes(name))
    expect(before('Restore database?')).toEqual(['Restore wanted?'])
  })

  test('a verify loads the backup only when it is to be rehearsed, and changes nothing', () => {
    expect([stateOf('Verify?').Default, stateOf('Verify').Next]).toEqual(['Judge', 'Judge'])
    expect(stateOf('Judge').Next).toBe('Rehearse backup?')
    expect(stateOf('Rehearse backup?')).toMatchObject({
      Choices: [{ Variable: '$.rehearse', BooleanEquals: true, Next: 'Load backup?' }],
      Default: 'Finish',
    })
    for (const path of paths('Verify?')) {
      const changes = path.findIndex((name) => isWipe(name) || name === 'Delete')
      if (changes !== -1) expect(path.slice(0, changes), path.join(' → ')).toContain('Restore wanted?')
    }
  })

  const nothing = { database: false, files: false, cache: false }
  const noBatches = { database: [], files: [], cache: [], verify: [], load: [], restoreFiles: [] }
  const backingUp = ['Export database', 'Copy files', 'Export cache']
  const restoring = ['Load backup', 'Compare backup', 'Restore database', 'Restore files', 'Restore cache']
  const onFiles = { clears: { ...nothing, files: true }, reconcile: false, rehearse: false }
  test.each<[string, Partial<Counted>, string[]]>([
    [
      'a backup of one batch that is not rehearsed',
      { operation: 'backup', reconcile: false, rehearse: false },
      [...backingUp, 'Seal', 'Finish'],
    ],
    [
      'a rehearsed backup of several batches, with a retention',
      { operation: 'backup', prunes: true },
      [...backingUp, 'Reconcile', 'Rehearse', 'Compare', 'Seal', 'Finish', 'Prune'],
    ],
    [
      'a reset',
      { reconcile: false },
      [...backingUp, 'Rehearse', 'Compare', 'Seal', 'Wipe database', 'Wipe files', 'Wipe cache', 'Finish'],
    ],
    [
      'a reset of an empty cache and no more, without a backup',
      { next: 'wipe', clears: { ...nothing, cache: true }, batches: noBatches },
      ['Wipe cache', 'Finish'],
    ],
    [
      'a reset of files',
      { ...onFiles, batches: { ...noBatches, files: [0] } },
      ['Copy files', 'Seal', 'Wipe files', 'Finish'],
    ],
    [
      'a restore',
      { operation: 'restore', reconcile: false, rehearse: false },
      [...backingUp, 'Seal', ...restoring, 'Finish'],
    ],
    [
      'a restore of files, without a safety backup',
      { ...onFiles, operation: 'restore', next: 'restore', batches: { ...noBatches, restoreFiles: [0] } },
      ['Compare backup', 'Restore files', 'Finish'],
    ],
    [
      'a verify',
      {
        operation: 'verify',
        next: 'verify',
        rehearse: false,
        clears: nothing,
        batches: { ...noBatches, verify: [0] },
      },
      ['Verify', 'Judge', 'Finish'],
    ],
    [
      'a verify with a rehearsal',
      {
        operation: 'verify',
        next: 'verify',
        clears: nothing,
        batches: { ...noBatches, verify: [0], load: [0] },
      },
      ['Verify', 'Judge', 'Load backup', 'Compare backup', 'Finish'],
    ],
    [
      'a diff',
      { operation: 'diff', next: 'diff', rehearse: false, clears: nothing, batches: noBatches },
      ['Diff database', 'Diff files', 'Diff cache', 'Finish'],
    ],
    [
      'a delete',
      { operation: 'delete', next: 'delete', rehearse: false, clears: nothing, batches: noBatches },
      ['Delete', 'Finish'],
    ],
    ['a dry run, or a claim', { next: 'finish' } as Partial<Counted>, ['Finish']],
    ['a request that was sent before', { next: 'repeated' } as Partial<Counted>, []],
  ])('%s goes through its steps, and no others', (_what, given, steps) => {
    const payload = { ...counted, ...given }
    expect(stepsOf(machine, 'Hooks before?', { ...payload, hooks: undefined })).toEqual(steps)
    const changes = steps.some(isWipe)
    const around = changes ? ['Hooks before', ...steps.slice(0, -1), 'Hooks after', 'Finish'] : steps
    // Count says that there are hooks only of a run that takes away what is there.
    expect(stepsOf(machine, 'Hooks before?', { ...payload, hooks: changes || undefined })).toEqual(around)
  })

  test('hooks before a run come first, and once; one that fails leaves nothing but the end of the run', () => {
    const into = (name: string) =>
      Object.keys(machine.States).filter((one) => next(stateOf(one)).includes(name))
    expect([into('Hooks before?'), into('Hooks before')]).toEqual([['Count'], ['Hooks before?']])
    expect(into('What next?')).toEqual(['Hooks before?', 'Hooks before', 'Count again'])
    for (const moment of ['before', 'after']) {
      expect(stateOf(`Hooks ${moment}?`).Choices).toEqual([
        { Variable: '$.hooks', IsPresent: true, Next: `Hooks ${moment}` },
      ])
      expect(stateOf(`Hooks ${moment}`)).toMatchObject({
        Parameters: { moment },
        Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Finish failed' }],
      })
      // What a hook says is no error that a repetition could mend.
      const retried = stateOf(`Hooks ${moment}`).Retry?.flatMap(({ ErrorEquals }) => ErrorEquals)
      expect(retried).not.toEqual(
        expect.arrayContaining([expect.stringMatching(/^Hook|States.(ALL|TaskFailed)/)]),
      )
    }
  })

  test('no run that changed a store is finished past the hooks after it', () => {
    const into = (name: string) =>
      Object.keys(machine.States).filter((one) => next(stateOf(one)).includes(name))
    expect(into('Hooks after?')).toEqual(['Wipe cache?', 'Wipe cache', 'Restore cache?', 'Restore cache'])
    expect(into('Hooks after')).toEqual(['Hooks after?'])
    for (const path of paths(machine.StartAt)) {
      const end = path.indexOf('Finish')
      if (end !== -1 && path.some(isWipe)) expect(path[end - 1], path.join(' → ')).toMatch(/^Hooks after/)
    }
  })

  test('a delete touches no store, and is done by the function that prunes', () => {
    expect(paths('Delete').flat().filter(isWipe)).toEqual([])
    expect(stateOf('Delete')).toMatchObject({ Resource: stateOf('Prune').Resource, Next: 'Finish' })
    expect(stateOf('Delete').Parameters?.purpose).toBe('delete')
    expect(stateOf('Prune').Parameters?.purpose).toBe('retention')
  })

  test('no live store is restored before the backup was loaded and compared beside it', () => {
    for (const from of ['What next?', 'Seal']) {
      for (const path of paths(from)) {
        const restore = path.findIndex((name) => name.startsWith('Restore') && !name.endsWith('?'))
        if (restore === -1) continue
        expect(path.slice(0, restore), path.join(' → ')).toEqual(
          expect.arrayContaining(['Load backup?', 'Compare backup']),
        )
      }
    }
  })

  test('what is to be rehearsed is compared before it is sealed', () => {
    expect(stateOf('Rehearse?')).toMatchObject({
      Choices: [{ Variable: '$.rehearse', BooleanEquals: true, Next: 'Anything to rehearse?' }],
      Default: 'Seal',
    })
    expect([stateOf('Rehearse').Next, stateOf('Compare').Next]).toEqual(['Compare', 'Seal'])
  })

  test('every state is reached, and every state that is named exists', () => {
    const reached = new Set(paths(machine.StartAt).flat())
    expect([...reached].sort()).toEqual(Object.keys(machine.States).sort())
  })

  test('every path ends in Done, in Repeated, or after Finish failed in Failed or Finished', () => {
    // A path may also end where it would go on to a state that it has visited.
    const ends = ['Done', 'Repeated', 'Failed', 'Finished', 'Finish failed', 'Failed?']
    for (const path of paths(machine.StartAt)) {
      const end = path.at(-1) ?? ''
      if (end === 'Count again?' || end === 'What next?') continue
      expect(ends, path.join(' → ')).toContain(end)
      if (end === 'Done') expect(path).toContain('Finish')
      if (['Failed', 'Finished', 'Failed?'].includes(end)) expect(path).toContain('Finish failed')
    }
  })

  test('every Task can reach Finish, and Finish failed when it fails', () => {
    const around = new Map<string, string>()
    for (const [name, state] of Object.entries(machine.States)) {
      const within = { StartAt: name, States: { [name]: state } }
      for (const found of all(within)) if (found.state.Type === 'Task') around.set(found.name, name)
    }
    for (const { name } of tasks) {
      if (name === 'Prune') continue // it comes after Finish
      const onward = paths(around.get(name) ?? '').flat()
      expect(onward, name).toContain('Finish failed')
      if (name !== 'Finish failed') expect(onward, name).toContain('Finish')
    }
  })

  test('old backups are pruned only after a run that succeeded, whose success does not depend on it', () => {
    const before = Object.keys(machine.States).filter((name) => next(stateOf(name)).includes('Prune'))
    expect(before).toEqual(['Prune?'])
    expect(stateOf('Finish').Next).toBe('Prune?')
    expect(Object.keys(machine.States).filter((name) => next(stateOf(name)).includes('Prune?'))).toEqual([
      'Finish',
    ])
    expect(stateOf('Prune').Catch?.map(({ ErrorEquals, Next }) => [ErrorEquals, Next])).toEqual([
      [['States.ALL'], 'Done'],
    ])
  })

  test('every Task has a timeout, and a Catch on itself or on what encloses it', () => {
    for (const { name, state, caught } of tasks) {
      expect(state.TimeoutSeconds, name).toBe(name.startsWith('Finish') ? 360 : 960)
      expect(caught, name).toBe(true)
    }
  })

  test('every Catch leads to Finish failed for all errors, and the failure path ends in a Fail state', () => {
    for (const { name, state } of states) {
      if (state.Catch === undefined) continue
      const last = state.Catch.at(-1)
      expect(last?.ErrorEquals, name).toEqual(['States.ALL'])
      const expected = { 'Finish failed': 'Failed', Prune: 'Done' }[name] ?? 'Finish failed'
      expect(last?.Next, name).toBe(expected)
    }
    expect(stateOf('Failed')).toMatchObject({ Type: 'Fail', ErrorPath: '$.Error', CausePath: '$.Cause' })
    expect(states.filter(({ state }) => state.Type === 'Fail')).toHaveLength(1)
  })

  test('an error below a Map is not caught by its name, which AWS does not give to the Map', () => {
    for (const { name, state } of states) {
      if (state.Type !== 'Map' && state.Type !== 'Parallel') continue
      const named = (state.Catch ?? []).flatMap(({ ErrorEquals }) => ErrorEquals)
      expect(
        named.filter((error) => error !== 'States.ALL'),
        name,
      ).toEqual([])
    }
  })

  test('every error of ours that the machine names is a class in errors.ts', () => {
    const rules = states.flatMap(({ state }) => [...(state.Retry ?? []), ...(state.Catch ?? [])])
    const named = new Set(rules.flatMap((rule) => rule.ErrorEquals))
    const ours = [...named].filter((name) => !/^(States|Lambda|Sandbox)\./.test(name))
    expect(ours.sort()).toEqual(['BackupIsStale', 'DatabaseBusy', 'OutOfTime', 'StoreUnavailable'])
    for (const name of ours) expect(errorKinds.has(name), name).toBe(true)
  })

  test('nothing is retried blindly: every Retry names its errors, has an end, and waits by chance', () => {
    for (const { name, state } of states) {
      for (const { ErrorEquals, MaxAttempts, JitterStrategy, MaxDelaySeconds } of state.Retry ?? []) {
        expect(
          ErrorEquals.filter((error) => /^States\.(?!Timeout$)/.test(error)),
          name,
        ).toEqual([])
        expect(MaxAttempts, name).toBeLessThanOrEqual(MaxDelaySeconds === undefined ? 4 : 20)
        expect(JitterStrategy, name).toBe('FULL')
      }
    }
  })

  /** @see docs/decisions.md#throttling-has-a-retry-of-its-own */
  test('every Task is repeated by rules that are written here, and by no others', () => {
    const chance = { BackoffRate: 2, JitterStrategy: 'FULL' }
    const room = {
      ErrorEquals: ['Lambda.TooManyRequestsException'],
      ...{ IntervalSeconds: 2, MaxAttempts: 20, MaxDelaySeconds: 60, ...chance },
    }
    const failed = (...lostAnswer: string[]) => ({
      ErrorEquals: [
        'Lambda.ClientExecutionTimeoutException',
        'Lambda.ServiceException',
        'Lambda.AWSLambdaException',
        'Lambda.SdkClientException',
        'Lambda.Unknown',
        'Sandbox.Timedout',
        ...lostAnswer,
        'OutOfTime',
      ],
      ...{ IntervalSeconds: 2, MaxAttempts: 4, ...chance },
    })
    const store = { ErrorEquals: ['StoreUnavailable'], IntervalSeconds: 2, MaxAttempts: 3, ...chance }
    const slowS3 = {
      ErrorEquals: ['StoreUnavailable'],
      ...{ IntervalSeconds: 5, MaxAttempts: 6, MaxDelaySeconds: 60, ...chance },
    }
    const locks = { ErrorEquals: ['DatabaseBusy'], IntervalSeconds: 15, MaxAttempts: 3, ...chance }
    for (const { name, state } of tasks) {
      const rules = /^Count/.test(name)
        ? [room, failed(), locks]
        : /^(Wipe|Restore) database$/.test(name)
          ? [room, failed()]
          : /^(Copy|Wipe|Restore) files/.test(name)
            ? [room, failed('States.Timeout'), slowS3]
            : /cache|^Finish/.test(name)
              ? [room, failed('States.Timeout'), store]
              : [room, failed('States.Timeout'), store, locks]
      expect(state.Retry, name).toEqual(rules)
    }
  })

  test('every Task is repeated when Lambda itself failed: every step may be', () => {
    for (const { name, state } of tasks) {
      const [throttled, failed] = state.Retry ?? []
      expect(throttled?.ErrorEquals, name).toEqual(['Lambda.TooManyRequestsException'])
      expect(failed?.ErrorEquals, name).toEqual(
        expect.arrayContaining(['Lambda.ServiceException', 'Lambda.Unknown', 'Sandbox.Timedout']),
      )
    }
  })

  test('a step is repeated when a store does not answer, or a table is locked, for a moment, where that is safe', () => {
    // Count refuses while stores are down, and a person starts again; the wipe and the restore of the database: see below.
    const others = ['Count', 'Count again', 'Wipe database', 'Restore database']
    const withoutTables = /^(Copy files|Export cache|Diff cache|(Wipe|Restore) (files|cache)|Finish)/
    for (const { name, state } of tasks) {
      const retried = (state.Retry ?? []).flatMap(({ ErrorEquals }) => ErrorEquals)
      expect(retried.includes('StoreUnavailable'), name).toBe(!others.includes(name))
      const locks = !withoutTables.test(name) && !/^(Wipe|Restore) database$/.test(name)
      expect(retried.includes('DatabaseBusy'), name).toBe(locks)
    }
  })

  test('a Task that Lambda has no room for is patient on its own, for less time than a run without a sign of life has', () => {
    for (const { name, state } of tasks) {
      const [throttled] = state.Retry ?? []
      expect(throttled, name).toMatchObject({ MaxAttempts: 20, MaxDelaySeconds: 60 })
      expect(longestWait(throttled as Retry), name).toBeGreaterThan(600)
      expect(longestWait(throttled as Retry), name).toBeLessThan(abandonedAfterMinutes * 60)
    }
  })

  test('S3 that asks to slow down is waited for longer where files are copied, wiped and put back', () => {
    for (const name of ['Copy files batch', 'Wipe files batch', 'Restore files batch']) {
      const { state } = states.find((found) => found.name === name) as { state: State }
      const patient = (state.Retry ?? []).find(({ ErrorEquals }) => ErrorEquals.includes('StoreUnavailable'))
      expect(patient, name).toMatchObject({ MaxAttempts: 6, MaxDelaySeconds: 60 })
      expect(longestWait(patient as Retry), name).toBeGreaterThan(120)
    }
  })

  test('a Task whose answer never came is repeated, but where two invocations at once could contradict each other', () => {
    const once = tasks.filter(({ state }) =>
      (state.Retry ?? []).every(({ ErrorEquals }) => !ErrorEquals.includes('States.Timeout')),
    )
    // Count opens the run and plans it; the others change the database in one transaction, and only its ledger knows.
    expect(once.map(({ name }) => name)).toEqual([
      'Count',
      'Wipe database',
      'Count again',
      'Restore database',
    ])
  })

  test('the database is not wiped or restored again after the connection broke: only its ledger knows whether it was', () => {
    for (const name of ['Wipe database', 'Restore database']) {
      const retried = (stateOf(name).Retry ?? []).flatMap(({ ErrorEquals }) => ErrorEquals)
      const ours = retried.filter((error) => !/^(Lambda|Sandbox)\./.test(error))
      // It tries to get its locks until LOCK_TIMEOUT_MS is over, and holds them for LOCK_BUDGET_MS at most: once each.
      expect(ours, name).toEqual(['OutOfTime'])
    }
  })

  test('Retry sits on the children of a Map: a retried Map would start over', () => {
    for (const { name, state } of states) if (state.Type === 'Map') expect(state.Retry, name).toBeUndefined()
  })

  test('a stale backup leads back to Count at most twice', () => {
    for (const name of ['Reconcile', 'Seal', 'Wipe database', 'Restore database']) {
      expect(stateOf(name).Catch?.[0], name).toEqual({
        ErrorEquals: ['BackupIsStale'],
        ResultPath: '$.stale',
        Next: 'Count again?',
      })
    }
    expect(stateOf('Count again?')).toMatchObject({
      Choices: [{ Variable: '$.attempt', NumericLessThan: 2, Next: 'Count again' }],
      Default: 'Still stale',
    })
    expect(stateOf('Count again').Parameters?.['attempt.$']).toBe('States.MathAdd($.attempt, 1)')
  })

  test('every field that a state reads is in what Count gives', () => {
    const payload = { ...counted, stale: { Error: '', Cause: '' } }
    const read = states.flatMap(({ name, state }) => [
      ...(state.Choices ?? []).map(({ Variable }) => [name, Variable.replace(/\[0\]$/, '.0')]),
      ...[state.ItemsPath, state.InputPath].map((path) => [name, path]),
      ...Object.entries({ ...state.Parameters, ...state.ItemSelector })
        .filter(([key]) => key.endsWith('.$'))
        .flatMap(([, path]) => (String(path).match(/\$\$?\.[\w.]+/g) ?? []).map((found) => [name, found])),
    ]) as [string, string | undefined][]
    const ours = read.filter(([, path]) => path?.startsWith('$.') && path !== '$.Error')
    expect(ours.length).toBeGreaterThan(10)
    for (const [name, path = ''] of ours) expect(isIn(payload, path), `${name}: ${path}`).toBe(true)
    const context = new Set(read.map(([, path]) => path).filter((path) => path?.startsWith('$$')))
    expect([...context].sort()).toEqual([
      '$$.Execution.Input',
      '$$.Execution.Name',
      '$$.Execution.StartTime',
      '$$.Map.Item.Value',
    ])
  })

  test('what Count answers is what "What next?" asks for, and targets are the batches there are', () => {
    const asked = (stateOf('What next?').Choices ?? []).map(({ StringEquals }) => StringEquals)
    const answers: Counted['next'][] = [
      ...(['backup', 'wipe', 'restore', 'verify', 'diff', 'delete', 'repeated', 'finish'] as const),
    ]
    expect([...asked, 'finish'].sort()).toEqual([...answers].sort())
    const batches = Object.keys(counted.next === 'backup' ? counted.batches : {})
    expect(batches).toEqual([...targets, 'verify', 'load', 'restoreFiles'])
  })

  test('a Task is given exactly the fields that its function reads', () => {
    const fields = (name: string) =>
      Object.keys(stateOf(name).Parameters ?? {}).map((key) => key.replace('.$', ''))
    for (const name of ['Count', 'Count again'])
      expect(fields(name).sort()).toEqual(Object.keys(CountInput.shape).sort())
    expect(fields('Finish')).toEqual(['runId'])
    expect(fields('Finish failed').sort()).toEqual(Object.keys(FinishInput.shape).sort())
    const expected: Record<string, string[]> = {
      Seal: [],
      Verify: ['batch'],
      Judge: [],
      'Diff database': ['target'],
      'Diff files': ['target'],
      'Diff cache': ['target'],
      Prune: ['purpose'],
      Delete: ['purpose'],
      Compare: ['purpose'],
      'Compare backup': ['purpose'],
      'Copy files': ['batch'],
      Rehearse: ['batch', 'purpose'],
      'Load backup': ['batch', 'purpose'],
      'Export database': ['batch', 'target'],
      Reconcile: ['purpose', 'target'],
      'Export cache': ['batch', 'target'],
      'Wipe files': ['batch', 'target'],
      'Restore files': ['batch', 'target'],
      'Wipe database': ['target'],
      'Wipe cache': ['target'],
      'Restore database': ['target'],
      'Restore cache': ['target'],
      'Hooks before': ['moment'],
      'Hooks after': ['moment'],
    }
    for (const { name, state } of states) {
      const given = Object.keys({ ...state.Parameters, ...state.ItemSelector }).map((key) =>
        key.replace('.$', ''),
      )
      if (given.length === 0 || /^(Count|Finish)/.test(name)) continue
      expect(given.sort(), name).toEqual(['attempt', 'runId', ...(expected[name] ?? ['?'])].sort())
    }
  })

  test('a step is told of its own run, the attempt it is and the batch that is its own, and a Map goes over its own list', () => {
    for (const { name, state } of states) {
      const given = { ...state.Parameters, ...state.ItemSelector }
      if (/^(Count|Finish)/.test(name) || Object.keys(given).length === 0) continue
      const batch = state.Type === 'Map' ? { 'batch.$': '$$.Map.Item.Value' } : {}
      expect(given, name).toMatchObject({ 'runId.$': '$.runId', 'attempt.$': '$.attempt', ...batch })
    }
    const execution = {
      ...{ 'request.$': '$$.Execution.Input', 'runId.$': '$$.Execution.Name' },
      'startedAt.$': '$$.Execution.StartTime',
    }
    expect(stateOf('Count').Parameters).toEqual({ ...execution, attempt: 0 })
    expect(stateOf('Count again').Parameters).toMatchObject(execution)
    // Not from the payload, which an error has replaced.
    expect(stateOf('Finish').Parameters).toEqual({ 'runId.$': '$$.Execution.Name' })
    expect(stateOf('Finish failed').Parameters).toEqual({ 'runId.$': '$$.Execution.Name', 'error.$': '$' })
    const lists = states.flatMap(({ name, state }) => (state.Type === 'Map' ? [[name, state.ItemsPath]] : []))
    expect(Object.fromEntries(lists)).toEqual({
      'Export database': '$.batches.database',
      'Copy files': '$.batches.files',
      'Export cache': '$.batches.cache',
      Rehearse: '$.batches.database',
      'Wipe files': '$.batches.files',
      Verify: '$.batches.verify',
      'Load backup': '$.batches.load',
      'Restore files': '$.batches.restoreFiles',
    })
  })

  test('a step is done by the function that is called like it', () => {
    const others = {
      ...{ 'Count again': 'Count', Reconcile: 'Export', 'Rehearse batch': 'Load' },
      ...{ 'Diff database': 'Verify', 'Diff files': 'Verify', 'Diff cache': 'Verify' },
      ...{ Judge: 'Verify', Delete: 'Prune', 'Finish failed': 'Finish' },
      ...{ 'Restore files batch': 'Putback', 'Restore cache': 'Putback' },
    }
    for (const { name, state } of tasks) {
      const called = others[name as keyof typeof others] ?? name.split(' ')[0]
      expect(state.Resource, name).toBe(`\${${called}FunctionArn}`)
    }
  })

  test('what an error leaves: its own words for Finish failed, and what was known before where the run goes on or is over', () => {
    const keptAt: Record<string, string> = { 'Finish failed': '$.finishError', Prune: '$.pruneError' }
    for (const { name, state } of states) {
      for (const { ErrorEquals, ResultPath } of state.Catch ?? [])
        expect(ResultPath, `${name} ${ErrorEquals}`).toBe(
          ErrorEquals[0] === 'BackupIsStale' ? '$.stale' : (keptAt[name] ?? '$'),
        )
    }
    expect(stateOf('Still stale')).toEqual({ Type: 'Pass', InputPath: '$.stale', Next: 'Finish failed' })
  })

  test('the output of a run is its outcome, or what the first run of a repeated request is', () => {
    expect([stateOf('Count').ResultPath, stateOf('Count again').ResultPath]).toEqual(['$', '$'])
    expect(stateOf('Finish').ResultPath).toBe('$.outcome')
    expect(stateOf('Finish failed').ResultPath).toBeUndefined()
    expect(stateOf('Done')).toMatchObject({ Type: 'Pass', OutputPath: '$.outcome', End: true })
    for (const name of ['Repeated', 'Finished'])
      expect(Object.keys(stateOf(name)).filter((key) => key !== 'Comment')).toEqual(['Type'])
    expect(stateOf('Failed?')).toMatchObject({
      Choices: [{ Variable: '$.Error', IsPresent: true, Next: 'Failed' }],
      Default: 'Finished',
    })
  })

  test('no state has a limit, a tolerance or a way of its own that nobody wrote down here', () => {
    const onward = ['Type', 'Comment', 'Next', 'End']
    const keys: Record<string, string[]> = {
      Task: ['Resource', 'TimeoutSeconds', 'Parameters', 'Retry', 'Catch', 'ResultPath', ...onward],
      Map: ['ItemsPath', 'ItemSelector', 'ItemProcessor', 'MaxConcurrency', 'Catch', 'ResultPath', ...onward],
      Parallel: ['Branches', 'Catch', 'ResultPath', ...onward],
      Choice: ['Choices', 'Default', 'Type', 'Comment'],
      Pass: ['InputPath', 'OutputPath', ...onward],
      Succeed: ['Type', 'Comment'],
      Fail: ['ErrorPath', 'CausePath', 'Type', 'Comment'],
    }
    for (const { name, state } of states)
      expect(
        Object.keys(state).filter((key) => !keys[state.Type]?.includes(key)),
        name,
      ).toEqual([])
    // A run takes as long as it takes; each of its steps has a time.
    expect(Object.keys(machine).filter((key) => key !== 'Comment')).toEqual(['StartAt', 'States'])
    for (const { name, state } of states) {
      // A batch of another kind than STANDARD is cut off after five minutes.
      const kind = { ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' } }
      if (state.Type === 'Map') expect(state.ItemProcessor, name).toMatchObject(kind)
    }
  })

  test('no result grows the payload: a step leaves what it found in S3 and in the ledger', () => {
    for (const { name, state } of Object.entries(machine.States).map(([name, state]) => ({ name, state }))) {
      if (!['Task', 'Map', 'Parallel'].includes(state.Type) || /^(Count|Finish)/.test(name)) continue
      expect(state.ResultPath, name).toBeNull()
    }
  })

  test('every Map is distributed, so that it scales, and takes all of its items or fails', () => {
    const maps = states.filter(({ state }) => state.Type === 'Map')
    expect(maps).toHaveLength(8)
    for (const { name, state } of maps) {
      expect(state.ItemProcessor?.ProcessorConfig.Mode, name).toBe('DISTRIBUTED')
      expect(Object.keys(state).filter((key) => key.startsWith('Tolerated'))).toEqual([])
    }
  })

  test('no Map starts more at once than the stores can bear, nor less than they can: 0, or nothing said, would be thousands', () => {
    for (const { name, state } of states) {
      if (state.Type !== 'Map') continue
      expect(state.MaxConcurrency, name).toBe(name === 'Export cache' ? 16 : 8)
    }
  })

  test('a step is told its own target and purpose: what is loaded for a restore is kept for it, else dropped', () => {
    for (const { name, state } of states) {
      const given = { ...state.Parameters, ...state.ItemSelector }
      const named = targets.find((one) => name.endsWith(` ${one}`) && !/^(Copy|Load|Compare)/.test(name))
      const target = name === 'Reconcile' ? 'database' : named
      expect(given.target, name).toBe(state.Type === 'Choice' ? undefined : target)
    }
    for (const name of ['Load backup', 'Compare backup']) {
      const { Parameters, ItemSelector } = stateOf(name)
      expect({ ...Parameters, ...ItemSelector }['purpose.$'], name).toBe('$.operation')
    }
    for (const name of ['Rehearse', 'Compare']) {
      const { Parameters, ItemSelector } = stateOf(name)
      expect({ ...Parameters, ...ItemSelector }.purpose, name).toBe('rehearse')
    }
  })

  test('each function has a state, but for those that are called from outside, and each state a function', () => {
    const outside = ['api', 'ended', 'notify']
    const used = new Set(
      tasks.map(({ state }) => /^\$\{(\w+)FunctionArn\}$/.exec(state.Resource ?? '')?.[1]?.toLowerCase()),
    )
    const files = readdirSync(new URL('../../functions', import.meta.url)).map((file) =>
      file.replace(/\.ts$/, ''),
    )
    expect([...used].sort()).toEqual(files.filter((file) => !outside.includes(file)).sort())
  })
})
