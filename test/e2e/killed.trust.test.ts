import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { needsRedis } from '../support/needs.ts'
import { asFound, rounds, tried } from '../support/trust.ts'
import { useFronts } from './fronts.ts'
import { useHookedStack } from './hooked-stack.ts'
import { environment, filesBucket, filesPrefix, withVariables } from './reset-stack.ts'

const { reset, beforeNext } = useHookedStack()
const fronts = useFronts(reset)

/** Milliseconds that the process has: enough to be at work, and little enough to wait until it cannot be alive any more. */
const lifetimeMs = 3_000

type Round = {
  verb: 'wipe' | 'restore'
  target: 'files' | 'cache'
  signal: 'SIGSTOP' | 'SIGKILL'
  at: number
}

const confirm = environment
const strategyOf = (target: Round['target']) => `${target}-only` as const
const live = async () => {
  const { files, cache } = await reset.fingerprint()
  return { files, cache }
}

async function isAlive(): Promise<boolean> {
  const found = await reset.stack.admin.query(
    'SELECT 1 FROM taskmaster_reset.invocations WHERE deadline > now()',
  )
  return found.rows.length > 0
}

/** Begins the step in a process and stops it at its `at`-th request to the store; that request is carried out all the same. */
async function beginAndStop({ verb, target, signal, at }: Round, input: unknown) {
  const stopped = Promise.withResolvers<boolean>()
  let requests = 0
  const fault = () => {
    if (requests++ === at) {
      child.kill(signal)
      stopped.resolve(true)
    }
    return undefined
  }
  if (target === 'files') fronts.s3.faults = [fault]
  else fronts.cache.faults = [fault]
  const child = fork(
    fileURLToPath(new URL('./step-child.ts', import.meta.url)),
    [verb === 'restore' ? 'putback' : verb, JSON.stringify(input), String(lifetimeMs)],
    { env: { ...process.env, LOG_LEVEL: 'SILENT' }, stdio: 'ignore' },
  )
  const gone = once(child, 'exit')
  const wasStopped = await Promise.race([stopped.promise, gone.then(() => false)])
  fronts.s3.faults = []
  fronts.cache.faults = []
  return { child, gone, wasStopped }
}

async function tryOut(round: Round): Promise<boolean> {
  const { verb, target } = round
  while (await isAlive()) await setTimeout(50)
  const { redis } = reset.stack
  const before = await live()
  const strategy = strategyOf(target)
  let begun: { child: ChildProcess; gone: Promise<unknown>; wasStopped: boolean } | undefined
  const stopFirst = () => {
    const step = `${verb === 'wipe' ? 'Wipe' : 'Restore'} ${target}`
    beforeNext({
      state: target === 'files' ? `${step} batch` : step,
      act: async (input) => {
        begun = await beginAndStop(round, input)
      },
    })
  }
  if (verb === 'wipe') stopFirst()
  const wiped = await reset.succeed({ operation: 'reset', strategy, rehearse: false, confirm })
  const restore = {
    operation: 'restore',
    backupId: wiped.backupId,
    exact: true,
    rehearse: false,
    confirm,
  } as const
  const untilRestored = async () => {
    while (await isAlive()) await setTimeout(50)
    return await reset.succeed(restore)
  }
  if (verb === 'restore') {
    if (target === 'files') await reset.put(`${filesPrefix}story 1.txt`, 'changed')
    else await redis.mset('page:1', 'changed', 'page:later', 'came later')
    stopFirst()
  }
  await untilRestored()
  expect(await live(), JSON.stringify(round)).toEqual(before)
  const after = await live()
  begun?.child.kill('SIGCONT')
  await setTimeout(100)
  begun?.child.kill(round.signal === 'SIGSTOP' ? 'SIGCONT' : 'SIGKILL')
  await begun?.gone
  await expect.poll(() => fronts.s3.atWork).toBe(0)
  expect(await live(), `after it woke up: ${JSON.stringify(round)}`).toEqual(after)
  return begun?.wasStopped ?? false
}

needsRedis(
  'a process that is frozen or killed while it wipes or restores files and cache leaves what its repeat completes',
  { ...asFound, timeout: 600_000 },
  async () => {
    await reset.seed({ users: 0, files: 0, keys: 0 })
    const { redis } = reset.stack
    const counts = { rounds: 0, stopped: 0, afterItsEnd: 0 }
    await withVariables(fronts.variables, async () => {
      const first = Math.floor(Math.random() * 8) // the short form is another one each time
      for (let round = 0; round < rounds({ short: 1, full: 16 }); round++) {
        for (let n = 0; n < 8; n++) await reset.put(`${filesPrefix}story ${n}.txt`, `story ${n}`)
        await redis.del('page:later')
        for (let n = 0; n < 40; n++) await redis.set(`page:${n}`, `value ${n}`)
        await redis.set('page:large', 'x'.repeat(3 * 2 ** 20)) // it is put back in several steps
        const drawn = {
          verb: (['wipe', 'restore'] as const)[(first + round) % 2] as Round['verb'],
          target: (['cache', 'files'] as const)[Math.floor((first + round) / 2) % 2] as Round['target'],
          signal: (['SIGSTOP', 'SIGKILL'] as const)[Math.floor((first + round) / 4) % 2] as Round['signal'],
          at: Math.floor(Math.random() * 8),
        }
        const wasStopped = await tryOut(drawn)
        counts.rounds++
        counts[wasStopped ? 'stopped' : 'afterItsEnd']++
      }
    })
    tried('killed processes', counts)
    if (counts.rounds > 1) expect(counts.stopped).toBeGreaterThan(counts.rounds / 2)
    expect((await reset.objects(filesBucket, filesPrefix)).length).toBe(8)
  },
)
