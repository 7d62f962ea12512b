import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { countCache } from '../../lib/cache/count.ts'
import { KeyDigests } from '../../lib/cache/key-digests.ts'
import { hashOfKey, KeySet, SmallKeySet } from '../../lib/cache/key-set.ts'
import { environmentKey, keyScope } from '../../lib/cache/keys.ts'
import { readCacheMark, writeCacheMark } from '../../lib/cache/mark.ts'
import { prefix, startCache } from './cache-stack.ts'
import { oddScan } from './odd-scan.ts'

const stack = await startCache()
const needsServer = test.skipIf(stack.mock)
const set = (...keys: string[]) => stack.redis.mset(...keys.flatMap((key) => [key, 'x']))
const none = { preservedKeys: 0, unmatched: [], complete: true }

describe('counting the keys', () => {
  test("below the prefix only, and never the environment's own key", async () => {
    await set(`${prefix}a`, `${prefix}b`, 'taskmaster', 'taskmaster2:c', 'other', environmentKey)
    expect(await countCache(stack.clients, { preserve: [] })).toEqual({ keys: 2, ...none })
    expect(await countCache(stack.withPrefix('*'), { preserve: [] })).toEqual({ keys: 5, ...none })
  })

  needsServer("glob characters in a prefix count nobody else's keys (needs redis-server)", async () => {
    await set('a*b:1', 'axb:1', 'a?b:1', '[ab]:1', 'a:1', 'back\\slash:1', 'backslash:1')
    for (const own of ['a*b:', 'a?b:', '[ab]:', 'back\\slash:']) {
      expect(await countCache(stack.withPrefix(own), { preserve: [] }), own).toEqual({ keys: 1, ...none })
    }
  })

  test('preserved patterns count their keys once, and one that matches nothing is reported', async () => {
    await set(`${prefix}session:1`, `${prefix}session:2`, `${prefix}job:1`)
    const preserve = [`${prefix}session:*`, '*:2', 'session:*']
    expect(await countCache(stack.clients, { preserve })).toEqual({
      keys: 3,
      preservedKeys: 2,
      unmatched: ['session:*'],
      complete: true,
    })
    expect(await countCache(stack.withPrefix('*'), { preserve })).toMatchObject({ keys: 3, preservedKeys: 2 })
  })

  test.each([
    [500, undefined],
    [150, 150],
  ])(
    "each of %i keys once, over SCAN's empty pages, duplicates and cursors of 64 bits, with a limit of %s",
    async (keys, limit) => {
      await set(...Array.from({ length: keys }, (_, n) => `${prefix}${'k'.repeat(n)}`))
      stack.front.faults = [oddScan()]
      const asked = { preserve: [], ...(limit !== undefined && { limit }) }
      expect(await countCache(stack.clients, asked)).toEqual({ keys, ...none })
      expect(stack.front.seen.length).toBeGreaterThan(10)
    },
  )

  test('stops at its limit and says so', async () => {
    await set(`${prefix}a`, `${prefix}b`, `${prefix}c`)
    expect(await countCache(stack.clients, { preserve: [], limit: 2 })).toMatchObject({
      keys: 2,
      complete: false,
    })
    expect(await countCache(stack.clients, { preserve: [], limit: 3 })).toMatchObject({
      keys: 3,
      complete: true,
    })
  })

  test('a scan that fails half-way is an error, not a smaller count', async () => {
    await set(...Array.from({ length: 500 }, (_, n) => `${prefix}${n}`))
    const odd = oddScan()
    stack.front.faults = [
      (commands, forward) =>
        stack.front.seen.length > 5
          ? { status: 200, body: '[{"error":"ERR lost"}]' }
          : odd(commands, forward),
    ]
    await expect(countCache(stack.clients, { preserve: [] })).rejects.toMatchObject({
      name: 'StoreUnavailable',
    })
  })

  test('few keys are told apart by every byte, whatever their bytes and their length', () => {
    const seen = new SmallKeySet()
    const bytes = Buffer.from([0, 0x7f, 0x80, 0xc2, 0xff, 0xfe])
    const keys = [0, 1, 2, 127, 128, 129, 5_000].flatMap((length) =>
      [...bytes].map((byte) => Buffer.concat([Buffer.alloc(length, 0xc3), Buffer.of(byte)])),
    )
    for (const key of keys) expect(seen.add(key)).toBe(true)
    for (const key of keys) expect(seen.add(Buffer.from(key))).toBe(false)
    expect(seen.size).toBe(keys.length)
  })

  test('a key is below a prefix when it begins with all of its bytes', () => {
    const { includes } = keyScope('app:\u00e9:')
    const found = ['app:\u00e9:', 'app:\u00e9:1', 'app:\u00e9', 'app:e:1', '', 'xapp:\u00e9:'].map((key) =>
      includes(Buffer.from(key)),
    )
    expect(found).toEqual([true, true, false, false, false, false])
    expect(includes(Buffer.from('app:\u00e9', 'latin1'))).toBe(false)
  })

  test('remembers keys in about 20 bytes each', () => {
    const seen = new KeySet()
    const bytes = Buffer.alloc(10) // one for all keys: what the test throws away would be measured, too
    const key = (n: number) => bytes.subarray(0, bytes.write(`key:${n}`))
    const before = process.memoryUsage().arrayBuffers
    for (let n = 0; n < 200_000; n++) seen.add(key(n))
    for (let n = 0; n < 200_000; n += 1000) expect(seen.add(key(n))).toBe(false)
    expect(seen.size).toBe(200_000)
    // What it has outgrown may not be collected yet, which is as much again.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(200_000 * 2 * 22)
  })
})

