import { describe, expect, test } from 'vitest'
import { readPartLines } from '../../lib/backup/part/read.ts'
import { readBackup } from '../../lib/backup/read.ts'
import { exportCache } from '../../lib/cache/export/export.ts'
import { fenceKey } from '../../lib/cache/keys.ts'
import { restoreCache, restoreLimits } from '../../lib/cache/restore/restore.ts'
import { wipeCache, wipeLimits } from '../../lib/cache/wipe/wipe.ts'
import type { Clients } from '../../lib/clients.ts'
import { RunLost } from '../../lib/errors.ts'
import type { CountedLate } from '../../lib/ledger/documents.ts'
import type { Fence } from '../../lib/ledger/fence.ts'
import { holding } from '../files/s3-front.ts'
import { fenceOf } from '../support/fences.ts'
import { inFullForm, isFull, tried } from '../support/trust.ts'
import { noProgress, prefix, startCache } from './cache-stack.ts'
import { snapshot } from './rebuild.ts'
import { sealBackup } from './sealed.ts'

const stack = await startCache()
const { redis, front, direct } = stack
const needsServer = describe.skipIf(stack.mock)

const limits = {
  ...restoreLimits,
  requestBytes: 4_000,
  pageKeys: 5,
  commandItems: 20,
  scanKeys: 20,
  lines: 8,
}

/** Values of which some need several requests, and some change between the backup and the step. */
async function write(): Promise<void> {
  await redis.flushall()
  await redis.mset(...Array.from({ length: 40 }, (_, n) => [`${prefix}${n}`, `value ${n}`]).flat())
  await redis.rpush(`${prefix}list`, ...Array.from({ length: 200 }, (_, n) => `element ${n}`))
  await redis.set(`${prefix}expires`, 'x', 'PX', 1_000_000)
}

async function change(): Promise<void> {
  await redis.set(`${prefix}1`, 'changed')
  await redis.set(`${prefix}new`, 'came')
}

type Step = (tools: Clients, fence: ReturnType<typeof fenceOf>) => Promise<unknown>

/**
 * Holds the step's first invocation at its n-th request, repeats the step, ends the run, lets a later run back up and
 * restore, and lets the first go. Gives false when there is no n-th request.
 */
async function straggle(step: Step, stop: number, original: string): Promise<boolean> {
  const fence = fenceOf(1)
  let release = () => {}
  let arrive = () => {}
  const arrived = new Promise<void>((resolve) => {
    arrive = resolve
  })
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  let seen = 0
  front.faults = [
    async () => {
      if (seen++ !== stop) return undefined
      arrive()
      await released
      return undefined
    },
  ]
  const straggler = step(stack.clients as Clients, fence).then(
    () => 'ended',
    (error: Error) => error.name,
  )
  const first = await Promise.race([arrived.then(() => 'held'), straggler])
  if (first !== 'held') {
    release()
    return false
  }
  await step(direct as Clients, fence) // the repeat, past the front
  fence.lost = new RunLost('the run is over')
  const later = fenceOf(2)
  const run = stack.nextRun()
  const safetyBackupId = await sealBackup(direct, { run, fence: later })
  const parts = partsOf.get(original) ?? []
  await restoreCache(direct, { run, fence: later, safetyBackupId, parts, exact: true }, noProgress)
  const before = await snapshot(redis)
  release()
  expect(['RunLost', 'ended']).toContain(await straggler) // one that only had to read may come to its end
  expect(await snapshot(redis)).toEqual(before)
  expect(await redis.get(fenceKey)).toBe('2')
  return true
}

const partsOf = new Map<string, Awaited<ReturnType<typeof exportCache>>['parts']>()

/** The cache as it is set out, and a backup of it. */
async function setOut(): Promise<string> {
  await write()
  const run = stack.nextRun()
  const backupId = `2026-11-22T19-05-33Z-${String(partsOf.size).padStart(6, '0')}`
  const { parts } = await exportCache(direct, { run, backupId, fence: fenceOf(1) }, noProgress)
  partsOf.set(backupId, parts)
  return backupId
}

/** `every`: in its short form every so many requests, which meet requests of each kind. `least`: of so many one is sure. */
async function everyStop(
  name: string,
  stepOf: (original: string) => Promise<Step>,
  { every, least } = { every: 3, least: 7 },
): Promise<void> {
  let stops = 0
  const pace = isFull ? 1 : every
  for (let stop = 0; ; stop += pace) {
    const original = await setOut()
    const step = await stepOf(original)
    await change()
    if (!(await straggle(step, stop, original))) break
    stops++
  }
  expect(stops * pace).toBeGreaterThanOrEqual(least)
  tried(`stragglers, ${name}`, { stops })
}

