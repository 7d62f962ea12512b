import { hash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareAndUnlink } from '../../lib/cache/compare-and-unlink.ts'
import { digestsOf } from '../../lib/cache/export/backup-digests.ts'
import { exportCache, exportLimits } from '../../lib/cache/export/export.ts'
import { ValueDigest } from '../../lib/cache/value/digest.ts'
import type { Item, KeyType } from '../../lib/cache/value/pages.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { anyKey } from './any-keys.ts'
import { backupId, fence, noProgress, prefix, startCache } from './cache-stack.ts'
import { ofOneSum } from './one-digest.ts'
import { withoutExpiryTime } from './rest-front.ts'

const stack = await startCache()
const { redis } = stack
const needsServer = test.skipIf(stack.mock)
const needsServerInFull = test.runIf(isFull && !stack.mock)

const small = { ...exportLimits, pageKeys: 50, pageItems: 40, lineBytes: 6_000, pieceBytes: 1_000 }

/** Exports everything, and says of each key whether the server finds it unchanged. Nothing is left. */
async function fatesOf(change = async () => {}, limits = exportLimits): Promise<Record<string, string>> {
  const clients = stack.withPrefix('*')
  const { parts } = await exportCache(clients, { run: stack.nextRun(), backupId, fence }, noProgress, limits)
  const digests = await digestsOf(clients, parts)
  await change()
  const keys = (await redis.keysBuffer('*')).filter(
    (key) => !key.toString().startsWith('taskmaster:environment'),
  )
  const expected = (key: Buffer) => digests.get(key) ?? ''
  const { fates } = await compareAndUnlink(clients.cache, fence, {
    keys,
    expected,
    quarantine: null,
    keptTypes: [],
  })
  return Object.fromEntries([...fates].map(([key, fate]) => [key.toString('latin1'), fate]))
}

async function writeAll(): Promise<void> {
  await redis.set(`${prefix}string`, 'é😀')
  await redis.rpush(`${prefix}list`, 'b', 'a', 'a')
  await redis.sadd(`${prefix}set`, 'a', 'b')
  await redis.hset(`${prefix}hash`, 'a', '1', 'b', '2')
  await redis.zadd(`${prefix}zset`, '0.1', 'a', '2', 'b')
}

