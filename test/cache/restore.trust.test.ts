import { setTimeout as delay } from 'node:timers/promises'
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { findJson, getJson } from '../../lib/backup/documents/read.ts'
import { workKeys } from '../../lib/backup/layout.ts'
import { writePart } from '../../lib/backup/part/write.ts'
import { readBackup } from '../../lib/backup/read.ts'
import { type CacheResult, exportCache, exportLimits } from '../../lib/cache/export/export.ts'
import { adoptFence } from '../../lib/cache/fence.ts'
import { environmentKey, reservedPrefix } from '../../lib/cache/keys.ts'
import { expiringCommands } from '../../lib/cache/restore/commands.ts'
import { diffCache } from '../../lib/cache/restore/difference.ts'
import { CacheRestored, restoreCache, restoreLimits } from '../../lib/cache/restore/restore.ts'
import { bytesOf } from '../../lib/cache/restore/script.ts'
import { comparedItems } from '../../lib/cache/value/digest.ts'
import { RunLost } from '../../lib/errors.ts'
import { everything as all, type Touched } from '../../lib/store/selection.ts'
import { fenceOf } from '../support/fences.ts'
import { inFullForm, isFull, rounds } from '../support/trust.ts'
import { anyKeys, oddTexts, type WrittenKey } from './any-keys.ts'
import { backupId, fence, noProgress, prefix, smallExport, startCache } from './cache-stack.ts'
import { oddScan } from './odd-scan.ts'
import { snapshot } from './rebuild.ts'
import { laterBy, listsAsJson, type RestFault, readsStrings } from './rest-front.ts'
import { sealBackup } from './sealed.ts'

const stack = await startCache()
const { redis, front } = stack
const needsServer = test.skipIf(stack.mock)
const needsServerInFull = test.runIf(isFull && !stack.mock)
const needsFieldExpiry = test.skipIf(stack.mock || !stack.expiresFields)
const everything = stack.withPrefix('*')

/** So small that a few keys take many requests, and a value of some KB has to be built in steps. */
const small = { ...restoreLimits, requestBytes: 4_000, pageKeys: 5, commandItems: 20, scanKeys: 50, lines: 3 }
const binary = Buffer.from([0xff, 0, 0x80, 10, 0x22, 0x5c, 0xc3, 0x28])

const backUp = (clients = stack.clients, limits = exportLimits) =>
  exportCache(clients, { run: stack.nextRun(), backupId, fence }, noProgress, limits)

const restore = (
  { parts }: Pick<CacheResult, 'parts'>,
  {
    exact = false,
    touched = all,
    aliveFrom = null as string | null,
    run = stack.nextRun(),
    clients = stack.clients,
    limits = restoreLimits,
  } = {},
) => {
  const asked = { run, fence, safetyBackupId: null, parts, exact, touched, aliveFrom }
  return restoreCache(clients, asked, noProgress, limits)
}

/** With all keys that are as in the backup, whether they were written or were so before. */
const inAll = ({ keys, unchanged, ...rest }: CacheRestored) => ({ ...rest, keys: keys + unchanged })

/** Everything is there as in `before`, with its expiry, and nothing else. */
async function expectAsBefore(before: Awaited<ReturnType<typeof snapshot>>): Promise<void> {
  const after = await snapshot(redis)
  expect(Object.keys(after).sort()).toEqual(Object.keys(before).sort())
  for (const [key, { expiresAt, ...value }] of Object.entries(before)) {
    expect(after[key], key).toMatchObject(value)
    expect(after[key]?.expiresAt, `expiry of ${key}`).toBe(expiresAt)
  }
}

/** Keys of every type, with bytes that are no text, and with an expiry for some. */
async function writeEveryType(): Promise<void> {
  await redis.set('string', 'text')
  await redis.set('empty', '')
  await redis.set('binary', binary)
  await redis.set(binary, 'a key that is no text')
  await redis.rpush(Buffer.concat([binary, binary]), 'a list with a key that is no text')
  await redis.set('expires', 'soon', 'PX', 100_000)
  await redis.set(Buffer.concat([binary, Buffer.from('expires')]), binary, 'PX', 100_000)
  await redis.rpush('list', 'c', 'a', 'a', '', binary, 'a')
  await redis.sadd('set', 'a', '', binary)
  await redis.hset('hash', 'field', 'value', binary, binary, '', '')
  const scores = ['0.1', '-inf', 'inf', '1e300', '3', '-0.30000000000000004', '5e-324', '9007199254740993']
  await redis.call('ZADD', 'zset', ...scores.flatMap((score, n) => [score, `member ${n}`]), '7', binary)
  await redis.call('XADD', 'stream', '1-1', 'field', 'value', binary, binary)
  await redis.call('XADD', 'stream', '1-18446744073709551615', 'a', 'b', 'a', 'again')
  await redis.call('XADD', 'stream', '5-0', 'a', 'b')
  await redis.call('XADD', 'empty stream', '7-7', 'a', 'b')
  await redis.call('XDEL', 'empty stream', '7-7')
  await redis.call('XADD', 'read stream', '1-1', 'a', 'b')
  await redis.call('XADD', 'read stream', '2-1', 'a', 'b')
  await redis.call('XADD', 'read stream', '9-9', 'a', 'b')
  await redis.call('XDEL', 'read stream', '9-9')
  await redis.call('XGROUP', 'CREATE', 'read stream', 'workers', '0')
  await redis.call('XGROUP', 'CREATE', 'read stream', binary, '$')
  await redis.call(
    'XREADGROUP',
    'GROUP',
    'workers',
    'me',
    'COUNT',
    '1',
    'NOACK',
    'STREAMS',
    'read stream',
    '>',
  )
  await redis.call('XGROUP', 'CREATE', 'never written', 'workers', '$', 'MKSTREAM')
  for (const key of ['list', 'set', 'hash', 'zset', 'stream', 'empty stream'])
    await redis.pexpire(key, 50_000)
}

/** Values that do not fit into one of the small requests. */
async function writeLargeValues(): Promise<void> {
  const numbers = Array.from({ length: 300 }, (_, n) => `element ${n}`)
  await redis.rpush('large list', ...numbers, ...numbers)
  await redis.sadd('large set', ...numbers)
  await redis.hset('large hash', ...numbers.flatMap((number) => [number, binary]))
  await redis.zadd('large zset', ...numbers.flatMap((number, score) => [score / 7, number]))
  for (const number of numbers.slice(0, 100)) await redis.call('XADD', 'large stream', '*', 'field', number)
  await redis.set('large string', Buffer.concat(Array.from({ length: 2_000 }, () => binary)))
  await redis.set('large text', 'é'.repeat(9_001), 'PX', 100_000)
  await redis.rpush('large elements', 'small', 'x'.repeat(20_000), binary, 'y"\u0000'.repeat(3_000), 'small')
  await redis.hset('large field', 'x'.repeat(9_000), 'y'.repeat(9_000), 'small', 'field')
  await redis.call('XADD', 'large entry', '3-3', 'x'.repeat(5_000), Buffer.alloc(5_000, 0xfe), 'a', 'b')
  await redis.pexpire('large list', 100_000)
}

/** Another type or value for each key, and keys beside them. */
async function changeEverything(): Promise<void> {
  const keys = await redis.keysBuffer('*')
  for (const [n, key] of keys.sort(Buffer.compare).entries()) {
    if (n % 5 === 4) continue // one that nobody changed
    if (n % 5 === 1) await redis.call('APPEND', key, 'more').catch(() => redis.del(key))
    else if (n % 5 === 2) await redis.persist(key)
    else await redis.del(key)
    if (n % 5 === 3) await redis.rpush(key, 'of another type')
  }
  await redis.mset('new', '1', 'also new', '2')
  await redis.rpush('new list', '3')
}

