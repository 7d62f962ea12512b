import { describe, expect, test } from 'vitest'
import { inFullForm, isFull } from '../support/trust.ts'
import { useHookedStack } from './hooked-stack.ts'
import { environment, quickReset } from './reset-stack.ts'

const { reset, withHook } = useHookedStack()

/** Lets the run of `runId` wait before a state until it is let go. */
function holdBefore(runId: string, stateName: string) {
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  async function hook(state: string, input: Record<string, unknown>): Promise<void> {
    if (state !== stateName || input.runId !== runId) return
    reach()
    await released
  }
  return { hook, reached, release }
}

async function age(runId: string, minutes: number): Promise<void> {
  await reset.stack.admin.query(
    'UPDATE taskmaster_reset.runs SET heartbeat_at = now() - make_interval(mins => $2) WHERE run_id = $1',
    [runId, minutes],
  )
}

describe('two runs that are started at the same moment', () => {
  test.runIf(isFull)(`of different operations are one that runs, too ${inFullForm}`, async () => {
    await reset.seed({ users: 5, files: 2, keys: 2 })
    const hold = holdBefore('holder', 'Seal')
    await withHook(hold.hook, async () => {
      const holder = reset.start({ operation: 'backup' }, 'holder')
      await hold.reached
      for (const request of [
        quickReset,
        { operation: 'backup' },
        { operation: 'claim', confirm: environment },
      ]) {
        const refused = await reset.run(request)
        expect(refused).toMatchObject({ status: 'FAILED', error: 'RunActive' })
        expect(refused.cause).toMatch(/^Run holder \(backup, in [\w ]+\) is active since /)
        expect(refused.cause).toContain(
          'It has changed nothing yet: wait for it, or cancel it; a dead run is taken over 20 minutes after',
        )
      }
      hold.release()
      expect((await reset.end(await holder)).status).toBe('SUCCEEDED')
    })
  })
})

