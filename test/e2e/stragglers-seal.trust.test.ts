import { setTimeout } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { handler as sealStep } from '../../functions/seal.ts'
import { type Fault, holding, type S3Request } from '../files/s3-front.ts'
import { inFullForm, isFull, tried } from '../support/trust.ts'
import { useFronts } from './fronts.ts'
import { backupBucket, environment, useResetStack, withVariables } from './reset-stack.ts'

let beforeSeal: ((input: unknown) => Promise<void>) | null = null
const reset = useResetStack({
  beforeTask: async (state, input) => {
    if (state !== 'Seal' || beforeSeal === null) return
    const act = beforeSeal
    beforeSeal = null
    await act(input)
  },
})
const fronts = useFronts(reset)
beforeAll(() => reset.seed({ users: 30, files: 4, keys: 4 }))

const backup = { operation: 'backup', rehearse: false } as const
const root = (backupId: string | null) => `.taskmaster/backups/${backupId}/`
/** Milliseconds that the first invocation has; more where they were over before it came to where it is held. */
let lifetimeMs = 2_500

const isManifest = ({ method, key }: S3Request) => method === 'PUT' && key.endsWith('/manifest.json')

/** Holds the answer to a request that S3 carries out. */
function holdingAnswer(matches: (request: S3Request) => boolean): ReturnType<typeof holding> {
  const arrived = Promise.withResolvers<S3Request>()
  const released = Promise.withResolvers<void>()
  let isHeld = false
  const fault: Fault = async (request, forward) => {
    if (isHeld || !matches(request)) return undefined
    isHeld = true
    const answer = await forward()
    arrived.resolve(request)
    await released.promise
    return request.isGone() ? 'drop' : answer
  }
  return { fault, arrived: arrived.promise, release: () => released.resolve() }
}

async function isAlive(): Promise<boolean> {
  const { rows } = await reset.stack.admin.query(
    'SELECT FROM taskmaster_reset.invocations WHERE deadline > now()',
  )
  return rows.length > 0
}

/** Runs as soon as no invocation of another run may be alive. */
async function succeedLater(request: object) {
  while (await isAlive()) await setTimeout(50)
  return await reset.succeed(request)
}

/**
 * Holds the first invocation of Seal there, while the step is repeated, its run ends, and its backup is followed by another
 * and deleted; then lets it go.
 * @returns false: it ended before it came there
 */
async function straggle(hold: () => ReturnType<typeof holding>): Promise<boolean> {
  const held = hold()
  let straggler: Promise<string | undefined> | undefined
  let at: S3Request | string | undefined
  beforeSeal = async (input) => {
    fronts.s3.faults = [held.fault]
    const deadline = Date.now() + lifetimeMs
    straggler = sealStep(input, {
      ...{ functionName: 'seal', awsRequestId: 'straggler' },
      getRemainingTimeInMillis: () => deadline - Date.now(),
    }).then(
      () => undefined,
      (error: Error) => error.name,
    )
    at = await Promise.race([held.arrived, straggler])
    if (typeof at !== 'object') fronts.s3.faults = [] // nothing holds what the repeat asks
  }
  const { backupId } = await succeedLater(backup)
  if (at === 'OutOfTime') {
    lifetimeMs *= 2
    return await straggle(hold)
  }
  if (typeof at !== 'object') return false
  const { backupId: next } = await succeedLater(backup)
  await succeedLater({ operation: 'delete', backupId, confirm: environment })
  expect(await reset.objects(backupBucket, root(backupId))).toEqual([])
  held.release()
  await straggler
  await expect.poll(() => fronts.s3.atWork).toBe(0)
  expect(await reset.objects(backupBucket, root(backupId))).toEqual([])
  expect(await reset.sealed()).toContain(next)
  const others = await reset.objects(backupBucket, root(next)) // what a run costs grows with what it has to list
  await reset.remove(
    backupBucket,
    others.map(({ key }) => key),
  )
  return true
}

describe('an invocation of Seal that wakes up when its backup was followed by another and deleted', () => {
  test('writes no manifest of what is gone', () =>
    withVariables(fronts.variables, async () => {
      expect(await straggle(() => holding(isManifest))).toBe(true)
    }))

  test.runIf(isFull)(`writes no list of files that nobody has ${inFullForm}`, () =>
    withVariables(fronts.variables, async () => {
      const isList = ({ method, key }: S3Request) => method === 'PUT' && key.endsWith('/files.jsonl.zst')
      expect(await straggle(() => holding(isList))).toBe(true)
    }),
  )

  test.runIf(isFull)(
    `leaves nothing, at every fourth request it was held at, or its answer ${inFullForm}`,
    () =>
      withVariables(fronts.variables, async () => {
        const stops = { request: 0, answer: 0 }
        for (const [what, hold] of [
          ['request', holding],
          ['answer', holdingAnswer],
        ] as const) {
          for (let stop = 0; ; stop += 4) {
            const held = () => {
              let count = 0
              return hold(() => count++ === stop)
            }
            if (!(await straggle(held))) break
            stops[what]++
          }
          expect(stops[what]).toBeGreaterThan(3)
        }
        tried('stragglers, Seal', stops)
      }),
  )
})