const isWrite = (commands: string[][]) => commands.some(([name]) => ['SET', 'EVAL', 'UNLINK'].includes(name!))

describe('restoring the cache', () => {
  needsServer(
    'everything that was changed, deleted or added is exactly as in the backup again (needs redis-server)',
    async () => {
      await writeEveryType()
      const before = await snapshot(redis)
      const backup = await backUp(everything)
      await changeEverything()
      expect(inAll(await restore(backup, { exact: true, clients: everything }))).toEqual({
        keys: Object.keys(before).length,
        expired: 0,
        extra: 0,
        deleted: 3,
        changedMeanwhile: 0,
        warnings: [],
      })
      await expectAsBefore(before)
      expect(String(await redis.call('ZSCORE', 'zset', 'member 7'))).toBe('9007199254740992')
    },
  )

  /** When each field of a hash expires, in milliseconds since 1970; -1: never. */
  async function expiriesOf(key: string): Promise<Record<string, number>> {
    const fields = await redis.hkeysBuffer(key)
    const count = String(fields.length)
    const times = (await redis.call('HPEXPIRETIME', key, 'FIELDS', count, ...fields)) as number[]
    return Object.fromEntries(fields.map((field, at) => [field.toString('hex'), Number(times[at])]))
  }

  needsServerInFull(
    `with the time to live that they had when they were backed up, by one shift, however often the step is begun (needs redis-server) ${inFullForm}`,
    async () => {
      await writeEveryType()
      await writeLargeValues()
      await redis.set('short', 'over soon', 'PX', 60_000)
      const before = await snapshot(redis)
      const backup = await backUp(everything, smallExport)
      // As if it had been taken a minute before.
      const aliveFrom = new Date(Date.parse(backup.exportedAt ?? '') - 60_000).toISOString()
      await redis.flushall()
      const options = { clients: everything, limits: small, run: stack.nextRun(), aliveFrom }
      let scripts = 0
      front.faults = [
        laterBy(70),
        (commands) =>
          commands[0]?.[0] === 'EVAL' && ++scripts > 16 ? { status: 400, body: '{}' } : undefined,
      ]
      await expect(restore(backup, options)).rejects.toThrow()
      const first = await snapshot(redis)
      expect(Object.keys(first).length).toBeGreaterThan(2)
      front.faults = [laterBy(75)]
      const result = await restore(backup, { ...options, exact: true })
      expect(result).toMatchObject({ expired: 0, changedMeanwhile: 0, warnings: [] })
      expect(result.unchanged).toBeGreaterThan(2)
      const after = await snapshot(redis)
      const ofShort = Buffer.from('short').toString('hex')
      const shift = after[ofShort]!.expiresAt - before[ofShort]!.expiresAt
      expect(shift).toBeGreaterThan(130_000)
      const shifted = Object.entries(before).map(([key, { expiresAt, ...value }]) => {
        return [key, { ...value, expiresAt: expiresAt === -1 ? -1 : expiresAt + shift }] as const
      })
      expect(after).toEqual(Object.fromEntries(shifted))
      // What a dry run compares with: all that has a time to live would get it anew.
      const held = { prefix: '*', keys: backup.keys, parts: backup.parts }
      const told = await diffCache(everything, { held, aliveFrom }, noProgress)
      const expiring = Object.values(before).filter(({ expiresAt }) => expiresAt !== -1).length
      expect(told).toMatchObject({ changed: expiring, missing: 0, extra: 0, expired: 0 })
    },
  )

  needsFieldExpiry(
    'fields of a hash that expire by themselves do so after it, each at its moment (needs Redis 7.4 or Valkey 9)',
    async () => {
      const soon = Date.now() + 200_000
      const names = Array.from({ length: 300 }, (_, n) => `field ${n}`)
      for (const [key, fields] of [
        ['small', ['a', 'b', 'c']],
        ['large', names],
      ] as const) {
        await redis.hset(key, ...fields.flatMap((field) => [field, 'x'.repeat(50)]), binary, binary)
        for (const [at, field] of [...fields, binary].entries())
          if (at % 3 !== 1) await redis.call('HPEXPIREAT', key, soon + at, 'FIELDS', '1', field)
      }
      await redis.hset('other', 'plain', 'x')
      await redis.hset('over', 'first', 'x')
      await redis.call('HPEXPIRE', 'over', '3000', 'FIELDS', '1', 'first')
      await redis.hset('partly', 'first', 'x', 'stays', 'y')
      await redis.call('HPEXPIRE', 'partly', '3000', 'FIELDS', '1', 'first')
      const before = [await expiriesOf('small'), await expiriesOf('large')]
      const backup = await backUp(everything, smallExport)
      await redis.hset('small', 'a', 'changed', 'd', 'new') // takes the field's expiry away
      await redis.del('large')
      await delay(3_100)
      const restored = await restore(backup, { exact: true, clients: everything, limits: small })
      expect(restored).toMatchObject({ keys: 2, unchanged: 2, expired: 1, extra: 0 })
      expect(restored.warnings).toEqual([
        {
          code: 'FieldsExpired',
          message: expect.stringMatching(/^1 field of hashes had outlived its own time and was left out$/),
        },
      ])
      expect([await expiriesOf('small'), await expiriesOf('large')]).toEqual(before)
      expect(await redis.hgetall('partly')).toEqual({ stays: 'y' })
      expect(await redis.exists('over')).toBe(0)
    },
  )

  for (const [hash, fields, requests] of [
    ['a hash', 3, 0],
    ['a hash that is built in steps', 300, 2],
  ] as const) {
    needsFieldExpiry(
      `${hash} of which every field expires while it is written holds nothing up (needs Redis 7.4 or Valkey 9)`,
      async () => {
        const names = Array.from({ length: fields }, (_, n) => `field ${n}`)
        await redis.hset('hash', ...names.flatMap((name) => [name, 'x'.repeat(50)]))
        const over = Date.now() + 4_000
        await redis.call('HPEXPIREAT', 'hash', over, 'FIELDS', fields, ...names)
        await redis.set('other', 'text')
        const backup = await backUp(everything)
        await redis.flushall()
        let builds = 0
        front.faults = [
          async (commands) => {
            const isBuilding = commands.some(([, script]) => script?.includes('temporary'))
            if (isBuilding && builds++ === requests) await delay(Math.max(0, over + 100 - Date.now()))
            return undefined
          },
        ]
        expect(await restore(backup, { clients: everything, limits: small })).toMatchObject({
          keys: 2,
          expired: 0,
        })
        expect(Date.now()).toBeGreaterThan(over)
        expect([await redis.get('other'), await redis.exists('hash')]).toEqual(['text', 0])
      },
    )
  }

  test.skipIf(stack.mock || stack.expiresFields)(
    'fields of a hash come back to a server on which none expires, and a warning counts them (needs redis-server before 7.4)',
    async () => {
      const at = String(Date.now() + 100_000)
      const value = [
        ['a', '1', at],
        ['b', '2', '1'],
        ['c', '3'],
      ]
      const line = Buffer.from(`${JSON.stringify({ key: 'hash', type: 'hash', value, expiresAt: null })}\n`)
      const part = await writePart(
        stack.storage,
        (copy) => `.taskmaster/backups/${backupId}/cache/fields.${copy}.jsonl.zst`,
        async function* () {
          yield line
        },
      )
      const restored = await restore({ parts: [{ ...part!, keys: 1 }] }, { clients: everything })
      expect(await redis.hgetall('hash')).toEqual({ a: '1', c: '3' })
      expect(restored.warnings.map(({ code, message }) => [code, message.split(' ')[0]])).toEqual([
        ['FieldsExpired', '1'],
        ['FieldsWithoutExpiry', '1'],
      ])
    },
  )

  test('text comes back whatever it looks like', async () => {
    // The imitation of Redis finds no key with a line end by a pattern.
    const keyOf = (text: string) => `${prefix}${/[\n\u2028]/.test(text) ? encodeURIComponent(text) : text}`
    for (const text of oddTexts) await redis.set(keyOf(text), text)
    await redis.rpush(`${prefix}list`, ...oddTexts)
    const backup = await backUp(everything)
    await redis.flushall()
    expect(await restore(backup, { clients: everything })).toMatchObject({
      keys: oddTexts.length + 1,
      extra: 0,
    })
    for (const text of oddTexts) expect(await redis.get(keyOf(text))).toBe(text)
    expect(await redis.lrange(`${prefix}list`, 0, -1)).toEqual(oddTexts)
  })

  needsServerInFull(
    `large values come back through requests that hold a fraction of them (needs redis-server) ${inFullForm}`,
    async () => {
      await writeEveryType()
      await writeLargeValues()
      for (let n = 0; n < 5; n++) await redis.set(`medium ${n}`, 'x'.repeat(3_000))
      const before = await snapshot(redis)
      const backup = await backUp(everything, smallExport)
      expect(backup.parts.length).toBeGreaterThan(2)
      await changeEverything()
      front.seen = []
      const restored = await restore(backup, { exact: true, clients: everything, limits: small })
      expect(inAll(restored)).toMatchObject({ keys: Object.keys(before).length, extra: 0, deleted: 3 })
      await expectAsBefore(before)
      const sizes = front.seen.map((commands) => Buffer.byteLength(JSON.stringify(commands)))
      expect(Math.max(...sizes)).toBeLessThan(3 * small.requestBytes + 3_000) // and the script itself
    },
  )

  needsServerInFull(`any keys and values come back (needs redis-server) ${inFullForm}`, async () => {
    const write = async (entries: WrittenKey[]) => {
      await redis.flushall()
      for (const [key, { command, args }] of entries) await redis.call(command, key, ...args)
    }
    /** What is touched, and the same as a regular expression of bytes. */
    const selections: (Touched & { isOf: RegExp })[] = [
      { ...all, isOf: /^/ },
      { only: null, kept: ['?', '[a-z]*'], isOf: /^(?!.$|[a-z])/s },
      { only: ['??*'], kept: ['[!-9]*'], isOf: /^(?![!-9]).{2}/s },
    ]
    await fc.assert(
      fc.asyncProperty(
        anyKeys,
        anyKeys,
        fc.constantFrom(restoreLimits, small),
        fc.constantFrom(...selections),
        async (backedUp, live, limits, { isOf, ...touched }) => {
          await write(backedUp)
          const before = await snapshot(redis)
          const backup = await backUp(everything)
          await write(live)
          const now = await snapshot(redis)
          const result = await restore(backup, { exact: true, clients: everything, limits, touched })
          const mine = backedUp.filter(([key]) => isOf.test(key.toString('latin1')))
          expect(inAll(result)).toMatchObject({ keys: mine.length, extra: 0 })
          const of = (found: typeof now, isWanted: boolean) =>
            Object.entries(found).filter(
              ([hex]) => isOf.test(Buffer.from(hex, 'hex').toString('latin1')) === isWanted,
            )
          await expectAsBefore(Object.fromEntries([...of(before, true), ...of(now, false)]))
        },
      ),
      { numRuns: rounds({ short: 6, full: 20 }), endOnFailure: true },
    )
  })

  test('keys that are not in the backup stay and are counted, unless it is to be exact', async () => {
    await redis.mset(`${prefix}a`, '1', `${prefix}b`, '2')
    const backup = await backUp()
    await redis.mset(`${prefix}a`, 'x', `${prefix}new`, '3', 'other:new', '4', environmentKey, 'staging')
    await redis.del(`${prefix}b`)
    expect(await restore(backup)).toMatchObject({ keys: 2, extra: 1, deleted: 0 })
    expect(await redis.mget(`${prefix}a`, `${prefix}b`, `${prefix}new`)).toEqual(['1', '2', '3'])
    expect(inAll(await restore(backup, { exact: true }))).toMatchObject({ keys: 2, extra: 0, deleted: 1 })
    expect(await stack.keys()).toEqual(['other:new', environmentKey, `${prefix}a`, `${prefix}b`].sort())
  })

  test('keys that match none of the patterns that are named, or one that is kept, are as they were', async () => {
    const keys = ['page:1', 'page:2', 'page:own', 'session:1'].map((name) => `${prefix}${name}`)
    await redis.mset(...keys.flatMap((key) => [key, 'old']))
    const backup = await backUp()
    const changed = [...keys.filter((key) => !key.endsWith('page:2')), `${prefix}page:new`]
    await redis.del(...keys)
    await redis.mset(...changed.flatMap((key) => [key, 'new']), `${prefix}page:owner`, 'new')
    const touched = { only: [`${prefix}page:*`, 'no-such:*'], kept: [`${prefix}page:own*`] }
    const held = { prefix, keys: backup.keys, parts: backup.parts }
    const differs = () => diffCache(stack.clients, { held, touched }, noProgress)
    expect(await differs()).toMatchObject({ before: 2, now: 2, extra: 1, missing: 1, changed: 1 })
    expect(await restore(backup, { exact: true, touched })).toMatchObject({
      ...{ keys: 2, extra: 0, deleted: 1 },
      warnings: [
        {
          code: 'SelectionMatchedNothing',
          message: 'No key of the backup matches no-such:*, which was to be put back',
        },
      ],
    })
    expect(await redis.mget(...keys, `${prefix}page:new`, `${prefix}page:owner`)).toEqual([
      ...['old', 'old', 'new', 'new'],
      ...[null, 'new'],
    ])
    expect(await differs()).toMatchObject({ before: 2, now: 2, extra: 0, missing: 0, changed: 0 })
    // Of keys that are left alone it does not matter where they lie.
    const narrower = stack.withPrefix(`${prefix}page:`)
    const mine = { only: [`${prefix}page:1`], kept: [] }
    expect(await restore(backup, { touched: mine, clients: narrower })).toMatchObject({ unchanged: 1 })
  })

  test('a backup without keys restores to none', async () => {
    const backup = await backUp()
    await redis.set(`${prefix}a`, '1')
    expect(await restore(backup)).toEqual({
      keys: 0,
      unchanged: 0,
      expired: 0,
      extra: 1,
      deleted: 0,
      changedMeanwhile: 0,
      warnings: [],
    })
    expect(await restore(backup, { exact: true })).toMatchObject({ extra: 0, deleted: 1 })
    expect(await stack.keys()).toEqual([])
  })

  test('keys outside what the backup was made of are no extra ones', async () => {
    await redis.set(`${prefix}story:a`, '1')
    const { parts } = await backUp(stack.withPrefix(`${prefix}story:`))
    await redis.mset(`${prefix}story:b`, '2', `${prefix}session`, '3')
    const run = stack.nextRun()
    const request = { run, fence, safetyBackupId: null, parts, exact: true, prefix: `${prefix}story:` }
    const restored = inAll(await restoreCache(stack.clients, request, noProgress))
    expect(restored).toMatchObject({ keys: 1, deleted: 1 })
    expect(await stack.keys()).toEqual([`${prefix}session`, `${prefix}story:a`])
  })

  needsServerInFull(
    `keys whose time is up are left out and counted (needs redis-server) ${inFullForm}`,
    async () => {
      await redis.set(`${prefix}gone`, 'x', 'PX', 60_000)
      await redis.set(`${prefix}stays`, 'x', 'PX', 600_000)
      await redis.rpush(`${prefix}list`, 'x')
      await redis.pexpire(`${prefix}list`, 60_000)
      const expiry = await redis.call('PEXPIRETIME', `${prefix}stays`)
      const backup = await backUp()
      front.faults = [laterBy(61)]
      await redis.del(`${prefix}list`) // as the server would have
      await redis.set(`${prefix}gone`, 'written since')
      expect(inAll(await restore(backup))).toMatchObject({ keys: 1, expired: 2, extra: 1 })
      expect(await redis.get(`${prefix}gone`)).toBe('written since')
      expect(inAll(await restore(backup, { exact: true }))).toMatchObject({ keys: 1, expired: 2, deleted: 1 })
      expect(await stack.keys()).toEqual([`${prefix}stays`])
      expect(await redis.call('PEXPIRETIME', `${prefix}stays`)).toBe(expiry)
    },
  )

  needsServerInFull(
    `restoring twice is the same as restoring once (needs redis-server) ${inFullForm}`,
    async () => {
      await writeEveryType()
      const before = await snapshot(redis)
      const backup = await backUp(everything)
      await changeEverything()
      const [first, second] = [
        await restore(backup, { clients: everything }),
        await restore(backup, { clients: everything }),
      ]
      expect(inAll(second)).toEqual(inAll(first))
      await redis.del('new', 'also new', 'new list')
      await expectAsBefore(before)
    },
  )

  test('a repeat finds the result and writes nothing', async () => {
    await redis.set(`${prefix}a`, '1')
    const backup = await backUp()
    const run = stack.nextRun()
    const first = await restore(backup, { run })
    await redis.set(`${prefix}a`, 'written since')
    front.seen = []
    expect(await restore(backup, { run })).toEqual(first)
    expect(front.seen).toEqual([])
    expect(await getJson(stack.storage, workKeys(run).cacheRestored, CacheRestored)).toEqual(first)
  })

  needsServerInFull(
    `a request that is sent twice, because its answer was lost, writes once (needs redis-server) ${inFullForm}`,
    async () => {
      await writeEveryType()
      await writeLargeValues()
      const before = await snapshot(redis)
      const backup = await backUp(everything, smallExport)
      await changeEverything()
      front.faults = [
        async (_commands, forward) => {
          await forward()
          return undefined
        },
      ]
      const restored = await restore(backup, { exact: true, clients: everything, limits: small })
      expect(inAll(restored)).toMatchObject({ keys: Object.keys(before).length, extra: 0 })
      await expectAsBefore(before)
    },
  )

  needsServerInFull(
    `cut off at any request and repeated, it ends the same (needs redis-server) ${inFullForm}`,
    async () => {
      await redis.set('string', 'a')
      await redis.rpush('list', 'a', 'b')
      await redis.rpush('large list', ...Array.from({ length: 100 }, (_, n) => `element ${n}`))
      await redis.rpush('large element', 'x'.repeat(5_000), 'y')
      await redis.set('large string', Buffer.alloc(6_000, 0xfe))
      const before = await snapshot(redis)
      const backup = await backUp(everything, smallExport)
      let requests = Number.POSITIVE_INFINITY
      for (let last = 0; last < requests; last += rounds({ short: 6, full: 1 })) {
        await redis.flushall() // so that each round writes each key, in as many requests as the one before
        await redis.rpush('string', 'of another type')
        await redis.mset('new', '1', 'also new', '2')
        const run = stack.nextRun()
        let seen = 0
        const die: RestFault = (commands) => {
          if (!isWrite(commands) || seen++ < last) return undefined
          return { status: 200, body: JSON.stringify(commands.map(() => ({ error: 'ERR broken' }))) }
        }
        front.faults = [die]
        const cutOff = restore(backup, { exact: true, run, clients: everything, limits: small })
        if (
          await cutOff.then(
            () => true,
            () => false,
          )
        )
          requests = last
        front.faults = []
        await restore(backup, { exact: true, run, clients: everything, limits: small })
        await expectAsBefore(before)
      }
      expect(requests).toBeGreaterThan(8)
    },
  )

  needsServer(
    'nobody sees a value half-written, or a key missing that is there before and after (needs redis-server)',
    async () => {
      const old = Array.from({ length: 10 }, (_, n) => `old ${n}`)
      await writeLargeValues()
      await redis.rpush('small list', 'a', 'b', 'c')
      const backup = await backUp(everything, smallExport)
      await redis.del('large list', 'small list', 'large string')
      await redis.rpush('large list', ...old)
      await redis.rpush('small list', ...old)
      await redis.set('large string', 'old')
      const sizes = [new Set<number>(), new Set<number>(), new Set<number>()]
      const lasting = new Set<string>() // of what is unfinished: nobody would delete it after a restore that does not end
      front.faults = [
        async (_commands, forward) => {
          const answer = await forward()
          for (const key of await redis.keys('*restoring*'))
            if ((await redis.pttl(key)) === -1) lasting.add(key)
          sizes[0]?.add(await redis.llen('large list'))
          sizes[1]?.add(await redis.llen('small list'))
          sizes[2]?.add(await redis.strlen('large string'))
          return answer
        },
      ]
      await restore(backup, { clients: everything, limits: small })
      expect(sizes).toEqual([new Set([10, 600]), new Set([10, 3]), new Set([3, 16_000])])
      expect([...lasting]).toEqual([])
    },
  )

  needsServer('a command that Redis refuses leaves the live key as it was (needs redis-server)', async () => {
    await redis.zadd(`${prefix}zset`, 1, 'a', 2, 'b')
    const backup = await backUp()
    await redis.flushall()
    await redis.set(`${prefix}zset`, 'live')
    front.faults = [
      (commands) => {
        for (const command of commands) {
          const second = command.lastIndexOf('=ZADD')
          if (second > 0) command[second + 2] = '=not a score'
        }
        return undefined
      },
    ]
    const limits = { ...restoreLimits, commandItems: 1 }
    await expect(restore(backup, { limits })).rejects.toMatchObject({
      name: 'StoreUnavailable',
      message: expect.stringMatching(/refused EVAL: .*not a valid float/),
    })
    expect(await redis.get(`${prefix}zset`)).toBe('live')
    expect((await stack.keys()).filter((key) => key.includes('restoring'))).toEqual([])
  })

  const evictions = [
    ['an unfinished value', (key: string) => !key.endsWith(':step'), /unfinished value is lost/],
    ['the number of its last step', (key: string) => key.endsWith(':step'), /an earlier step is lost/],
  ] as const
  for (const [what, isEvicted, refusal] of evictions.slice(0, isFull ? undefined : 1))
    needsServer(
      `${what} that the cache has evicted is an error, not another value (needs redis-server)`,
      async () => {
        await redis.rpush('list', ...Array.from({ length: 500 }, (_, n) => `element ${n}`))
        const backup = await backUp(everything)
        await redis.del('list')
        let steps = 0
        front.faults = [
          async (commands) => {
            if (commands[0]?.[0] === 'EVAL' && !readsStrings(commands) && ++steps === 3) {
              const unfinished = (await redis.keys('*restoring*')).filter(isEvicted)
              expect(await redis.pttl(unfinished[0]!)).toBeGreaterThan(0)
              await redis.del(...unfinished)
            }
            return undefined
          },
        ]
        await expect(restore(backup, { clients: everything, limits: small })).rejects.toThrow(refusal)
        expect(await redis.exists('list')).toBe(0)
      },
    )

  describe('a damaged backup changes nothing', () => {
    const read = async (key: string) => {
      const answer = await stack.clients.backups.s3.send(
        new GetObjectCommand({ Bucket: 'backups', Key: key }),
      )
      return Buffer.from((await answer.Body?.transformToByteArray()) ?? [])
    }
    const put = (key: string, Body: Buffer) =>
      stack.clients.backups.s3.send(new PutObjectCommand({ Bucket: 'backups', Key: key, Body }))

    async function expectRefused(parts: CacheResult['parts'], named: string): Promise<void> {
      front.seen = []
      const before = await stack.keys()
      await expect(restore({ parts }, { exact: true })).rejects.toMatchObject({
        name: 'BackupDamaged',
        message: expect.stringContaining(named),
      })
      expect(front.seen.filter(isWrite)).toEqual([])
      expect(await stack.keys()).toEqual(before)
    }

    test('a part that is missing, cut off, changed or swapped with another', async () => {
      for (let n = 0; n < 200; n++) await redis.set(`${prefix}${n}`, 'x'.repeat(n))
      const { parts } = await backUp(stack.clients, smallExport)
      await redis.mset(`${prefix}live`, 'x', `${prefix}7`, 'changed')
      const [first, last] = [parts[0]!, parts.at(-1)!]
      const [whole, other] = [await read(last.key), await read(first.key)]
      const flipped = Buffer.from(whole)
      flipped[flipped.length >> 1]! ^= 4
      for (const damage of [
        flipped,
        whole.subarray(0, -5),
        Buffer.alloc(0),
        other,
        Buffer.concat([whole, whole]),
      ]) {
        await put(last.key, damage)
        await expectRefused(parts, last.key)
      }
      await stack.clients.backups.s3.send(new DeleteObjectCommand({ Bucket: 'backups', Key: last.key }))
      await expectRefused(parts, last.key)
      await put(last.key, whole)
      expect(inAll(await restore({ parts }, { exact: true }))).toMatchObject({ keys: 200, deleted: 1 })
    })

    test('a part whose lines are not what a key is written as, or not as many as the manifest says', async () => {
      const good = { key: `${prefix}a`, type: 'list', value: ['x'], expiresAt: null }
      const bad = [
        'no JSON',
        '{}',
        JSON.stringify({ ...good, type: 'string' }),
        JSON.stringify({ ...good, value: [['x']] }),
        JSON.stringify({ ...good, type: 'zset', value: [['x', 'y']] }),
        JSON.stringify({ ...good, type: 'hash', value: [['x']] }),
        JSON.stringify({ ...good, type: 'stream', value: [['5', ['a', 'b']]] }),
        JSON.stringify({ ...good, expiresAt: -1 }),
        JSON.stringify({ ...good, value: [{ base64: '=' }] }),
        JSON.stringify({ ...good, part: 2 }),
        JSON.stringify({ ...good, key: `${prefix}b`, part: 2 }),
        '',
      ]
      const begun = JSON.stringify({ ...good, part: 1 })
      const continued = [
        JSON.stringify({ ...good, part: 3 }),
        JSON.stringify({ ...good, part: 2, type: 'set' }),
        JSON.stringify({ ...good, part: 2, key: `${prefix}b` }),
      ]
      for (const [n, line] of [...bad, ...continued].entries()) {
        const first = n < bad.length ? JSON.stringify(good) : begun
        const lines = `${first}\n${line}${line === '' ? '' : '\n'}`
        const part = await writePart(
          stack.storage,
          () => `made/${n}.jsonl.zst`,
          async function* () {
            yield Buffer.from(lines)
          },
        )
        await expectRefused([{ ...part!, keys: 2 }], `made/${n}.jsonl.zst`)
      }
    })
  })

  test('a backup with keys outside CACHE_PREFIX is refused, and nothing is written', async () => {
    await redis.mset(`${prefix}a`, '1', 'other:b', '2')
    const backup = await backUp(everything)
    await redis.set(`${prefix}a`, 'live')
    await expect(restore(backup)).rejects.toMatchObject({
      name: 'InvalidConfiguration',
      message: expect.stringMatching(
        /holds 1 cache key that does not begin .* "taskmaster:": other:b\. No key was restored/,
      ),
    })
    expect(await redis.get(`${prefix}a`)).toBe('live')
  })

  test("the environment's key is never touched, even if a backup holds it", async () => {
    await redis.set(environmentKey, 'staging')
    const line = { key: environmentKey, type: 'string', value: 'production', expiresAt: null }
    const part = await writePart(
      stack.storage,
      () => 'made/environment.jsonl.zst',
      async function* () {
        yield Buffer.from(`${JSON.stringify(line)}\n`)
      },
    )
    const parts = [{ ...part!, keys: 1 }]
    for (const clients of [stack.clients, everything])
      expect(await restore({ parts }, { exact: true, clients })).toMatchObject({
        keys: 0,
        extra: 0,
        deleted: 0,
      })
    expect(await redis.get(environmentKey)).toBe('staging')
  })

  test('of a key that a backup holds twice, the later one counts', async () => {
    const line = { key: `${prefix}a`, type: 'list', value: ['x', 'y'], part: 1, expiresAt: null }
    const lines = [line, { ...line, type: 'string', value: 'later', part: undefined }]
    const part = await writePart(
      stack.storage,
      () => 'made/twice.jsonl.zst',
      async function* () {
        yield Buffer.from(lines.map((one) => `${JSON.stringify(one)}\n`).join(''))
      },
    )
    expect(await restore({ parts: [{ ...part!, keys: 2 }] })).toMatchObject({ keys: 1, extra: 0 })
    expect(await redis.get(`${prefix}a`)).toBe('later')
  })

  /** A part that holds these lines. */
  async function partOf(name: string, lines: object[]): Promise<CacheResult['parts'][number]> {
    const part = await writePart(
      stack.storage,
      () => `made/${name}.jsonl.zst`,
      async function* () {
        yield Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
      },
    )
    return { ...part!, keys: lines.length }
  }

  needsServerInFull(
    `of an earlier version, a line of a million elements of one byte and a key that expires in 300,000 years come back (needs redis-server) ${inFullForm}`,
    async () => {
      const part = await partOf('earlier', [
        { key: `${prefix}list`, type: 'list', value: Array(2 ** 20).fill('1'), part: 1, expiresAt: null },
        { key: `${prefix}a`, type: 'string', value: '1', expiresAt: 2 ** 60 },
      ])
      expect(await restore({ parts: [part] })).toMatchObject({ keys: 2 })
      expect(await redis.llen(`${prefix}list`)).toBe(2 ** 20)
      expect(await redis.call('PEXPIRETIME', `${prefix}a`)).toBe(Number.MAX_SAFE_INTEGER)
    },
  )

  needsServer(
    'a key that was emptied while it was read is left out, and one whose fields are all over is too (needs redis-server)',
    async () => {
      const soon = [['a', 'x', String(Date.now() + 60_000)]]
      const over = [['a', 'x', '1']]
      const part = await partOf('empty', [
        { key: `${prefix}list`, type: 'list', value: [], expiresAt: null },
        { key: `${prefix}hash`, type: 'hash', value: [], expiresAt: null },
        { key: `${prefix}over`, type: 'hash', value: over, expiresAt: null },
        { key: `${prefix}large over`, type: 'hash', value: over, part: 1, expiresAt: Date.now() - 1_000 },
        { key: `${prefix}a`, type: 'string', value: '1', expiresAt: null },
      ])
      expect(await restore({ parts: [part] })).toMatchObject({ keys: 1, expired: 2, extra: 0 })
      expect(await stack.keys()).toEqual([`${prefix}a`])
      const begun = { key: `${prefix}hash`, type: 'hash', expiresAt: null }
      const parts = [
        {
          ...(await partOf('begun', [
            { ...begun, value: over, part: 1 },
            { ...begun, value: [...soon, ['b', 'y']], part: 2 },
          ])),
          keys: 1,
        },
      ]
      expect(await restore({ parts })).toMatchObject({ keys: 1, expired: 0 })
      expect(await redis.hget(`${prefix}hash`, 'b')).toBe('y')
    },
  )

  needsServer(
    'a stream gets its last id, its groups and its numbers back, and does without numbers that its server did not tell (needs redis-server)',
    async () => {
      const group = { name: 'workers', lastDeliveredId: '1-1', entriesRead: null }
      const stream = { lastId: '9-9', entriesAdded: null, maxDeletedId: null, groups: [group] }
      const line = { key: `${prefix}s`, type: 'stream', expiresAt: null, stream }
      const part = await partOf('stream', [
        {
          ...line,
          value: [
            ['1-1', ['a', 'b']],
            ['2-2', ['a', 'b']],
          ],
        },
        { ...line, key: `${prefix}none`, value: [] },
        {
          ...{ ...line, key: `${prefix}told`, value: [['1-1', ['a', 'b']]] },
          stream: { ...stream, entriesAdded: 7, maxDeletedId: '3-3', groups: [{ ...group, entriesRead: 5 }] },
        },
      ])
      expect(await restore({ parts: [part] })).toMatchObject({ keys: 3 })
      for (const [name, length] of [
        ['s', 2],
        ['none', 0],
      ] as const) {
        const told = (await redis.call('XINFO', 'STREAM', `${prefix}${name}`)) as unknown[]
        expect(told[told.indexOf('last-generated-id') + 1], name).toBe('9-9')
        expect(await redis.xlen(`${prefix}${name}`), name).toBe(length)
      }
      const groupOf = async (name: string) => {
        const [told = []] = (await redis.call('XINFO', 'GROUPS', `${prefix}${name}`)) as unknown[][]
        return ['last-delivered-id', 'entries-read'].map((field) => told[told.indexOf(field) + 1])
      }
      expect((await groupOf('s'))[0]).toBe('1-1')
      expect(await groupOf('told')).toEqual(['1-1', 5])
      const told = (await redis.call('XINFO', 'STREAM', `${prefix}told`)) as unknown[]
      const numbers = ['entries-added', 'max-deleted-entry-id'].map((field) => told[told.indexOf(field) + 1])
      expect(numbers).toEqual([7, '3-3'])
    },
  )

  test('fields of a hash that expire are told their moments one by one, after all that needs the key', () => {
    const items = [
      [Buffer.from('a'), Buffer.from('x'), Buffer.from('17')],
      [Buffer.from('b'), Buffer.from('y')],
      [binary, Buffer.from('z'), Buffer.from('18')],
    ]
    const told = [...expiringCommands({ type: 'hash' }, { key: 'k', items })]
    expect(told.map(({ parts }) => parts.map(bytesOf))).toEqual(
      [
        ['17', 'a'],
        ['18', binary],
      ].map(([at, field]) =>
        ['HPEXPIREAT', 'k', at!, 'FIELDS', '1', field!].map((text) => Buffer.from(text)),
      ),
    )
    expect([...expiringCommands({ type: 'zset' }, { key: 'k', items })]).toEqual([])
  })

  test('a key that comes three times is written once, as it came last', async () => {
    const keyed = (value: string) => ({ key: `${prefix}a`, type: 'string', value, expiresAt: null })
    const lines = ['first', 'second', 'third'].map(keyed)
    await adoptFence(stack.clients.cache, fence) // until the fence is ours, nothing is written
    front.seen = []
    expect(await restore({ parts: [await partOf('thrice', lines)] })).toMatchObject({ keys: 1, extra: 0 })
    expect(await redis.get(`${prefix}a`)).toBe('third')
    expect(front.seen.flat(2).filter((text) => text === '=SET')).toHaveLength(1)
  })

  test('an invocation that a later one overtook leaves no result', async () => {
    const { parts } = await backUp()
    await redis.set(`${prefix}new`, '1')
    const run = stack.nextRun()
    const own = fenceOf(1)
    front.faults = [
      (commands) => {
        if (commands.some(([name]) => name === 'SCAN')) own.lost = new RunLost('a later one has begun')
        return undefined
      },
    ]
    const data = { run, fence: own, safetyBackupId: null, parts, exact: false }
    await expect(restoreCache(stack.clients, data, noProgress)).rejects.toMatchObject({ name: 'RunLost' })
    expect(await findJson(stack.storage, workKeys(run).cacheRestored, CacheRestored)).toBeUndefined()
  })

  test('an exact restore also deletes what comes while it looks, and what is gone meanwhile is gone', async () => {
    const backup = await backUp()
    await redis.mset(`${prefix}a`, '1', `${prefix}b`, '2')
    let scans = 0
    front.faults = [
      async (commands, forward) => {
        const answer = await forward()
        if (commands.some(([name]) => name === 'SCAN') && ++scans === 1) {
          await redis.set(`${prefix}late`, '3')
          await redis.del(`${prefix}b`)
        }
        return answer
      },
    ]
    expect(await restore(backup, { exact: true })).toMatchObject({ extra: 0, deleted: 3 })
    expect(await stack.keys()).toEqual([])
  })

  test('what a restore that was cut off left behind is cleared away, and is no extra key', async () => {
    const temporary = reservedPrefix(prefix, 'restoring')
    await redis.set(`${prefix}a`, '1')
    for (const name of ['1234:0', '1234:0:step']) await redis.set(`${temporary}${name}`, 'x', 'PX', 3_000_000)
    const backup = await backUp()
    expect(inAll(await restore(backup))).toMatchObject({ keys: 1, extra: 0, deleted: 0 })
    expect(await stack.keys()).toEqual([`${prefix}a`])
  })

  test("a key whose name looks like one of ours is the application's: it is restored, and counted beside the backup's", async () => {
    const temporary = reservedPrefix(prefix, 'restoring')
    const keys = [`${temporary}a`, `${prefix}taskmaster:restoring:1234`].sort()
    await redis.mset(...keys.flatMap((key) => [key, 'x']))
    const backup = await backUp()
    await redis.flushall()
    expect(await restore(backup)).toMatchObject({ keys: 2, extra: 0 })
    expect(await stack.keys()).toEqual(keys)
    await redis.set(`${temporary}b`, 'y')
    await redis.set(`${temporary}c`, 'y', 'PX', 2 * 3_600_000) // what a restore leaves has less time
    expect(inAll(await restore(backup))).toMatchObject({ keys: 2, extra: 2, deleted: 0 })
    expect(await redis.exists(`${temporary}b`, `${temporary}c`)).toBe(2)
  })

  needsServer("keys of a type that the run's own backup cannot hold stay (needs redis-server)", async () => {
    await redis.mset(`${prefix}a`, '1', `${prefix}b`, '2')
    const backup = await backUp()
    await redis.del(`${prefix}a`)
    await redis.rpush(`${prefix}a`, 'as if it were of another type')
    await redis.rpush(`${prefix}extra`, 'and this')
    await redis.set(`${prefix}goes`, 'x')
    front.faults = [listsAsJson]
    const run = stack.nextRun()
    await exportCache(stack.clients, { run, backupId, fence }, noProgress)
    expect(inAll(await restore(backup, { run, exact: true }))).toEqual({
      keys: 1,
      expired: 0,
      extra: 1,
      deleted: 1,
      changedMeanwhile: 0,
      warnings: [
        {
          code: 'KeysNotReplaced',
          message: expect.stringMatching(/^2 .*ReJSON-RL.*taskmaster:a, taskmaster:extra/),
        },
      ],
    })
    expect(await stack.keys()).toEqual([`${prefix}a`, `${prefix}b`, `${prefix}extra`])
    expect(await redis.type(`${prefix}a`)).toBe('list')
  })

  test.runIf(isFull)(
    `SCAN's empty pages, duplicates and cursors of 64 bits count no extra key twice and leave none ${inFullForm}`,
    async () => {
      const backup = await backUp()
      await redis.mset(...Array.from({ length: 200 }, (_, n) => [`${prefix}${n}`, 'x']).flat())
      front.faults = [oddScan()]
      expect(await restore(backup)).toMatchObject({ extra: 200 })
      front.faults = [oddScan()]
      expect(await restore(backup, { exact: true })).toMatchObject({ extra: 0, deleted: 200 })
      expect(await stack.keys()).toEqual([])
    },
  )

  test.runIf(isFull)(`tells how far it is ${inFullForm}`, async () => {
    await redis.mset(...Array.from({ length: 20 }, (_, n) => [`${prefix}${n}`, 'x']).flat())
    const { parts } = await backUp()
    await redis.flushall()
    const told: number[][] = []
    front.seen = []
    const data = { run: stack.nextRun(), fence, safetyBackupId: null, parts, exact: false }
    await restoreCache(stack.clients, data, async (...numbers) => void told.push(numbers), {
      ...small,
      lines: 8,
    })
    expect(told).toEqual([
      [8, 20],
      [16, 20],
      [20, 20],
      [20, 20],
    ])
    // Keys that are replaced are declared: a server that keeps them on disk loads them before the script begins.
    const isWriting = ([, script]: string[]) => script?.includes('temporary')
    const declared = front.seen
      .flat()
      .flatMap((command) => (isWriting(command) ? [Number(command[2]) - 1] : []))
    expect(Math.max(...declared)).toBe(small.pageKeys)
  })

  needsServerInFull(`10,000 keys in a few dozen requests (needs redis-server) ${inFullForm}`, async () => {
    for (let n = 0; n < 10_000; n += 5_000) {
      const batch = redis.pipeline()
      for (let m = n; m < n + 5_000; m++) {
        if (m % 3 === 0) batch.hset(`${prefix}${m}`, 'field', m)
        else batch.set(`${prefix}${m}`, `value ${m}`, 'PX', 600_000)
      }
      await batch.exec()
    }
    const backup = await backUp()
    await redis.flushall()
    front.seen = []
    expect(await restore(backup)).toMatchObject({ keys: 10_000 })
    expect(front.seen.length).toBeLessThan(50)
    expect(await redis.dbsize()).toBe(10_001) // with the fence
    expect(await redis.hgetall(`${prefix}9996`)).toEqual({ field: '9996' })
    expect(await redis.pttl(`${prefix}9998`)).toBeGreaterThan(500_000)
  })
})

