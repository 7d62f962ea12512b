import { describe, expect, it } from 'vitest'
import { type Stage, stagesOf } from '../../console/runs/steps.ts'
import type { Run } from '../../lib/http/answers/run.ts'
import { strategies } from '../../lib/run/strategy.ts'
import { targets } from '../../lib/store.ts'
import machine from '../../state-machine.asl.json' with { type: 'json' }

type Drawn = Parameters<typeof stagesOf>[0]

const counted = {
  database: { rows: 9, tables: 2, batches: 1 },
  files: { objects: 3, bytes: 30, batches: 1 },
  cache: { keys: 4 },
}
const all = [...targets]
const reset: Drawn = {
  operation: 'reset',
  strategy: 'full',
  status: 'running',
  phase: 'Count',
  progress: {},
  dryRun: false,
  plan: { ...counted, wipes: all, backsUp: all, rehearse: true },
}
const restore: Drawn = { ...reset, operation: 'restore', strategy: null, plan: { ...reset.plan!, wipes: [] } }

/** `done`, `running` … of each step, by its name. */
function statesOf(stages: readonly Stage[]): Record<string, string> {
  return Object.fromEntries(stages.flatMap(({ steps }) => steps.map(({ name, state }) => [name, state])))
}
const namesOf = (run: Drawn) => Object.keys(statesOf(stagesOf(run)))

