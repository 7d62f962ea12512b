import { randomUUID } from 'node:crypto'
import { beforeEach, expect, test } from 'vitest'
import { handler as count } from '../../functions/count.ts'
import { handler as finish } from '../../functions/finish.ts'
import { handler as seal } from '../../functions/seal.ts'
import { workKeys } from '../../lib/backup/layout.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import { type NamedObject, namedObjects } from '../../lib/backup/named-objects.ts'
import { findOwnManifest } from '../../lib/backup/read.ts'
import type { Clients } from '../../lib/clients.ts'
import { readNoted } from '../../lib/ledger/documents.ts'
import type { RunRef } from '../../lib/ledger/run-ref.ts'
import { type RunRow, readRun } from '../../lib/ledger/runs.ts'
import type { Connection } from '../../lib/postgres/connection.ts'
import { endOfStores, leftInBucket, leftInLedger } from '../../lib/run/finish/stores-end.ts'
import { checkMarks } from '../../lib/run/guard.ts'
import { Outcome } from '../../lib/run/outcome.ts'
import type { Counted } from '../../lib/run/planning/counted.ts'
import { type Plan, plannedRun, readPlan, sealedAs } from '../../lib/run/planning/plan.ts'
import { PlanSummary } from '../../lib/run/planning/plan-summary.ts'
import type { Preserve } from '../../lib/store/preserve.ts'
import { type Target, type TargetState, targets } from '../../lib/store.ts'
import {
  type Counts,
  enders,
  extents,
  type Found,
  type Held,
  limits,
  looks,
  marks,
  markWriters,
  type Planned,
  planners,
  sealers,
} from '../../lib/stores.ts'
import { inFullForm, isFull } from '../support/trust.ts'

/** A run whose Count has planned something, with the numbers of its batches. */
export type Started = Extract<Counted, { batches: unknown }>
type Handler = (event: unknown, context: Context) => Promise<unknown>
type Context = { functionName: string; awsRequestId: string; getRemainingTimeInMillis: () => number }
/** One invocation of a step, as the state machine makes it. */
type Step = { handler: Handler; input: object }

/** What the suite has to know of a store; all of it looks past the product, but for the steps. */
export type Conforming<T extends Target> = {
  name: T
  /** Puts some things, the same each time, in place of all that is there, of which some are preserved, and others where the store's extent ends. */
  fill(): Promise<void>
  /** Takes all of them away, also those that are preserved. */
  empty(): Promise<void>
  /** One more thing. @returns its name */
  add(): Promise<string>
  /** All that is there by name, each with all that a restore has to bring back of it; in the unit that a limit counts. */
  things(): Promise<Map<string, string>>
  /** What a restore brings back besides, such as where a sequence stands. Absent: nothing. */
  besides?(): Promise<unknown>
  /** What no run may touch, since it lies outside of the extent. */
  outside(): Promise<unknown>
  /** What of it is preserved, as a request says it. */
  preserve: { [Kind in keyof Preserve]: string[] }
  isPreserved(name: string): boolean
  /** Writes another mark over the environment's; null: takes it away. */
  remark(name: string | null): Promise<void>
  /** Whether what the backup does not hold stays in a restore that is not exact. */
  keepsLater: boolean
  found(found: Found[T]): { all: number; preserved: number }
  counted(counts: Counts[T]): number
  steps: {
    backUp(run: Started): Step[]
    wipe(run: Started): Step[]
    restore(run: Started): Step[]
  }
  /** Keeps a step from getting to its end, where running out of time cannot. @returns the error with which it ended; null: none */
  obstruct?(step: () => Promise<unknown>): Promise<unknown>
}

/** An object, with the metadata that sign it. */
type Stored = { Body: Uint8Array | string; Metadata?: Record<string, string> | undefined }

/** Where the store lies. */
export type Place = {
  clients: Clients
  /** For what is asked of the stores and the ledger in between. */
  connection: Connection
  /** All that a product could write to: stores, marks, ledger, work, backups. */
  everything(): Promise<unknown>
  /** Objects of the bucket of the backups: sizes by key. */
  objects(): Promise<Map<string, number>>
  read(key: string): Promise<Stored>
  /** null: removes it. */
  write(key: string, object: Stored | null): Promise<void>
  /** Ends the run that a test left, and lets the deadlines of its invocations pass. */
  endRuns(): Promise<void>
}