describe('what a restore replaces is in its safety backup', () => {
  /** Seals a safety backup, lets something happen, restores, and gives what both left. */
  async function restoreAfter(
    backup: Pick<CacheResult, 'parts'>,
    change: () => Promise<unknown>,
    { onRestore = [] as RestFault[], run = stack.nextRun(), exact = true } = {},
  ) {
    const safetyBackupId = await sealBackup(stack.clients, { run, fence })
    await change()
    front.faults = onRestore
    const data = { run, fence, safetyBackupId, parts: backup.parts, exact }
    const result = await restoreCache(stack.clients, data, noProgress)
    front.faults = []
    const live = Object.fromEntries(
      await Promise.all((await stack.keys()).map(async (key) => [key, await redis.get(key)] as const)),
    )
    const { cache } = await readBackup(stack.storage, stack.clients.config.BACKUP_PREFIX, safetyBackupId)
    return { result, live, safe: await contentOf(cache?.parts ?? []) }
  }

  /** Keys and values of a backup of strings: of a key that is there twice, the later one counts. */
  async function contentOf(parts: CacheResult['parts']): Promise<Record<string, string>> {
    const lines = await stack.linesOf({ parts } as CacheResult)
    return Object.fromEntries(lines.map(({ key, value }) => [key, value]))
  }

  const isWriting = (commands: string[][]) =>
    commands.some((command) => command.some((part) => part.startsWith('=SET')))

  test('also a value that changed after it, one that came after it, and one that an exact restore deletes', async () => {
    await redis.mset(`${prefix}a`, 'first', `${prefix}b`, 'first')
    const backup = await backUp()
    await redis.mset(`${prefix}a`, 'second', `${prefix}extra`, 'second')
    await redis.del(`${prefix}b`)
    const { result, live, safe } = await restoreAfter(backup, () =>
      redis.mset(
        `${prefix}a`,
        'third',
        `${prefix}b`,
        'third',
        `${prefix}extra`,
        'third',
        `${prefix}new`,
        'third',
      ),
    )
    expect(result).toMatchObject({ keys: 2, extra: 0, deleted: 2, changedMeanwhile: 0, warnings: [] })
    expect(live).toEqual({ [`${prefix}a`]: 'first', [`${prefix}b`]: 'first' })
    expect(safe).toEqual({
      [`${prefix}a`]: 'third',
      [`${prefix}b`]: 'third',
      [`${prefix}extra`]: 'third',
      [`${prefix}new`]: 'third',
    })
  })

  test.runIf(isFull)(`or it is left, when it changes again and again ${inFullForm}`, async () => {
    await redis.mset(`${prefix}a`, 'first', `${prefix}b`, 'first')
    const backup = await backUp()
    await redis.mset(`${prefix}a`, 'second', `${prefix}b`, 'second')
    let writes = 0
    const { result, live, safe } = await restoreAfter(backup, async () => {}, {
      onRestore: [
        async (commands) => {
          if (isWriting(commands)) await redis.set(`${prefix}a`, `busy ${++writes}`)
          return undefined
        },
      ],
    })
    expect(result).toMatchObject({
      keys: 1,
      changedMeanwhile: 1,
      warnings: [{ code: 'KeysChangedMeanwhile', message: expect.stringContaining(`${prefix}a`) }],
    })
    expect(live[`${prefix}a`]).toMatch(/^busy/)
    expect(live[`${prefix}b`]).toBe('first')
    expect(safe[`${prefix}b`]).toBe('second')
  })

  test('and an answer that was lost has nothing taken for it that came after the key was replaced or deleted', async () => {
    await redis.set(`${prefix}a`, 'first')
    const backup = await backUp()
    await redis.mset(`${prefix}a`, 'second', `${prefix}extra`, 'second')
    await adoptFence(stack.direct.cache, fence)
    /** Loses the first answer to what has gone through, and writes the key before the question comes again. */
    const losing = (name: string, isDone: (commands: string[][]) => boolean): RestFault => {
      let isOver = false
      return async (commands, forward) => {
        if (isOver || !isDone(commands)) return undefined
        isOver = true
        await forward()
        await redis.set(name, 'came after')
        return 'drop'
      }
    }
    const isUnlinking = (commands: string[][]) => commands.flat().includes(`${prefix}extra`)
    const { result, live, safe } = await restoreAfter(backup, async () => {}, {
      onRestore: [losing(`${prefix}a`, isWriting), losing(`${prefix}extra`, isUnlinking)],
    })
    expect(live).toEqual({ [`${prefix}a`]: 'came after', [`${prefix}extra`]: 'came after' })
    expect(safe).toEqual({ [`${prefix}a`]: 'second', [`${prefix}extra`]: 'second' })
    expect(result).toMatchObject({ keys: 0, extra: 1, deleted: 0, changedMeanwhile: 2 })
  })

  test.runIf(isFull)(
    `and a repeat takes nothing for it that came after the key was replaced ${inFullForm}`,
    async () => {
      await redis.set(`${prefix}a`, 'first')
      const backup = await backUp()
      await redis.set(`${prefix}a`, 'second')
      const run = stack.nextRun()
      const safetyBackupId = await sealBackup(stack.clients, { run, fence })
      const data = { run, fence, safetyBackupId, parts: backup.parts, exact: false }
      front.faults = [
        async (commands, forward) => {
          if (!isWriting(commands)) return undefined
          await forward()
          return { status: 200, body: JSON.stringify(commands.map(() => ({ error: 'ERR broken' }))) }
        },
      ]
      // Until the fence is ours, nothing is written.
      await adoptFence(stack.direct.cache, fence)
      await expect(restoreCache(stack.clients, data, noProgress)).rejects.toThrow('broken')
      front.faults = []
      expect(await redis.get(`${prefix}a`)).toBe('first')
      await redis.set(`${prefix}a`, 'written since')
      expect(await restoreCache(stack.clients, data, noProgress)).toMatchObject({ changedMeanwhile: 1 })
      expect(await redis.get(`${prefix}a`)).toBe('written since')
      const { cache } = await readBackup(stack.storage, stack.clients.config.BACKUP_PREFIX, safetyBackupId)
      expect(await contentOf(cache?.parts ?? [])).toEqual({ [`${prefix}a`]: 'second' })
    },
  )

  needsServerInFull(
    `and a repeat knows what the try before it wrote, small or large: it leaves none of it as changed (needs redis-server) ${inFullForm}`,
    async () => {
      const numbers = Array.from({ length: 300 }, (_, n) => `element ${n}`)
      await redis.set(`${prefix}a`, 'first', 'PX', 100_000)
      await redis.set(`${prefix}new`, 'first')
      await redis.rpush(`${prefix}list`, ...numbers)
      await redis.pexpire(`${prefix}list`, 100_000)
      const backup = await backUp(stack.clients, smallExport)
      await redis.del(`${prefix}list`, `${prefix}new`)
      await redis.mset(`${prefix}a`, 'second', `${prefix}extra`, 'second')
      await redis.rpush(`${prefix}list`, 'second')
      const run = stack.nextRun()
      const safetyBackupId = await sealBackup(stack.clients, { run, fence })
      const data = { run, fence, safetyBackupId, parts: backup.parts, exact: true }
      const isLooking = (commands: string[][]) => commands.some(([name]) => name === 'SCAN')
      front.faults = [
        (commands) => (isLooking(commands) ? { status: 200, body: '[{"error":"ERR broken"}]' } : undefined),
      ]
      await expect(restoreCache(stack.clients, data, noProgress, small)).rejects.toThrow('broken')
      front.faults = []
      await redis.mset(`${prefix}b`, 'came after the first try', `${prefix}extra`, 'changed after it')
      expect(await restoreCache(stack.clients, data, noProgress, small)).toMatchObject({
        ...{ keys: 0, unchanged: 3, changedMeanwhile: 1, deleted: 1, extra: 1 },
        warnings: [{ message: expect.stringMatching(/^1 cache key .* was left alone: taskmaster:extra\./) }],
      })
      expect(await redis.get(`${prefix}a`)).toBe('first')
      expect(await redis.llen(`${prefix}list`)).toBe(300)
      const { cache } = await readBackup(stack.storage, stack.clients.config.BACKUP_PREFIX, safetyBackupId)
      expect(await contentOf(cache?.parts ?? [])).toEqual({
        ...{ [`${prefix}a`]: 'second', [`${prefix}list`]: ['second'], [`${prefix}extra`]: 'second' },
        [`${prefix}b`]: 'came after the first try',
      })
    },
  )

  needsServerInFull(
    `or it is left, a large one, one that is to be deleted, and one that cannot be compared (needs redis-server) ${inFullForm}`,
    async () => {
      await redis.rpush(`${prefix}list`, ...Array.from({ length: 300 }, (_, n) => `element ${n}`))
      await redis.set(`${prefix}too large`, 'first')
      const backup = await backUp(stack.clients, smallExport)
      await redis.del(`${prefix}list`)
      await redis.sadd(`${prefix}goes`, 'x')
      await redis.del(`${prefix}too large`)
      await redis.sadd(`${prefix}too large`, 'a', 'b', 'c', 'd')
      const run = stack.nextRun()
      const safetyBackupId = await sealBackup(stack.clients, { run, fence })
      let writes = 0
      front.faults = [
        async (commands) => {
          for (const command of commands) {
            if (command[0] !== 'EVAL') continue
            command[1] = command[1]!.replaceAll(String(comparedItems), '3')
            if (command.some((part) => part === `=${prefix}list`)) await redis.set(`${prefix}list`, ++writes)
            if (command[1]?.includes('fates')) await redis.set(`${prefix}extra`, ++writes)
          }
          return undefined
        },
      ]
      await redis.set(`${prefix}extra`, 'came')
      const data = { run, fence, safetyBackupId, parts: backup.parts, exact: true }
      const result = await restoreCache(stack.clients, data, noProgress, small)
      expect(result).toMatchObject({
        ...{ keys: 0, changedMeanwhile: 3, deleted: 1, extra: 1 },
        warnings: [
          {
            code: 'KeysChangedMeanwhile',
            message: expect.stringMatching(/^3 cache keys .*(too large.*|list.*){2}, taskmaster:extra\./),
          },
        ],
      })
      expect(await redis.get(`${prefix}extra`)).toBe(String(writes))
      expect((await redis.smembers(`${prefix}too large`)).sort()).toEqual(['a', 'b', 'c', 'd'])
      expect((await stack.keys()).filter((key) => key.includes('restoring'))).toEqual([])
    },
  )

  needsServerInFull(
    `also a large value, which takes the place of another in one piece (needs redis-server) ${inFullForm}`,
    async () => {
      await redis.rpush(`${prefix}list`, ...Array.from({ length: 300 }, (_, n) => `element ${n}`))
      const backup = await backUp(stack.clients, smallExport)
      await redis.del(`${prefix}list`)
      const run = stack.nextRun()
      const safetyBackupId = await sealBackup(stack.clients, { run, fence })
      await redis.set(`${prefix}list`, 'came after it')
      const data = { run, fence, safetyBackupId, parts: backup.parts, exact: false }
      expect(await restoreCache(stack.clients, data, noProgress, small)).toMatchObject({
        keys: 1,
        changedMeanwhile: 0,
      })
      expect(await redis.llen(`${prefix}list`)).toBe(300)
      const { cache } = await readBackup(stack.storage, stack.clients.config.BACKUP_PREFIX, safetyBackupId)
      expect(await contentOf(cache?.parts ?? [])).toEqual({ [`${prefix}list`]: 'came after it' })
    },
  )
})