/** Fences of the invocations of one step, of which only the latest may act, beside a ledger that notes which late file counts. */
function invocationsOf(): () => Fence {
  let [latest, counts] = [0, undefined as CountedLate | undefined]
  return () => {
    const number = ++latest
    const check = async () => {
      if (number !== latest) throw new RunLost('a later invocation has begun')
    }
    const replaceLate: Fence['replaceLate'] = async (late) => {
      await check()
      counts = late
    }
    return { ...fenceOf(1), check, lateOf: async () => counts, replaceLate }
  }
}

/** Of a backup by its folder alone. */
async function valuesIn(backupId: string): Promise<Record<string, unknown>> {
  const { backups, config } = direct
  const values: Record<string, unknown> = {}
  const { cache } = await readBackup(backups, config.BACKUP_PREFIX, backupId)
  for (const { key } of cache?.parts ?? []) {
    for await (const line of readPartLines(backups, key)) {
      const { key, value } = JSON.parse(line.toString())
      values[key] = value
    }
  }
  return values
}

async function valuesLeft(): Promise<Record<string, unknown>> {
  const keys = await stack.keys()
  return Object.fromEntries(await Promise.all(keys.map(async (key) => [key, await redis.get(key)])))
}

needsServer(
  'an invocation that wakes up after its step was repeated, its run ended and a restore was made (needs redis-server)',
  () => {
    test.runIf(isFull)(`changes nothing: Wipe cache ${inFullForm}`, async () => {
      await everyStop('Wipe cache', async () => {
        const run = stack.nextRun()
        const backupId = await sealBackup(direct, { run, fence: fenceOf(1) })
        return (tools, fence) =>
          wipeCache(tools, { run, fence, backupId, preserve: [], unsupportedTypes: [] }, noProgress, {
            ...wipeLimits,
            pageKeys: 10,
          })
      })
    })

    test('changes nothing: Wipe cache without a backup', async () => {
      const stepOf = async (): Promise<Step> => {
        const run = stack.nextRun()
        return (tools, fence) =>
          wipeCache(tools, { run, fence, backupId: null, preserve: [], unsupportedTypes: [] }, noProgress, {
            ...wipeLimits,
            pageKeys: 10,
          })
      }
      await everyStop('Wipe cache without a backup', stepOf, { every: 2, least: 5 }) // how many a scan takes depends on where its keys lie
    })

    test.runIf(isFull)(
      `hides nothing that was added to the backup from who reads it without the ledger: Wipe cache ${inFullForm}`,
      async () => {
        let stops = 0
        for (; ; stops++) {
          await redis.flushall()
          await redis.mset(`${prefix}a`, '1', `${prefix}b`, '1')
          const run = stack.nextRun()
          const backupId = await sealBackup(direct, { run, fence: fenceOf(1) })
          const invocation = invocationsOf()
          const wipe = (fence: Fence) =>
            wipeCache(direct, { run, fence, backupId, preserve: [], unsupportedTypes: [] }, noProgress)
          await redis.set(`${prefix}a`, '2')
          let seen = 0
          const held = holding(() => seen++ === stops)
          stack.s3Front.faults = [held.fault]
          const straggler = wipe(invocation()).then(
            () => 'ended',
            (error: Error) => error.name,
          )
          const isHeld = await Promise.race([held.arrived.then(() => true), straggler.then(() => false)])
          if (!isHeld) break
          await redis.set(`${prefix}new`, '1')
          await wipe(invocation())
          held.release()
          await straggler
          const there = { ...(await valuesIn(backupId)), ...(await valuesLeft()) }
          expect(there, `held at request ${stops}`).toEqual({
            ...{ [`${prefix}a`]: '2', [`${prefix}b`]: '1', [`${prefix}new`]: '1' },
          })
        }
        expect(stops).toBeGreaterThanOrEqual(10)
        tried('stragglers that add to a backup', { stops })
      },
    )

    test.runIf(isFull)('changes nothing: Restore cache (full form)', async () => {
      await everyStop('Restore cache', async (original) => {
        const run = stack.nextRun()
        await redis.set(`${prefix}extra`, 'x')
        const safetyBackupId = await sealBackup(direct, { run, fence: fenceOf(1) })
        const parts = partsOf.get(original) ?? []
        return (tools, fence) =>
          restoreCache(tools, { run, fence, safetyBackupId, parts, exact: true }, noProgress, limits)
      })
    })
  },
)