describe('the same request sent again', () => {
  test('with its idempotency key is the first run, whatever the execution is called', async () => {
    await reset.seed({ users: 3, files: 1, keys: 1 })
    const request = { ...quickReset, idempotencyKey: 'key-1', requestedBy: 'somebody' }
    const first = await reset.succeed(request, 'first')
    await reset.stack.redis.set('later', '1')
    const second = await reset.run({ ...request, requestedBy: 'somebody else' }, 'second')
    expect(second).toMatchObject({
      status: 'SUCCEEDED',
      output: { next: 'repeated', repeats: 'first', status: 'succeeded' },
    })
    expect(await reset.row('second')).toBeUndefined()
    expect(await reset.stack.redis.get('later')).toBe('1')
    expect((await reset.row('first')).outcome).toEqual(first)
  })

  test.runIf(isFull)(
    `at the same moment is one run; the other execution names it ${inFullForm}`,
    async () => {
      await reset.seed({ users: 3, files: 1, keys: 1 })
      for (let turn = 0; turn < 5; turn++) {
        const request = {
          operation: 'reset',
          strategy: 'cache-only',
          confirm: environment,
          idempotencyKey: `together-${turn}`,
        }
        const names = ['a', 'b', 'c'].map((letter) => `together-${turn}-${letter}`)
        const ended = await Promise.all(names.map((name) => reset.run(request, name)))
        const ran = ended.filter(({ output }) => output?.runId !== undefined)
        expect(ran).toHaveLength(1)
        for (const { status, output, name } of ended) {
          expect(status).toBe('SUCCEEDED')
          if (name !== ran[0]?.name) expect(output).toMatchObject({ next: 'repeated', repeats: ran[0]?.name })
        }
      }
    },
  )

  test.runIf(isFull)(
    `under the same execution name is the same execution, while it runs ${inFullForm}`,
    async () => {
      const hold = holdBefore('same-name', 'Finish')
      await withHook(hold.hook, async () => {
        const first = await reset.start({ operation: 'backup' }, 'same-name')
        await hold.reached
        expect(await reset.start({ operation: 'backup' }, 'same-name')).toBe(first)
        hold.release()
        expect((await reset.end(first)).status).toBe('SUCCEEDED')
      })
      await expect(reset.start({ operation: 'backup' }, 'same-name')).rejects.toThrow(
        'Execution Already Exists',
      )
    },
  )

  test('by a schedule, for the same time, is one run', async () => {
    const request = {
      operation: 'backup',
      strategy: 'cache-only',
      scheduledTime: '2026-11-22T03:00:00Z',
    }
    await reset.succeed(request, 'scheduled')
    expect((await reset.run(request)).output).toEqual({
      next: 'repeated',
      repeats: 'scheduled',
      status: 'succeeded',
    })
    const later = await reset.succeed({ ...request, scheduledTime: '2026-11-23T03:00:00Z' })
    expect(later.runId).not.toBe('scheduled')
  })

  test.runIf(isFull)(
    `by a schedule is not what another schedule asks for at the same time ${inFullForm}`,
    async () => {
      const scheduledTime = '2026-11-24T03:00:00Z'
      await reset.succeed({ operation: 'backup', strategy: 'cache-only', scheduledTime })
      await reset.succeed({ operation: 'reset', strategy: 'cache-only', confirm: environment, scheduledTime })
    },
  )

  test('with its key but saying something else is refused', async () => {
    await reset.seed({ users: 3, files: 1, keys: 1 })
    const request = { operation: 'backup', strategy: 'cache-only', idempotencyKey: 'key-2' }
    await reset.succeed(request, 'said-this')
    const was = await reset.fingerprint()
    for (const other of [
      { ...request, strategy: 'full' },
      { ...quickReset, idempotencyKey: 'key-2' },
      { ...request, preserve: { keys: ['session:*'] } },
    ]) {
      const ended = await reset.run(other)
      expect(ended).toMatchObject({
        status: 'FAILED',
        error: 'IdempotencyConflict',
        cause:
          'The idempotency key key-2 was used by run said-this for another request. Use a new key, or send that request unchanged',
      })
    }
    expect(await reset.fingerprint()).toEqual(was)
    // The same said with its defaults written out, in another order, is the same.
    const same = { idempotencyKey: 'key-2', dryRun: false, strategy: 'cache-only', operation: 'backup' }
    expect((await reset.run(same)).output).toMatchObject({ repeats: 'said-this' })
  })

  test('while the first still runs names it as running, and does not fail as a second run would', async () => {
    const hold = holdBefore('slow', 'Finish')
    const request = { operation: 'backup', strategy: 'cache-only', idempotencyKey: 'key-3' }
    await withHook(hold.hook, async () => {
      const first = reset.start(request, 'slow')
      await hold.reached
      expect((await reset.run(request)).output).toEqual({
        next: 'repeated',
        repeats: 'slow',
        status: 'running',
      })
      hold.release()
      expect((await reset.end(await first)).status).toBe('SUCCEEDED')
    })
  })
})

describe('a run that is dead', () => {
  const held = ['Seal', 'Wipe database', 'Wipe files batch', 'Wipe cache', 'Finish']

  test.each(held.filter((state) => isFull || state === 'Wipe database'))(
    'is taken over; when it wakes up before %s it is lost, and does nothing',
    async (state) => {
      await reset.seed({ users: 5, files: 3, keys: 3 })
      const runId = `dead before ${state}`.replaceAll(' ', '-')
      const hold = holdBefore(runId, state)
      await withHook(hold.hook, async () => {
        const dead = reset.start(quickReset, runId)
        await hold.reached
        await age(runId, 19)
        expect(await reset.run(quickReset)).toMatchObject({ status: 'FAILED', error: 'RunActive' })
        await age(runId, 21)
        const next = await reset.succeed({ operation: 'backup', strategy: 'cache-only' })
        expect(next.status).toBe('succeeded')
        expect(await reset.row(runId)).toMatchObject({ status: 'abandoned', outcome: null })

        // What comes after the takeover is not the dead run's to wipe.
        await reset.stack.sql.query(`INSERT INTO events (what) VALUES ('after the takeover')`)
        await reset.put('generated_stories/new.txt', 'after the takeover')
        await reset.stack.redis.set('new', 'after the takeover')
        const was = await reset.fingerprint()
        hold.release()
        const ended = await reset.end(await dead)
        expect(ended).toMatchObject({ status: 'FAILED', error: 'RunLost' })
        expect(ended.cause).toContain(
          `Run ${runId} is no longer the active run: it was cancelled, finished or taken`,
        )
        expect(await reset.fingerprint()).toEqual(was)
        expect(await reset.row(runId)).toMatchObject({ status: 'abandoned', outcome: null })
        expect((await reset.row(next.runId)).outcome).toEqual(next)
      })
    },
  )
})
