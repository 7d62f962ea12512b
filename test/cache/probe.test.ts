import { describe, expect, test } from 'vitest'
import { fenceKey, reservedPrefix } from '../../lib/cache/keys.ts'
import { probeCache } from '../../lib/cache/probe.ts'
import { refusalOf } from '../../lib/cache/refusal.ts'
import { prefix, startCache } from './cache-stack.ts'

const stack = await startCache()
const { redis, front } = stack
const needsServer = test.skipIf(stack.mock)

describe('what is tried before anything is wiped', () => {
  needsServer('leaves no key but the fence, whose number it keeps (needs redis-server)', async () => {
    await redis.set(fenceKey, '7')
    expect(await probeCache(stack.clients)).toEqual([])
    expect(await redis.keys('*')).toEqual([fenceKey])
    expect(await redis.get(fenceKey)).toBe('7')
  })

  test.each([
    ["NOPERM this user has no permissions to run the 'eval' command", 'NotPermitted'],
    ["READONLY You can't write against a read only replica.", 'NotPermitted'],
    ['NOREPLICAS Not enough good replicas to write.', 'StoreUnavailable'],
    ["OOM command not allowed when used memory > 'maxmemory'.", 'CacheQuotaExceeded'],
    ['ERR max requests limit exceeded. Limit: 500000, Usage: 500000', 'CacheQuotaExceeded'],
    ['ERR max daily request limit exceeded', 'CacheQuotaExceeded'],
    ['ERR DB capacity quota exceeded', 'CacheQuotaExceeded'],
    ['ERR max single record size exceeded. Limit: 104857600 bytes', 'CacheValueTooLarge'],
    ['ERR max key size exceeded. Limit: 32768 bytes, Actual: 40000 bytes', 'CacheValueTooLarge'],
  ])('finds out a cache that says %s, with the name of its kind', async (reason, name) => {
    front.faults = [
      (commands) => ({ status: 200, body: JSON.stringify(commands.map(() => ({ error: reason }))) }),
    ]
    await expect(probeCache(stack.clients)).rejects.toMatchObject({
      name,
      message: expect.stringContaining(reason.slice(0, 20)),
    })
  })

  test('a request that is refused as a whole has the name of its kind too', async () => {
    front.faults = [() => ({ status: 400, body: '{"error":"ERR max requests limit exceeded"}' })]
    await expect(
      stack.clients.cache.ask([
        ['GET', 'a'],
        ['GET', 'b'],
      ]),
    ).rejects.toMatchObject({ name: 'CacheQuotaExceeded' })
  })

  needsServer(
    'a user of a real server who may not EVAL, SET or UNLINK is found out (needs redis-server)',
    async () => {
      for (const command of ['eval', 'set', 'unlink']) {
        await redis.call('ACL', 'SETUSER', 'default', `-${command}`)
        try {
          await expect(probeCache(stack.clients), command).rejects.toMatchObject({ name: 'NotPermitted' })
        } finally {
          await redis.call('ACL', 'SETUSER', 'default', `+${command}`)
        }
      }
    },
  )

  needsServer(
    'a cache that evicts any key is a warning that says what then helps (needs redis-server)',
    async () => {
      await redis.config('SET', 'maxmemory-policy', 'allkeys-lru')
      try {
        expect(await probeCache(stack.clients)).toMatchObject([
          { code: 'CacheEvicts', message: expect.stringMatching(/allkeys-lru.*"claim"/) },
        ])
      } finally {
        await redis.config('SET', 'maxmemory-policy', 'noeviction')
      }
    },
  )

  needsServer(
    'keys of the application below a reserved prefix are refused by name (needs redis-server)',
    async () => {
      const key = `${reservedPrefix(prefix, 'restoring')}mine`
      await redis.set(key, 'x', 'PX', 1_000_000) // as a restore leaves one
      expect(await probeCache(stack.clients)).toEqual([])
      await redis.persist(key)
      await expect(probeCache(stack.clients)).rejects.toMatchObject({
        name: 'KeysReserved',
        message: expect.stringContaining(key),
      })
    },
  )

  test('an unknown reason is told as it is', () => {
    expect(refusalOf('host', 'GET', 'ERR odd')).toMatchObject({
      name: 'StoreUnavailable',
      message: expect.stringContaining('refused GET: ERR odd'),
    })
  })
})
