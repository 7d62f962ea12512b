import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { useBundledChild } from '../support/bundled-child.ts'
import { inFullForm, isFull, tried } from '../support/trust.ts'
import { backupId, startCache } from './cache-stack.ts'

const stack = await startCache()
const { redis } = stack
const exportIn = useBundledChild(new URL('./export-child.ts', import.meta.url))
const limitMiB = 256
/** Less than all of the large values together. An export of ten of each took as much as one of fifteen: up to 308 MiB. */
const limitOfLargeMiB = 384

async function exportApart(): Promise<{ keys: number; peakMiB: number }> {
  const { runId } = stack.nextRun()
  const env = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test', AWS_REGION: 'eu-central-1' }
  return await exportIn([runId, backupId, stack.s3Front.url, stack.rest.url, stack.rest.token], env)
}

/** Strings of 200 bytes. */
async function fill(count: number): Promise<void> {
  for (let start = 0; start < count; start += 5_000) {
    const numbers = Array.from({ length: 5_000 }, (_, index) => start + index)
    await redis.mset(numbers.flatMap((number) => [`key ${number}`, randomBytes(100).toString('hex')]))
  }
}

/** As many strings of 12 MB, and lists of 10 MB. */
async function fillLarge(count: number): Promise<void> {
  for (let number = 0; number < count; number++) {
    await redis.set(`string ${number}`, randomBytes(12_000_000))
    for (let page = 0; page < 10; page++) {
      const elements = Array.from({ length: 1_000 }, () => randomBytes(500).toString('hex'))
      await redis.rpush(`list ${number}`, ...elements)
    }
  }
}

test.runIf(isFull && !stack.mock)(
  `an export of ten times as many strings that hardly compress stays below 256 MiB, and one of large values below ${limitOfLargeMiB} ${inFullForm}`,
  async () => {
    async function tell(what: string, expected: number): Promise<number> {
      const { keys, peakMiB } = await exportApart()
      expect(keys).toBe(expected)
      console.log(`Peak memory of an export of the cache, ${what}: ${peakMiB} MiB.`)
      tried(`memory of an export of the cache, ${what}`, { MiB: peakMiB })
      return peakMiB
    }
    await redis.flushall()
    await fill(50_000)
    await tell('50,000 strings', 50_000)
    await fill(500_000)
    expect(await tell('500,000 strings', 500_000)).toBeLessThan(limitMiB)
    await redis.flushall()
    await fillLarge(15)
    expect(await tell('large values', 30)).toBeLessThan(limitOfLargeMiB)
  },
)