test.each([1, 12, 1_008, 1_009, 5_000])(
  'the hash of a key of %i bytes tells nobody outside which other key has it: it is made with a secret',
  (bytes) => {
    const key = Buffer.alloc(bytes, 'k')
    const known = createHash('sha256').update(key).digest()
    expect(hashOfKey(key)).toEqual(hashOfKey(Buffer.from(key)))
    expect(hashOfKey(key)).not.toEqual(hashOfKey(Buffer.concat([key, key.subarray(0, 1)])))
    expect(hashOfKey(key)).not.toEqual([known.readUInt32BE(0), known.readUInt32BE(4)])
  },
)

test('the digests of very many keys are those that were set last', () => {
  const digests = new KeyDigests()
  const key = (n: number) => Buffer.from(`key:${n}`)
  const digest = (n: number) => n.toString(16).padStart(16, '0')
  for (let n = 0; n < 5_000; n++) expect(digests.set(key(n), digest(n))).toBe(true)
  for (let n = 0; n < 5_000; n += 3) expect(digests.set(key(n), digest(n * 2 ** 33))).toBe(false)
  for (let n = 0; n < 5_000; n++) expect(digests.get(key(n))).toBe(digest(n % 3 === 0 ? n * 2 ** 33 : n))
  expect(digests.get(key(5_000))).toBeUndefined()
  expect(digests.size).toBe(5_000)
})

describe("the cache's mark", () => {
  test('is read as it was written, never expires, and may be written again', async () => {
    expect(await readCacheMark(stack.clients)).toBeUndefined()
    await writeCacheMark(stack.clients, { environment: 'staging' })
    await writeCacheMark(stack.clients, { environment: 'staging' })
    expect(await readCacheMark(stack.clients)).toBe('staging')
    expect(await stack.redis.pttl(environmentKey)).toBe(-1)
  })

  test('of another environment is never overwritten', async () => {
    await writeCacheMark(stack.clients, { environment: 'production' })
    await expect(writeCacheMark(stack.clients, { environment: 'staging' })).rejects.toMatchObject({
      name: 'EnvironmentMismatch',
    })
    expect(await readCacheMark(stack.clients)).toBe('production')
  })

  test('that is no text is an error, not an absent one', async () => {
    await stack.redis.rpush(environmentKey, 'staging')
    await expect(readCacheMark(stack.clients)).rejects.toMatchObject({ name: 'StoreUnavailable' })
  })
})