describe('the digest of a value', () => {
  test('is the same from the export and from the server, for every type', async () => {
    await writeAll()
    expect(Object.values(await fatesOf())).toEqual(Array(5).fill('deleted'))
  })

  test('counts an element that two pages bring once, in any order, and each one of a list as often as it is there', () => {
    const [a, b] = [Buffer.from('a'), Buffer.from('b')]
    const digestOf = (type: KeyType, ...pages: Item[][]) => {
      const digest = new ValueDigest(type)
      for (const page of pages) digest.add(page)
      return digest.end(null)
    }
    expect(digestOf('set', [a, b], [a])).toBe(digestOf('set', [b, a]))
    expect(digestOf('hash', [[a, b]], [[a, b]])).toBe(digestOf('hash', [[a, b]]))
    expect(digestOf('hash', [[a, b]])).not.toBe(digestOf('zset', [[a, b]]))
    expect(digestOf('list', [a, b], [a])).not.toBe(digestOf('list', [a, b]))
    expect(digestOf('list', [a], [b])).toBe(digestOf('list', [a, b]))
    expect(digestOf('list', [a, b])).not.toBe(digestOf('list', [b, a]))
    expect(digestOf('string', [a], [b])).toBe(digestOf('string', [Buffer.from('ab')]))
  })

  // The imitation's Lua is a hundred times slower.
  needsServer(
    'is made of a string of more than a megabyte too: only what the server would be busy with for seconds is not compared (needs redis-server)',
    async () => {
      await redis.set(`${prefix}long`, 'x'.repeat(1_100_000))
      expect(await fatesOf()).toEqual({ [`${prefix}long`]: 'deleted' })
    },
  )

  test('differs when anything of the value does', async () => {
    const changes = [
      () => redis.append(`${prefix}string`, ' '),
      () => redis.set(`${prefix}string`, ''),
      () => redis.lset(`${prefix}list`, 0, 'c'),
      () => redis.rpush(`${prefix}list`, 'b'),
      () => redis.srem(`${prefix}set`, 'a'),
      () => redis.sadd(`${prefix}set`, 'ab'),
      () => redis.hset(`${prefix}hash`, 'a', '2'),
      () => redis.hset(`${prefix}hash`, 'a', '', '1', ''),
      () => redis.zadd(`${prefix}zset`, '0.2', 'a'),
      () => redis.del(`${prefix}list`).then(() => redis.sadd(`${prefix}list`, 'a', 'b')),
    ]
    for (const [index, change] of changes.entries()) {
      await redis.flushall()
      await writeAll()
      const fates = await fatesOf(async () => void (await change()))
      expect(
        Object.values(fates).filter((fate) => fate === 'changed'),
        `change ${index}`,
      ).toHaveLength(1)
    }
  })

  test('is another one of values of which anybody could make the sums of hashes equal', async () => {
    const sumsOf = (members: readonly string[]) =>
      [0, 7, 14, 21].map((at) =>
        members.reduce((sum, member) => {
          const digest = hash('sha1', `${member.length}:${member}`, 'hex')
          return (sum + Number.parseInt(digest.slice(at, at + 7), 16)) % 2 ** 28
        }, 0),
      )
    const [one, other] = ofOneSum
    expect(sumsOf(other)).toEqual(sumsOf(one))
    await redis.flushall()
    await redis.sadd(`${prefix}set`, ...one)
    const change = () => redis.del(`${prefix}set`).then(() => redis.sadd(`${prefix}set`, ...other))
    expect(await fatesOf(async () => void (await change()))).toEqual({ [`${prefix}set`]: 'changed' })
    await redis.flushall()
  })

  needsServer(
    'of a stream differs when its last id or what a group has read does (needs redis-server)',
    async () => {
      for (const [index, change] of [
        async () => {},
        () => redis.call('XREADGROUP', 'GROUP', 'workers', 'me', 'NOACK', 'STREAMS', `${prefix}stream`, '>'),
        () => redis.call('XGROUP', 'CREATE', `${prefix}stream`, 'more', '0'),
        () =>
          redis
            .call('XDEL', `${prefix}stream`, String(9))
            .then(() => redis.call('XSETID', `${prefix}stream`, '9-9')),
      ].entries()) {
        await redis.flushall()
        await redis.call('XADD', `${prefix}stream`, '1-1', 'a', 'b')
        await redis.call('XGROUP', 'CREATE', `${prefix}stream`, 'workers', '0')
        const fates = await fatesOf(async () => void (await change()))
        expect(fates, `change ${index}`).toEqual({ [`${prefix}stream`]: index === 0 ? 'deleted' : 'changed' })
      }
    },
  )

  needsServer('differs when only the expiry does (needs redis-server)', async () => {
    await redis.set(`${prefix}a`, 'x', 'PX', 100_000)
    await redis.set(`${prefix}b`, 'x', 'PX', 100_000)
    await redis.set(`${prefix}c`, 'x')
    const fates = await fatesOf(async () => {
      await redis.pexpire(`${prefix}b`, 200_000)
      await redis.pexpire(`${prefix}c`, 200_000)
    })
    expect(fates).toEqual({ [`${prefix}a`]: 'deleted', [`${prefix}b`]: 'changed', [`${prefix}c`]: 'changed' })
  })

  needsServer(
    'leaves the expiry out on a server that does not tell its moment, from both sides (needs redis-server)',
    async () => {
      await redis.set(`${prefix}a`, 'x', 'PX', 100_000)
      await redis.set(`${prefix}b`, 'x', 'PX', 100_000)
      stack.front.faults = [withoutExpiryTime]
      const fates = await fatesOf(async () => void (await redis.append(`${prefix}b`, 'y')))
      expect(fates).toEqual({ [`${prefix}a`]: 'deleted', [`${prefix}b`]: 'changed' })
    },
  )

  needsServerInFull(
    `does not depend on how the server holds a value (needs redis-server) ${inFullForm}`,
    async () => {
      const text = 'compressible '.repeat(100)
      await redis.set(`${prefix}string`, text)
      const numbers = Array.from({ length: 700 }, (_, n) => n)
      await redis.hset(`${prefix}hash`, ...numbers.flatMap((n) => [n, text]))
      await redis.zadd(`${prefix}zset`, ...numbers.flatMap((n) => [n / 7, n]))
      // Of more elements than a script reads at once.
      const many = Array.from({ length: 2_500 }, (_, n) => n)
      await redis.rpush(`${prefix}list`, ...many)
      await redis.sadd(`${prefix}set`, ...many, 'x')
      const batch = redis.pipeline()
      for (const n of many) batch.xadd(`${prefix}stream`, `${n + 1}-0`, 'a', n)
      await batch.exec()
      const fates = await fatesOf(async () => {
        await redis.hset(`${prefix}hash`, 'more', 'x')
        for (let n = 0; n < 3_000; n++) redis.hset(`${prefix}hash`, `more ${n}`, 'x')
        await redis.hdel(`${prefix}hash`, 'more', ...Array.from({ length: 3_000 }, (_, n) => `more ${n}`))
        await redis.append(`${prefix}string`, 'x')
        await redis.setrange(`${prefix}string`, 0, text)
        await redis.set(`${prefix}string`, text)
      })
      expect(new Set(Object.values(fates))).toEqual(new Set(['deleted']))
    },
  )

  needsServerInFull(
    `agrees for any values, whole or in pages (needs redis-server) ${inFullForm}`,
    async () => {
      const keys = fc.array(fc.tuple(anyKey(120), fc.boolean()), { maxLength: 12 })
      await fc.assert(
        fc.asyncProperty(keys, fc.boolean(), async (entries, paged) => {
          await redis.flushall()
          for (const [[key, { command, args }], expires] of entries) {
            await redis.callBuffer('DEL', key)
            await redis.callBuffer(command, key, ...args)
            if (expires) await redis.pexpire(key, 100_000)
          }
          const fates = await fatesOf(undefined, paged ? small : exportLimits)
          expect(new Set(Object.values(fates))).toEqual(
            new Set(Object.keys(fates).length === 0 ? [] : ['deleted']),
          )
        }),
        { numRuns: 10 },
      )
    },
  )
})
