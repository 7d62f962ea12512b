import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { bucketsOf, makeS3 } from '../../lib/clients.ts'
import { copyFiles } from '../../lib/files/copy/copy.ts'
import { listFiles } from '../../lib/files/list.ts'
import { wipeFiles } from '../../lib/files/wipe.ts'
import { useFronts } from '../e2e/fronts.ts'
import { environment, filesBucket, filesPrefix, useResetStack, withVariables } from '../e2e/reset-stack.ts'
import { inFullForm, isFull, rounds, tried } from '../support/trust.ts'
import { backupId, config, fence, noProgress, prefix, useFiles } from './files-stack.ts'
import { type Fault, isBulkDelete, objectsIn, s3Error } from './s3-front.ts'

/** S3 takes so many writes per second and prefix, 3,500 on AWS, and answers what goes beyond with 503. */
const perSecond = rounds({ short: 400, full: 300 })
const files = rounds({ short: 64, full: 2_500 })
const functions = rounds({ short: 1, full: 4 })

const stack = useFiles()
beforeAll(() => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test')
  vi.stubEnv('AWS_REGION', 'us-east-1')
})
afterAll(() => {
  vi.unstubAllEnvs()
})

/** Writes that the server works on at the same time, each for as long as makes `perSecond` of them all. */
const slots = rounds({ short: 26, full: 4 })

/** What comes while all slots are taken is asked to slow down, however fast this machine is. */
function limited() {
  const count = { slowedDown: 0 }
  let taken = 0
  const fault: Fault = async (request) => {
    if (request.method === 'GET' || request.method === 'HEAD') return undefined
    if (taken === slots) {
      count.slowedDown++
      return s3Error(503, 'SlowDown')
    }
    taken++
    const writes = isBulkDelete(request) ? objectsIn(request.body).length : 1
    await setTimeout(Math.min(1_000, (1_000 * slots * writes) / perSecond))
    taken--
    return undefined
  }
  return { fault, count }
}

test.runIf(isFull)(
  `a bucket that asks to slow down is copied and wiped whole: what a batch gave up on, its repeat goes on with ${inFullForm}`,
  async () => {
    await stack.putMany(Array.from({ length: files }, (_, i) => `${prefix}${String(i).padStart(6, '0')}`))
    const run = { runId: 'run-1', attempt: 1, tried: 'once' }
    const limits = { objects: files / (2 * functions), bytes: 2 ** 40, batches: 8 }
    const { batches, lists } = await listFiles(stack.clients, { write: run, preserve: [] }, limits)
    const s3 = limited()
    stack.front.faults = [s3.fault]
    let failed = 0

    /** As the Map does it: so many functions at once, each with its own client; one that failed is repeated. */
    async function inBatches(work: (tools: typeof stack.clients, batch: number) => Promise<unknown>) {
      const waiting = Array.from({ length: batches }, (_, batch) => batch).values()
      async function lambda() {
        const client = makeS3({ AWS_ENDPOINT_URL_S3: stack.front.url })
        const tools = { ...bucketsOf(config, client), config }
        for (const batch of waiting) {
          for (let attempt = 1; ; attempt++) {
            try {
              await work(tools, batch)
              break
            } catch (error) {
              if (++failed && attempt === 7) throw error
            }
          }
        }
        client.destroy()
      }
      await Promise.all(Array.from({ length: functions }, lambda))
    }

    const of = (batch: number) => ({ run, batch, lists, listsPerBatch: 1 })
    await inBatches((tools, batch) => copyFiles(tools, { ...of(batch), backupId }, noProgress, fence))
    const { slowedDown } = s3.count
    expect(await stack.copies()).toHaveLength(files)
    await inBatches((tools, batch) =>
      wipeFiles(tools, { ...of(batch), backup: true, preserve: [] }, noProgress, fence),
    )
    expect(await stack.files()).toEqual([])
    expect(slowedDown).toBeGreaterThan(0)
    tried('slow down', { files, slowedDown: s3.count.slowedDown, failed })
  },
)

describe('a whole run', () => {
  const reset = useResetStack()
  const fronts = useFronts(reset)

  test.runIf(isFull)(
    'resets and restores thousands of small files on an S3 that asks to slow down, and says of each what became of it (full form)',
    async () => {
      const objects = rounds({ short: 32, full: 1_200 })
      await reset.seed({ users: 3, files: objects, keys: 3 })
      const was = (await reset.fingerprint()).files
      const s3 = limited()
      fronts.s3.faults = [s3.fault]
      const [outcome, restored] = await withVariables(fronts.variables, async () => {
        const files = { strategy: 'files-only', confirm: environment }
        const outcome = await reset.succeed({ operation: 'reset', ...files })
        expect(await reset.objects(filesBucket, filesPrefix)).toEqual([])
        const { backupId } = outcome
        const restore = { operation: 'restore', backupId, targets: ['files'], confirm: environment }
        return [outcome, await reset.succeed(restore)] as const
      })
      expect(outcome).toMatchObject({ status: 'succeeded', targets: { files: { state: 'wiped', objects } } })
      expect(restored).toMatchObject({
        status: 'succeeded',
        targets: { files: { state: 'restored', objects } },
      })
      expect((await reset.fingerprint()).files).toEqual(was)
      expect(s3.count.slowedDown).toBeGreaterThan(0)
      tried('slow down in a whole run', { objects, slowedDown: s3.count.slowedDown })
    },
  )
})
