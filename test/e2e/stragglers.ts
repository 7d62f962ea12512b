import { setTimeout } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import { handler as copy } from '../../functions/copy.ts'
import type { handler as putback } from '../../functions/putback.ts'
import type { handler as wipe } from '../../functions/wipe.ts'
import type { Outcome } from '../../lib/run/outcome.ts'
import { holding, type S3Request } from '../files/s3-front.ts'
import { inFullForm, isFull, tried } from '../support/trust.ts'
import { useFronts } from './fronts.ts'
import { useHookedStack } from './hooked-stack.ts'
import { backupBucket, environment, filesBucket, filesPrefix, withVariables } from './reset-stack.ts'

type Straggler = {
  held: ReturnType<typeof holding>
  /** Resolves when it has ended, to the name of its error if there was one. */
  ended: Promise<string | undefined>
}

export type Step = {
  state: string
  request: (start: string) => Parameters<ResetStack['succeed']>[0]
  handler: typeof copy | typeof wipe | typeof putback
  changed: boolean
}

type ResetStack = ReturnType<typeof useHookedStack>['reset']

export const scope = { strategy: 'files-only', rehearse: false, confirm: environment } as const
export const restoreOf = (backupId: string | null) =>
  ({
    operation: 'restore',
    backupId,
    targets: ['files'],
    exact: true,
    rehearse: false,
    confirm: environment,
  }) as const

/**
 * A straggler: the first invocation of a step is held at one of its requests, and the step is repeated as if the answer
 * had been lost. What the straggler does when it is let go, after its run and the restore that followed, changes nothing.
 */
export function useStragglers() {
  const { reset, beforeNext } = useHookedStack()
  const fronts = useFronts(reset)
  /**
   * Milliseconds that a straggler has: enough for its run to end meanwhile, and little enough to wait for. More where they
   * were over before it came to where it is stopped.
   */
  let lifetimeMs = 2_500
  /** How often the next run was refused because a straggler was alive. */
  let refused = 0

  let start: string

  beforeAll(async () => {
    if (!isFull) return // what sets out from there is in the full form alone
    await reset.seed({ users: 0, files: 8, keys: 0 })
    await reset.put(`${filesPrefix}control\u0001`, 'deleted alone')
    start =
      (await reset.succeed({ operation: 'backup', strategy: 'files-only', rehearse: false })).backupId ?? ''
  })

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

  /** Whether the ledger knows of an invocation that could still change a store. */
  async function isAlive(): Promise<boolean> {
    const found = await reset.stack.admin.query(
      'SELECT 1 FROM taskmaster_reset.invocations WHERE deadline > now()',
    )
    return found.rows.length > 0
  }

  /** Removes the backups but the one of the start: what a run costs grows with what it has to list. */
  async function forget(): Promise<void> {
    const kept = (await reset.objects(backupBucket, '.taskmaster/backups/')).map(({ key }) => key)
    await reset.remove(
      backupBucket,
      kept.filter((key) => !key.includes(start)),
    )
  }

  /**
   * The files are afterwards as they were before.
   * @returns where the straggler was stopped, or null: it had ended before it came to that request
   */
  async function straggle(step: Step, stop: number): Promise<string | null> {
    const before = await live()
    let straggler: Straggler | undefined
    let at: S3Request | string | undefined
    let count = 0
    beforeNext({
      state: step.state,
      act: async (input) => {
        const held = holding(() => count++ === stop)
        fronts.s3.faults = [held.fault]
        const deadline = Date.now() + lifetimeMs
        const context = {
          functionName: step.state,
          awsRequestId: 'straggler',
          getRemainingTimeInMillis: () => deadline - Date.now(),
        }
        const ended = Promise.resolve(step.handler(input, context)).then(
          () => undefined,
          (error: Error) => error.name,
        )
        straggler = { held, ended }
        at = await Promise.race([held.arrived, ended])
        if (typeof at !== 'object') fronts.s3.faults = [] // nothing holds what the repeat asks
      },
    })
    const outcome: Outcome = await reset.succeed(step.request(start))
    if (at === 'OutOfTime') {
      lifetimeMs *= 2
      while (await isAlive()) await setTimeout(50)
      await reset.succeed(restoreOf(outcome.backupId))
      expect(await live()).toEqual(before)
      return await straggle(step, stop)
    }
    if (straggler === undefined || typeof at !== 'object') return null
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
    await expect.poll(() => fronts.s3.atWork).toBe(0)
    expect(await everything()).toEqual(after)
    await reset.succeed(restoreOf(outcome.backupId))
    expect(await live()).toEqual(before)
    await forget()
    return `${at.method} ${at.query.has('delete') ? '?delete' : at.key === '' ? '?list' : 'object'}`
  }

  /** Stops a first invocation at each of its requests in turn. */
  function testStops(name: string, step: Step): void {
    test.runIf(isFull)(`changes nothing: ${name} ${inFullForm}`, async () => {
      await withVariables(fronts.variables, async () => {
        const stops: string[] = []
        refused = 0
        await setOut(step)
        for (let stop = 0; ; stop++) {
          const at = await straggle(step, stop)
          if (at === null) break
          stops.push(at)
        }
        expect(stops.length).toBeGreaterThan(5)
        tried(`stragglers, ${name}`, { stops: stops.length, refused })
      })
    })
  }

  return { reset, fronts, live, testStops, beforeNext }
}
