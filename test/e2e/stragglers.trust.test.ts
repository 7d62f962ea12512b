import { setTimeout } from 'node:timers/promises'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { handler as copy } from '../../functions/copy.ts'
import { handler as exportStep } from '../../functions/export.ts'
import { handler as restore } from '../../functions/restore.ts'
import { handler as wipe } from '../../functions/wipe.ts'
import type { Outcome } from '../../lib/run/outcome.ts'
import { holding, isBulkDelete, type S3Request } from '../files/s3-front.ts'
import { inFullForm, isFull, tried } from '../support/trust.ts'
import { useFronts } from './fronts.ts'
import {
  backupBucket,
  environment,
  filesBucket,
  filesPrefix,
  useResetStack,
  withVariables,
} from './reset-stack.ts'

/**
 * A straggler: the first invocation of a step is held at one of its requests, and the step is repeated as if the answer
 * had been lost. What the straggler does when it is let go, after its run and the restore that followed, changes nothing.
 */
type Straggler = {
  held: ReturnType<typeof holding>
  /** Resolves when it has ended, however that was; true: it was never held. */
  ended: Promise<void>
}

/** Before the machine carries out the step that is being tried for the first time. */
let beforeStep: { state: string; act: (input: unknown) => Promise<void> } | null = null
const reset = useResetStack({
  beforeTask: async (state, input) => {
    if (state !== beforeStep?.state) return
    const { act } = beforeStep
    beforeStep = null
    await act(input)
  },
})
const fronts = useFronts(reset)
/** How often the next run was refused because a straggler was alive. */
let refused = 0

const scope = { strategy: 'files-only', rehearse: false, confirm: environment } as const
/** Milliseconds that a straggler has: enough for its run to end meanwhile, and little enough to wait for. */
const lifetimeMs = 2_500
let start: string

beforeAll(async () => {
  await reset.seed({ users: 0, files: 8, keys: 0 })
  await reset.put(`${filesPrefix}control\u0001`, 'deleted alone')
  start =
    (await reset.succeed({ operation: 'backup', strategy: 'files-only', rehearse: false })).backupId ?? ''
})

const restoreOf = (backupId: string | null) =>
  ({
    operation: 'restore',
    backupId,
    targets: ['files'],
    exact: true,
    rehearse: false,
    confirm: environment,
  }) as const
const live = () => reset.objects(filesBucket, filesPrefix)
const everything = async () => [await reset.objects(filesBucket), await reset.objects(backupBucket)]

/** Files as the backup at the start has them, and then changed, gone and more of them. */
async function setOut({ changed }: { changed: boolean }): Promise<void> {
  await reset.succeed(restoreOf(start))
  if (!changed) return
  await reset.put(`${filesPrefix}story 1.txt`, 'changed')
  await reset.remove(filesBucket, [`${filesPrefix}story 2.txt`])
  await reset.put(`${filesPrefix}extra.txt`, 'not in the backup')
}

type Step = {
  state: string
  request: () => Parameters<typeof reset.succeed>[0]
  handler: typeof copy | typeof wipe | typeof restore
  changed: boolean
}

/** Whether the ledger knows of an invocation that could still change a store. */
async function isAlive(): Promise<boolean> {
  const found = await reset.stack.admin.query(
    'SELECT 1 FROM taskmaster_reset.invocations WHERE deadline > now()',
  )
  return found.rows.length > 0
}

/** Gives where the straggler was stopped, or null: it had ended before it came to a request that matches. */
async function straggle(step: Step, matches: (request: S3Request) => boolean): Promise<string | null> {
  await setOut(step)
  const before = await live()
  let straggler: Straggler | undefined
  let at: S3Request | undefined
  beforeStep = {
    state: step.state,
    act: async (input) => {
      const held = holding(matches)
      fronts.s3.faults = [held.fault]
      const deadline = Date.now() + lifetimeMs
      const context = {
        functionName: step.state,
        awsRequestId: 'straggler',
        getRemainingTimeInMillis: () => deadline - Date.now(),
      }
      const ended = Promise.resolve(step.handler(input, context)).then(
        () => {},
        () => {},
      )
      straggler = { held, ended }
      at = (await Promise.race([held.arrived, ended])) ?? undefined
    },
  }
  const outcome: Outcome = await reset.succeed(step.request())
  if (straggler === undefined || at === undefined) return null
  if (await isAlive()) {
    const next = await reset.run(restoreOf(outcome.backupId))
    if (next.status === 'FAILED') refused++
    // Unless its time was over just now, on a slow machine.
    if (next.status !== 'SUCCEEDED') expect(next).toMatchObject({ status: 'FAILED', error: 'RunActive' })
    while (await isAlive()) await setTimeout(50)
  }
  await reset.succeed(restoreOf(outcome.backupId))
  expect(await live()).toEqual(before)
  if (step.handler === copy) for (const { key } of before) await reset.put(key, 'written later')
  const after = await everything()
  straggler.held.release()
  await straggler.ended
  await vi.waitFor(() => expect(fronts.s3.atWork).toBe(0))
  expect(await everything()).toEqual(after)
  await reset.succeed(restoreOf(outcome.backupId))
  expect(await live()).toEqual(before)
  return `${at.method} ${at.query.has('delete') ? '?delete' : at.key === '' ? '?list' : 'object'}`
}