/** What a run asks of every store, as sentences. A store that is added has to pass them as they are. */
export function conforms<T extends Target>(place: Place, store: Conforming<T>): void {
  const { name } = store
  const strategy = `${name}-only`
  const reset = { operation: 'reset', strategy, preserve: store.preserve, rehearse: false }
  let sealed: string | null = null
  const { mark, extent } = { mark: marks[name], extent: extents[name] }

  beforeEach(async () => {
    await place.endRuns()
    await store.fill()
  })

  test("a mark that was written is read, twice is once, and another environment's is not written over", async () => {
    const { clients } = place
    const environment = clients.config.ENVIRONMENT
    const read = () => mark.read(clients, place.connection)
    const write = () => markWriters[name](clients, place.connection)
    const said = [extent(clients.config), mark.where(clients.config), mark.store]
    expect(said).not.toContain('')
    await store.remark(null)
    try {
      expect(await read()).toBeUndefined()
      await expect(guard()).rejects.toMatchObject({ name: 'EnvironmentUnclaimed' })
      await write()
      await write()
      expect(await read()).toBe(environment)
      await guard()
      await store.remark('another')
      await expect(guard()).rejects.toMatchObject({ name: 'EnvironmentMismatch' })
      await expect(write()).rejects.toMatchObject({ name: 'EnvironmentMismatch' })
      expect(await read()).toBe('another')
    } finally {
      await store.remark(environment)
    }

    function guard() {
      return checkMarks(clients, place.connection, { wipes: true, needs: [name] })
    }
  })

  test('a look and a dry plan count what is there, and write nothing at all', async () => {
    const { clients } = place
    const [things, before] = [await store.things(), await place.everything()]
    const preserved = [...things.keys()].filter(store.isPreserved).length
    const unlimited = { preserve: store.preserve, limits: null }
    const ample = { storeMs: 50_000, countMs: 50_000, bytes: 1e9, objects: 1e6, keys: 1e6 }
    for (const asked of [unlimited, { preserve: store.preserve, limits: ample }]) {
      const looked = await looks[name](clients, asked)
      expect(looked.mark).toBe(clients.config.ENVIRONMENT)
      expect(store.found(looked.found)).toEqual({ all: things.size, preserved })
    }
    const planned = await planDry()
    expect(limits[name](planned, clients.config)).toMatchObject({ count: things.size - preserved })
    expect(await place.everything()).toEqual(before)
  })

  test('a backup holds all that is there when no step has left a gap, and taken twice it is the same', async () => {
    const [things, outside] = [await store.things(), await store.outside()]
    const run = await start({ operation: 'backup', strategy })
    const steps = store.steps.backUp(run)
    expect(await endOf(run)).toMatchObject({ state: 'untouched', count: 0 })
    for (const step of steps) {
      await expect(sectionOf(run)).rejects.toMatchObject({ name: 'BackupIncomplete' })
      await invoke(step)
    }
    const [section, objects] = [await sectionOf(run), await place.objects()]
    expect(await endOf(run)).toMatchObject({ state: 'untouched', count: 0 })

    for (const step of steps) await invoke(step)
    expect(await place.objects()).toEqual(objects)

    for (const _time of ['once', 'twice']) await invoke({ handler: seal, input: run })
    const manifest = await manifestOf(await readRun(place.connection, run.runId))
    const named = objectsOf(manifest?.[name] as Held[T])
    expect(named.map(contentOf)).toEqual(objectsOf(section.held).map(contentOf))
    expect(named.length).toBeGreaterThan(0)
    const lying = await place.objects()
    for (const { key, bytes, section } of named)
      expect([section, key, lying.get(key)]).toEqual([name, key, bytes])
    expect(await endOf(run)).toMatchObject({ state: 'backed_up', count: things.size })
    expect(await end(run)).toMatchObject({ state: 'backed_up', count: things.size })
    expect([await store.things(), await store.outside()]).toEqual([things, outside])
  })

  test('a wipe takes what the plan says, leaves what is preserved, and its end is told right wherever it breaks off', async () => {
    const [things, outside] = [await store.things(), await store.outside()]
    const preserved = new Map([...things].filter(([key]) => store.isPreserved(key)))
    const count = things.size - preserved.size
    expect([preserved.size, count].every((some) => some > 0)).toBe(true)
    const run = await start(reset)
    const plan = await planOf(run)
    expect(limits[name](sectionOfPlan(plan), place.clients.config)).toMatchObject({ count })
    expect(await endOf(run)).toMatchObject({ state: 'untouched', count: 0 })
    await backUp(run)
    expect(await endOf(run)).toMatchObject({ state: 'backed_up', count: things.size })

    const steps = store.steps.wipe(run)
    await store.remark('another')
    for (const step of steps)
      await expect(invoke(step)).rejects.toMatchObject({ name: 'EnvironmentMismatch' })
    await store.remark(place.clients.config.ENVIRONMENT)
    expect(await endOf(run)).toMatchObject({ state: 'backed_up', count: things.size })
    expect(await store.things()).toEqual(things)

    const results = await resultsOf(run, () => breakOff(run, steps, { before: things, after: preserved }))
    const wiped = { state: 'wiped', count, isUnread: false, shortfall: null }
    expect(await endOf(run)).toEqual(wiped)
    for (const step of steps) await invoke(step)
    expect(await endOf(run)).toEqual(wiped)
    expect([await store.things(), await store.outside()]).toEqual([preserved, outside])

    for (const lost of [null, { Body: 'no result' }]) {
      for (const key of results.keys()) await place.write(key, lost)
      const { state, isUnread } = await endOf(run)
      expect(['wiped', 'partly_wiped', 'unknown']).toContain(state)
      // What cannot be read is not taken for what was never written.
      expect(isUnread).toBe(lost !== null && results.size > 0)
      if (isUnread) expect(state).not.toBe('partly_wiped')
    }
    for (const [key, object] of results) await place.write(key, object)
    const ended = await end(run)
    expect(ended).toMatchObject({ state: 'wiped', count })
    expect(await store.things()).toEqual(preserved)
    sealed = ended.backupId
  })

  test('a restore is the inverse of a wipe, and twice is the same as once', async () => {
    const before = await whole()
    const backupId = await backupOfWipe()
    await store.empty()
    const later = await store.add()
    const run = await start({ operation: 'restore', backupId, targets: [name], safetyBackup: false })
    expect(await endOf(run)).toMatchObject({ state: 'untouched', count: 0 })
    for (const _time of ['once', 'twice']) {
      for (const step of store.steps.restore(run)) await invoke(step)
      const { things, ...rest } = await whole()
      expect(things.delete(later)).toBe(store.keepsLater)
      expect({ things, ...rest }).toEqual(before)
    }
    expect(await end(run)).toMatchObject({ state: 'restored', count: before.things.size })
  })

  test.runIf(isFull)(
    `after an exact restore there is what the backup holds and nothing else, and its end is told right wherever it breaks off ${inFullForm}`,
    async () => {
      const before = await whole()
      const backupId = await backupOfWipe()
      await store.fill()
      await store.add()
      const after = await store.things()
      const run = await start({
        ...{ operation: 'restore', backupId, targets: [name], exact: true, rehearse: false },
      })
      await backUp(run)
      expect(await endOf(run)).toMatchObject({ state: 'backed_up', count: after.size })
      await breakOff(run, store.steps.restore(run), { before: after, after: before.things })
      expect(await whole()).toEqual(before)
      expect(await end(run)).toMatchObject({ state: 'restored', count: before.things.size })
      expect(await whole()).toEqual(before)
    },
  )

  /** Everything that a restore has to bring back, and what it must leave. */
  async function whole() {
    const [things, besides] = [await store.things(), await store.besides?.()]
    return { things, besides, outside: await store.outside() }
  }

  async function planDry(): Promise<Planned[T]> {
    const { clients } = place
    const preserve = { ...store.preserve, rows: {}, excluded: [] }
    const { planned } = await planners[name](clients, place.connection, {
      run: { runId: randomUUID(), attempt: 0, tried: randomUUID() },
      operation: 'reset',
      takesBackup: true,
      startedAt: '2026-11-22T12:00:00Z',
      dryRun: true,
      rehearse: 'auto',
      takeOver: false,
      preserve,
      backup: null,
      selection: {},
    })
    return planned
  }

  /** State "Count". */
  async function start(request: Record<string, unknown>): Promise<Started> {
    const { ENVIRONMENT: confirm } = place.clients.config
    const input = { request: { confirm, ...request }, runId: randomUUID(), attempt: 0 }
    const startedAt = new Date().toISOString()
    return (await invoke({ handler: count, input: { ...input, startedAt } })) as Started
  }

  async function backUp(run: Started): Promise<void> {
    for (const step of store.steps.backUp(run)) await invoke(step)
    await invoke({ handler: seal, input: run })
  }

  /** Of a reset that came to its end, of what `fill` puts there: the first test that has one leaves it to the others. */
  async function backupOfWipe(): Promise<string> {
    if (sealed !== null) return sealed
    const run = await start(reset)
    await backUp(run)
    for (const step of store.steps.wipe(run)) await invoke(step)
    sealed = (await end(run)).backupId
    return backupOfWipe()
  }

  /**
   * Each step as often as it takes, with time for one more of its checks each time. Whatever it got done by then, what is
   * told of it agrees with what is there.
   */
  async function breakOff(
    run: Started,
    steps: readonly Step[],
    { before, after }: Record<'before' | 'after', Map<string, string>>,
  ): Promise<void> {
    let broken = 0
    if (store.obstruct !== undefined) {
      for (const step of steps) {
        if ((await store.obstruct(() => invoke(step))) !== null) broken++
        await compare()
      }
    }
    for (const step of steps) {
      for (let checks = 1; ; checks++) {
        const failed = await invoke(step, checks).then(() => null, named)
        await compare()
        if (failed === null) break
        expect(failed).toBe('OutOfTime')
        expect(++broken).toBeLessThan(50)
      }
    }
    expect(broken).toBeGreaterThan(0)

    async function compare(): Promise<void> {
      const { state } = await endOf(run)
      const there = await store.things()
      if (isChanged(there, before)) expect(['untouched', 'backed_up']).not.toContain(state)
      if (isChanged(there, after)) expect(['wiped', 'restored']).not.toContain(state)
    }
  }

  /** What "Finish" would say of the run if it failed now. */
  async function endOf(run: RunRef) {
    const { clients } = place
    const row = await readRun(place.connection, run.runId)
    const summary = PlanSummary.parse(row.plan)
    const inLedger = leftInLedger(row)
    const about = { row, summary, left: inLedger }
    const found = await leftInBucket(clients, about).then(
      (left) => ({ left, unread: false }),
      () => ({ left: inLedger, unread: true }),
    )
    const manifest = found.unread ? null : await manifestOf(row)
    const told = endOfStores({ row, summary, manifest, succeeded: false, ...found })
    const counts = told.targets[name] as Counts[T] & { state: TargetState }
    const shortfall = [...told.shortfalls.wipe, ...told.shortfalls.restore][0] ?? null
    return { state: counts.state, count: store.counted(counts), isUnread: found.unread, shortfall }
  }

  /** State "Finish", after which all that is left to do may be done twice. */
  async function end({ runId }: Started) {
    const { clients } = place
    const outcome = Outcome.parse(await invoke({ handler: finish, input: { runId } }))
    const row = await readRun(place.connection, runId)
    for (const _time of ['once', 'twice']) await enders[name].tidy?.act(clients, row)
    const counts = outcome.targets[name] as Counts[T] & { state: TargetState }
    const { backupId, error } = outcome
    expect(error).toBeNull()
    return { state: counts.state, count: store.counted(counts), backupId }
  }

  async function planOf(run: RunRef): Promise<Plan> {
    const noted = await readNoted(place.connection, run.runId)
    return readPlan(place.clients.backups, run, noted)
  }

  function sectionOfPlan(plan: Plan): Planned[T] {
    const planned = plan[name] as Planned[T] | null
    if (planned === null) throw new Error(`The plan says nothing of the store ${name}.`)
    return planned
  }

  /** Its section of the manifest, of what the steps have left until now. */
  async function sectionOf(run: RunRef): Promise<{ held: Held[T] }> {
    const plan = await planOf(run)
    const planned = sectionOfPlan(plan)
    const asked = { run: plannedRun(plan), backupId: sealedAs(plan), planned, rehearse: plan.rehearse }
    return sealers[name](place.clients, asked)
  }

  async function manifestOf({ backupId, runId }: RunRow): Promise<Manifest | null> {
    const { backups, config } = place.clients
    return backupId === null ? null : findOwnManifest(backups, config.BACKUP_PREFIX, { backupId, runId })
  }

  /** What a section of a manifest names. */
  function objectsOf(held: Held[T]): NamedObject[] {
    const sections = Object.fromEntries(targets.map((target) => [target, target === name ? held : null]))
    return namedObjects(sections as Pick<Manifest, Target>)
  }

  /** What `steps` leave among the work of the run. */
  async function resultsOf(run: RunRef, steps: () => Promise<void>): Promise<Map<string, Stored>> {
    const { root } = workKeys(run)
    const keys = async () => [...(await place.objects()).keys()].filter((key) => key.startsWith(root))
    const before = new Set(await keys())
    await steps()
    const results = new Map<string, Stored>()
    for (const key of await keys()) if (!before.has(key)) results.set(key, await place.read(key))
    return results
  }
}

/** @param checks how often the step may ask for its time before it has none left; left out: always */
function invoke({ handler, input }: Step, checks = Number.POSITIVE_INFINITY): Promise<unknown> {
  let asked = 0
  const getRemainingTimeInMillis = () => (asked++ < checks ? 60_000 : 0)
  return handler(input, { functionName: '', awsRequestId: '', getRemainingTimeInMillis })
}

/** The key may be another one each time, so that nothing is written over. */
function contentOf({ key: _, ...content }: NamedObject) {
  return content
}

function isChanged(there: Map<string, string>, before: Map<string, string>): boolean {
  return there.size !== before.size || [...before].some(([key, value]) => there.get(key) !== value)
}

function named(error: unknown): string {
  return error instanceof Error ? error.name : 'no error'
}
