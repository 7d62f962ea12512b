import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { bucketsOf, makeS3 } from '../../lib/clients.ts'
import { copyFiles } from '../../lib/files/copy.ts'
import { listFiles } from '../../lib/files/list.ts'
import { wipeFiles } from '../../lib/files/wipe.ts'
import { rounds, tried } from '../support/trust.ts'
import { backupId, config, fence, noProgress, prefix, useFiles } from './files-stack.ts'
import { type Fault, isBulkDelete, objectsIn, s3Error } from './s3-front.ts'

// S3 takes so many writes per second and prefix, and answers what goes beyond with 503. Amazon's limit is 3,500; here it is
// as far below what four functions ask for at once.
const perSecond = rounds({ short: 60, full: 100 })
const files = rounds({ short: 300, full: 4_000 })
const functions = 4

const stack = useFiles()
beforeAll(() => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test')
  vi.stubEnv('AWS_REGION', 'us-east-1')
})
afterAll(() => {
  vi.unstubAllEnvs()
})

/** A bucket of tokens that fills with the limit, and holds those of one second. Each key of a deletion takes one. */
function limited() {
  const count = { slowedDown: 0, served: 0 }
  let tokens = perSecond
  let filledAt = performance.now()
  const fault: Fault = (request) => {
    const now = performance.now()
    tokens = Math.min(perSecond, tokens + ((now - filledAt) / 1_000) * perSecond)
    filledAt = now
    if (request.method === 'GET' || request.method === 'HEAD') return undefined
    const cost = isBulkDelete(request) ? Math.min(objectsIn(request.body).length, perSecond) : 1
    if (tokens < cost) {
      count.slowedDown++
      return s3Error(503, 'SlowDown')
    }
    tokens -= cost
    count.served++
    return undefined
  }
  return { fault, count }
}

test('a bucket that asks to slow down is copied and wiped whole: what a batch gave up on, its repeat goes on with', async () => {
  await stack.putMany(Array.from({ length: files }, (_, i) => `${prefix}${String(i).padStart(6, '0')}`))
  const run = { runId: 'run-1', attempt: 1 }
  const limits = { objects: files / 8, bytes: 2 ** 40, batches: 8 }
  const { batches, lists } = await listFiles(stack.clients, { write: run, preserve: [] }, limits)
  const s3 = limited()
  stack.front.faults = [s3.fault]
  let failed = 0
  const started = performance.now()

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
  const copying = { ...s3.count, seconds: Math.round((performance.now() - started) / 1_000), failed }
  expect(await stack.copies()).toHaveLength(files)
  await inBatches((tools, batch) =>
    wipeFiles(tools, { ...of(batch), backup: true, preserve: [] }, noProgress, fence),
  )
  expect(await stack.files()).toEqual([])
  console.log({ copying, all: s3.count, seconds: (performance.now() - started) / 1_000, failed })
  expect(copying.slowedDown).toBeGreaterThan(0)
  tried('slow down', { files, slowedDown: s3.count.slowedDown, failed })
}, 240_000)