const resetFiles = () => ({ operation: 'reset', ...scope }) as const
const restoreFiles = () => restoreOf(start)
const steps: [string, Step, (request: S3Request) => boolean][] = [
  [
    'Copy files of a reset',
    { state: 'Copy files batch', request: resetFiles, handler: copy, changed: false },
    ({ headers }) => headers['x-amz-copy-source'] !== undefined,
  ],
  [
    'Copy files of a restore, which are its safety backup',
    { state: 'Copy files batch', request: restoreFiles, handler: copy, changed: true },
    ({ headers, key }) => headers['x-amz-copy-source'] !== undefined && key.endsWith('story 1.txt'),
  ],
  [
    'Wipe files',
    { state: 'Wipe files batch', request: resetFiles, handler: wipe, changed: false },
    isBulkDelete,
  ],
  [
    'Restore files',
    { state: 'Restore files batch', request: restoreFiles, handler: restore, changed: true },
    ({ headers }) => headers['if-match'] !== undefined,
  ],
]

describe('an invocation that wakes up after its step was repeated, its run ended and a restore was made', () => {
  for (const [name, step, atItsWork] of steps) {
    const isInShort = step.handler !== copy
    test.runIf(isFull || isInShort)(
      `changes nothing: ${name}${isInShort ? '' : ` ${inFullForm}`}`,
      { timeout: 600_000 },
      async () => {
        await withVariables(fronts.variables, async () => {
          const stops: string[] = []
          refused = 0
          if (!isFull) expect(await straggle(step, atItsWork)).not.toBeNull()
          else {
            for (let stop = 0; ; stop++) {
              let count = 0
              const at = await straggle(step, () => count++ === stop)
              if (at === null) break
              stops.push(at)
            }
            expect(stops.length).toBeGreaterThan(5)
          }
          tried(`stragglers, ${name}`, { stops: Math.max(1, stops.length), refused })
        })
      },
    )
  }
})

test('a run whose heartbeat stopped is not taken over while an invocation of it may be alive, and that one then changes nothing', async () => {
  await reset.seed({ users: 0, files: 8, keys: 0 })
  const { admin } = reset.stack
  await withVariables(fronts.variables, async () => {
    const held = holding(isBulkDelete)
    beforeStep = {
      state: 'Wipe files batch', // Count tries whether deletions are heeded, which is not meant
      act: async () => {
        fronts.s3.faults = [held.fault]
      },
    }
    const first = reset.run({ operation: 'reset', ...scope })
    await held.arrived
    const dead = await admin.query(
      `UPDATE taskmaster_reset.runs SET heartbeat_at = now() - interval '21 minutes' WHERE status = 'running' RETURNING run_id, backup_id`,
    )
    const { run_id, backup_id } = dead.rows[0]
    const restore = restoreOf(backup_id)
    expect(await reset.run(restore)).toMatchObject({ status: 'FAILED', error: 'RunActive' })
    expect((await reset.row(run_id)).status).toBe('abandoned')
    held.release() // this request is carried out: the next run waited for it
    expect(await first).toMatchObject({ status: 'FAILED', error: 'RunLost' })
    await reset.succeed(restore)
    expect(await live()).toHaveLength(8)
  })
})

