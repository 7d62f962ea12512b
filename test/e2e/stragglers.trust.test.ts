import { describe, expect, test } from 'vitest'
import { handler as exportStep } from '../../functions/export.ts'
import { handler as putback } from '../../functions/putback.ts'
import { handler as wipe } from '../../functions/wipe.ts'
import { holding, isBulkDelete } from '../files/s3-front.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { backupBucket, environment, withVariables } from './reset-stack.ts'
import { restoreOf, scope, useStragglers } from './stragglers.ts'

const { reset, fronts, live, testStops, beforeNext } = useStragglers()

describe('an invocation that wakes up after its step was repeated, its run ended and a restore was made', () => {
  testStops('Wipe files', {
    state: 'Wipe files batch',
    request: () => ({ operation: 'reset', ...scope }),
    handler: wipe,
    changed: false,
  })

  testStops('Restore files', {
    state: 'Restore files batch',
    request: restoreOf,
    handler: putback,
    changed: true,
  })
})

test('a run whose heartbeat stopped is not taken over while an invocation of it may be alive, and that one then changes nothing', async () => {
  await reset.seed({ users: 0, files: 8, keys: 0 })
  const { admin } = reset.stack
  await withVariables(fronts.variables, async () => {
    const held = holding(isBulkDelete)
    beforeNext({
      state: 'Wipe files batch', // Count tries whether deletions are heeded, which is not meant
      act: async () => {
        fronts.s3.faults = [held.fault]
      },
    })
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
    (await reset.objects(backupBucket, '.taskmaster/backups/')).filter(
      ({ key }) => key.includes('/database/') && !key.endsWith('.ranges'),
    )
  await withVariables(fronts.variables, async () => {
    const held = holding(({ method, key }) => method === 'PUT' && key.includes('/database/'))
    let straggler: Promise<string> = Promise.resolve('never begun')
    beforeNext({
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
    })
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
    beforeNext({
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
        beforeNext({
          state: 'Finish',
          act: async () => {
            await change.last()
            held.release()
            await straggler
          },
        })
      },
    })
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
      const arrived = held.arrived.then(() => redis.set('page:3', 'came after the straggler had looked'))
      return { ...held, arrived }
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

  test.runIf(isFull)(
    `puts nothing that came later in the place of what the repeat deleted ${inFullForm}`,
    async () => {
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
    },
  )
})