describe('the graph of a run', () => {
  it('draws the states of the machine by their names, and leaves none out that does work', () => {
    const working = Object.entries({ ...machine.States, ...branchesOf('Back up') })
      .filter(([, { Type }]) => Type === 'Task' || Type === 'Map')
      .map(([name]) => name)
    const verify: Drawn = { ...reset, operation: 'verify', plan: { ...reset.plan!, backsUp: [], wipes: [] } }
    const database = { rows: 9, tables: 2, batches: 2 }
    const large: Drawn = { ...reset, plan: { ...reset.plan!, database } }
    const drawn = [
      large,
      { ...reset, steps: { 'Hooks before': {}, 'Hooks after': {} } },
      restore,
      verify,
      { ...verify, operation: 'diff' },
      { ...verify, operation: 'delete' },
    ].flatMap(namesOf)
    // Repeats of Count and Finish, and what comes after the run has ended.
    const aside = ['Count again', 'Finish failed', 'Prune']
    expect(new Set([...drawn, ...aside])).toEqual(new Set(working))
  })

  it('draws calls of hooks only where they were made', () => {
    expect(namesOf(reset)).not.toContain('Hooks before')
    expect(namesOf({ ...reset, phase: 'Hooks before' }).slice(0, 2)).toEqual(['Count', 'Hooks before'])
    expect(namesOf({ ...reset, steps: { 'Hooks after': {} } }).slice(-2)).toEqual(['Hooks after', 'Finish'])
  })

  it('says that several batches are made one moment only when there are several, and are backed up', () => {
    expect(namesOf(reset)).not.toContain('Reconcile')
    const database = { rows: 9, tables: 2, batches: 2 }
    const plan = { ...reset.plan!, database }
    expect(namesOf({ ...reset, plan })).toContain('Reconcile')
    expect(namesOf({ ...restore, plan: { ...plan, backsUp: [] } })).not.toContain('Reconcile')
  })

  it('has the stages of its operation in their order, and no stage without a step', () => {
    const stages = (run: Drawn) => stagesOf(run).map(({ name }) => name)
    const bare = { ...reset.plan!, backsUp: [] }
    expect(stages(reset)).toEqual(['Plan', 'Back up', 'Prove', 'Wipe', 'End'])
    expect(stages({ ...reset, plan: bare })).toEqual(['Plan', 'Wipe', 'End'])
    expect(stages({ ...reset, operation: 'backup' })).toEqual(['Plan', 'Back up', 'Prove', 'End'])
    expect(stages(restore)).toEqual(['Plan', 'Back up', 'Prove', 'Load', 'Restore', 'End'])
    expect(stages({ ...restore, plan: bare })).toEqual(['Plan', 'Load', 'Restore', 'End'])
    expect(stages({ ...reset, operation: 'verify' })).toEqual(['Plan', 'Check', 'Load', 'End'])
    const unloaded = { ...bare, rehearse: false }
    expect(stages({ ...reset, operation: 'verify', plan: unloaded })).toEqual(['Plan', 'Check', 'End'])
    expect(stages({ ...reset, operation: 'delete' })).toEqual(['Plan', 'Remove', 'End'])
    expect(stages({ ...reset, operation: 'diff' })).toEqual(['Plan', 'Compare', 'End'])
    const dry = { ...restore, dryRun: true }
    expect(stages(dry)).toEqual(['Plan', 'End'])
    expect(stages({ ...dry, phase: 'Diff files' })).toEqual(['Plan', 'Compare', 'End'])
    expect(stages({ ...dry, progress: { 'Diff database/0': { done: 1, total: 1 } } })).toEqual([
      ...['Plan', 'Compare', 'End'],
    ])
    for (const short of [
      { ...reset, dryRun: true },
      { ...reset, operation: 'claim', strategy: null },
    ])
      expect(namesOf(short)).toEqual(['Count', 'Finish'])
  })

  it('of a restore has the stores that are put back: all of them until that is known', () => {
    const filesOnly = { ...restore.plan!, database: null, cache: null, backsUp: ['files' as const] }
    expect(namesOf({ ...restore, plan: filesOnly })).toEqual([
      ...['Count', 'Copy files', 'Seal', 'Restore files', 'Finish'],
    ])
    expect(namesOf({ ...restore, plan: null })).toEqual([
      ...['Count', 'Export database', 'Copy files', 'Export cache', 'Seal', 'Load backup', 'Compare backup'],
      ...['Restore database', 'Restore files', 'Restore cache', 'Finish'],
    ])
  })

  it('has only the stores of the strategy, also before anything is planned', () => {
    for (const strategy of strategies) {
      const names = namesOf({ ...reset, strategy, plan: null })
      for (const target of targets)
        expect(names.includes(`Wipe ${target}`)).toBe(strategy === 'full' || strategy.startsWith(target))
    }
  })

  it('says that a rehearsal is done only when one is planned', () => {
    expect(namesOf(reset)).toContain('Rehearse')
    expect(namesOf({ ...reset, plan: { ...reset.plan!, rehearse: false } })).not.toContain('Rehearse')
  })

  it('shows what is backed up at the same time as at work together, with how far each is', () => {
    const progress = { 'Copy files': { done: 1, total: 3 } }
    const stages = stagesOf({ ...reset, phase: 'Export cache', progress })
    expect(statesOf(stages)).toMatchObject({
      Count: 'done',
      'Export database': 'running',
      'Copy files': 'running',
      'Export cache': 'running',
      Seal: 'waiting',
      'Wipe database': 'waiting',
    })
    expect(stages[1]?.steps.map((step) => step.progress)).toEqual([null, { done: 1, total: 3 }, null])
    // All of it counted is not yet the end of the step, and of nothing there is no part to show.
    const whole = { 'Copy files': { done: 3, total: 3 }, 'Export cache': { done: 0, total: 0 } }
    const almost = stagesOf({ ...reset, phase: 'Export cache', progress: whole })
    expect(statesOf(almost)).toMatchObject({ 'Copy files': 'running', 'Export cache': 'running' })
    expect(almost[1]?.steps.map((step) => step.progress)).toEqual([null, { done: 3, total: 3 }, null])
    expect(statesOf(stagesOf({ ...reset, status: 'starting', phase: 'Count' })).Count).toBe('running')
    expect(Object.values(statesOf(stagesOf({ ...reset, phase: null })))).not.toContain('running')
  })

  it('marks where a run that failed has stopped, and nothing after it as done', () => {
    const stages = stagesOf({ ...reset, status: 'failed', phase: 'Wipe files' })
    expect(statesOf(stages)).toMatchObject({
      'Wipe database': 'done',
      'Wipe files': 'stopped',
      'Wipe cache': 'waiting',
      Finish: 'closed',
    })
    // Of what was at work at the same time only that is done which is known to be.
    const progress = { 'Copy files': { done: 3, total: 3 }, 'Export cache': { done: 1, total: 4 } }
    const together = stagesOf({ ...reset, status: 'failed', phase: 'Copy files', progress })
    expect(statesOf(together)).toMatchObject({
      ...{ 'Export database': 'stopped', 'Copy files': 'done', 'Export cache': 'stopped', Seal: 'waiting' },
    })
  })

  it('ticks no step that had nothing to do, or never ran', () => {
    const files = { objects: 0, bytes: 0, batches: 0 }
    const none: Drawn = { ...reset, status: 'succeeded', plan: { ...reset.plan!, files } }
    expect(statesOf(stagesOf(none))).toMatchObject({
      'Copy files': 'idle',
      'Wipe files': 'idle',
      'Export database': 'done',
      Finish: 'done',
    })
    const empty = { ...reset.plan!, database: { rows: 0, tables: 0, batches: 0 } }
    expect(statesOf(stagesOf({ ...reset, status: 'succeeded', plan: empty }))).toMatchObject({
      ...{ 'Export database': 'idle', Rehearse: 'idle', Compare: 'done', 'Copy files': 'done' },
    })
    const putBack = (objects: number) => {
      const database = { state: 'untouched' as const, rows: 0, tables: {} }
      const files = { state: 'restored' as const, objects, bytes: 0 }
      const outcome = { targets: { database, files, cache: { state: 'untouched' as const, keys: 0 } } }
      return statesOf(stagesOf({ ...restore, status: 'succeeded', outcome }))['Restore files']
    }
    expect([putBack(0), putBack(1)]).toEqual(['idle', 'done'])
    const early = statesOf(stagesOf({ ...reset, status: 'failed', phase: 'Count', plan: null }))
    const ran = Object.entries(early).filter(([, state]) => state === 'done')
    expect(ran).toEqual([])
    expect(early).toMatchObject({ Count: 'stopped', 'Export database': 'waiting', Finish: 'closed' })
    const cancelled = statesOf(stagesOf({ ...reset, status: 'cancelled', phase: 'Seal' }))
    expect(cancelled).toMatchObject({ Seal: 'stopped', 'Wipe database': 'waiting', Finish: 'waiting' })
  })

  it.each<Run['status']>(['succeeded', 'succeeded_with_warnings'])(
    'has every step done when it %s',
    (status) => {
      const states = Object.values(statesOf(stagesOf({ ...reset, status, phase: 'Wipe cache' })))
      expect(new Set(states)).toEqual(new Set(['done']))
    },
  )

  it('marks only what takes something away', () => {
    const destructive = (run: Drawn) =>
      stagesOf(run).flatMap(({ name, destructive }) => (destructive ? [name] : []))
    expect(destructive(reset)).toEqual(['Wipe'])
    expect(destructive(restore)).toEqual(['Restore'])
    expect(destructive({ ...reset, operation: 'delete' })).toEqual(['Remove'])
    expect(destructive({ ...reset, operation: 'backup' })).toEqual([])
    expect(destructive({ ...reset, operation: 'verify' })).toEqual([])
    expect(destructive({ ...reset, dryRun: true })).toEqual([])
  })
})

function branchesOf(state: 'Back up'): Record<string, { Type: string }> {
  const branches: { States: Record<string, { Type: string }> }[] = machine.States[state].Branches
  return Object.assign({}, ...branches.map(({ States }) => States))
}