test('an invocation of "Export database" that wakes up after its run has ended leaves no part but the one it was at', async () => {
  await reset.seed({ users: 3, files: 0, keys: 0 })
  const partsOf = async () =>
    (await reset.objects(backupBucket, '.taskmaster/backups/')).filter(({ key }) =>
      key.includes('/database/'),
    )
  await withVariables(fronts.variables, async () => {
    const held = holding(({ method, key }) => method === 'PUT' && key.includes('/database/'))
    let straggler: Promise<string> = Promise.resolve('never begun')
    beforeStep = {
      state: 'Export database batch',
      act: async (input) => {
        fronts.s3.faults = [held.fault]
        const context = {
          ...{ functionName: 'export', awsRequestId: 'straggler' },
          getRemainingTimeInMillis: () => 60_000,
        }
        straggler = Promise.resolve(exportStep(input, context)).then(
          () => 'ended',
          (error: Error) => error.name,
        )
        await held.arrived
      },
    }
    await reset.succeed({ operation: 'backup', strategy: 'database-only', rehearse: false })
    const before = await partsOf()
    held.release()
    expect(await straggler).toBe('RunLost')
    expect((await partsOf()).length - before.length).toBeLessThanOrEqual(1)
  })
})

describe('an invocation of "Wipe cache" that goes on while its repeat is at work', () => {
  type Hold = { arrived: Promise<unknown>; release: () => void }

  /** Resets the cache; the first invocation is held, and goes on when the repeat has ended, before the run does. */
  async function resetBesides(hold: () => Hold, change: { first: () => unknown; last: () => unknown }) {
    const { redis } = reset.stack
    await redis.mset('page:1', 'as exported', 'page:2', 'as exported')
    let straggler: Promise<string> = Promise.resolve('never begun')
    let isHeld = false
    beforeStep = {
      state: 'Wipe cache',
      act: async (input) => {
        await change.first()
        const held = hold()
        const context = {
          functionName: 'Wipe cache',
          awsRequestId: 'straggler',
          getRemainingTimeInMillis: () => 60_000,
        }
        straggler = Promise.resolve(wipe(input, context)).then(
          () => 'ended',
          (error: Error) => error.name,
        )
        isHeld = (await Promise.race([held.arrived, straggler])) !== 'ended'
        beforeStep = {
          state: 'Finish',
          act: async () => {
            await change.last()
            held.release()
            await straggler
          },
        }
      },
    }
    const outcome = await withVariables(fronts.variables, () =>
      reset.succeed({ operation: 'reset', strategy: 'cache-only', confirm: environment }),
    )
    expect(isHeld).toBe(true)
    const before = await redis.mget('page:1', 'page:2', 'page:3')
    await reset.succeed({ ...restoreOf(outcome.backupId), targets: ['cache'] })
    const restored = await redis.mget('page:1', 'page:2', 'page:3')
    await redis.del('page:1', 'page:2', 'page:3')
    return { outcome, before, restored, straggler: await straggler }
  }

  test('loses no key that the repeat added to the backup and deleted', async () => {
    const { redis } = reset.stack
    const holdBeforeLateFile = () => {
      let listings = Number.NEGATIVE_INFINITY
      const held = holding(({ method, key, query }) => {
        if (method === 'PUT' && /\/late-1\/\d+\.jsonl\.zst$/.test(key)) listings = 0
        // The listing that gives the next late file its number.
        return query.get('prefix')?.endsWith('/late-') === true && ++listings === 1
      })
      fronts.s3.faults = [held.fault]
      void held.arrived.then(() => redis.set('page:3', 'came after the straggler had looked'))
      return held
    }
    const { outcome, before, restored, straggler } = await resetBesides(holdBeforeLateFile, {
      first: () => redis.set('page:1', 'changed'),
      last: () => {},
    })
    // Of page:1 the repeat cannot tell whether it changed before the first key went or after.
    expect([before, outcome.status]).toEqual([['changed', null, null], 'succeeded_with_warnings'])
    expect(restored.slice(1)).toEqual(['as exported', 'came after the straggler had looked'])
    expect(straggler).toBe('RunLost')
  })

  test('puts nothing that came later in the place of what the repeat deleted', async () => {
    const { redis } = reset.stack
    const holdBeforeDeleting = () => {
      const [arrived, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      fronts.cache.faults = [
        async (commands) => {
          if (!JSON.stringify(commands).includes('UNLINK')) return undefined
          fronts.cache.faults = []
          arrived.resolve()
          await released.promise
          return undefined
        },
      ]
      return { arrived: arrived.promise, release: released.resolve }
    }
    const { before, restored, straggler } = await resetBesides(holdBeforeDeleting, {
      first: () => {},
      last: () => redis.set('page:2', 'came later'),
    })
    expect(before).toEqual([null, 'came later', null])
    expect(restored).toEqual(['as exported', 'as exported', null])
    expect(straggler).toBe('RunLost')
  })
})
