import { describe, expect, test } from 'vitest'
import { adoptFence, checkFence, closeFence } from '../../lib/cache/fence.ts'
import { fenceKey, reservedPrefix } from '../../lib/cache/keys.ts'
import { probeCache } from '../../lib/cache/probe.ts'
import { wipeCache } from '../../lib/cache/wipe/wipe.ts'
import { RunLost } from '../../lib/errors.ts'
import { refusalOf } from '../../lib/redis/refusal.ts'
import { fenceOf } from '../support/fences.ts'
import { fence, noProgress, prefix, startCache } from './cache-stack.ts'
import { sealBackup } from './sealed.ts'

const stack = await startCache()
const { redis, front } = stack
const needsServer = test.skipIf(stack.mock)

describe('what is tried before anything is wiped', () => {
  needsServer('leaves no key but the fence, whose number it keeps (needs redis-server)', async () => {
    await redis.set(fenceKey, '7')
    expect(await probeCache(stack.clients, { needsRoom: true })).toEqual([])
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
    ['ERR max bandwidth limit exceeded', 'CacheQuotaExceeded'],
    ["NOPERM The user executing the script can't run this command", 'NotPermitted'],
    ["The user executing the script can't run this command or subcommand", 'NotPermitted'],
    ['ACL failure in script: User default has no permissions', 'NotPermitted'],
    ['NOAUTH Authentication required.', 'NotPermitted'],
  ])('finds out a cache that says %s, with the name of its kind', async (reason, name) => {
    front.faults = [
      (commands) => ({ status: 200, body: JSON.stringify(commands.map(() => ({ error: reason }))) }),
    ]
    await expect(probeCache(stack.clients, { needsRoom: true })).rejects.toMatchObject({
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
          await expect(probeCache(stack.clients, { needsRoom: true }), command).rejects.toMatchObject({
            name: 'NotPermitted',
          })
        } finally {
          await redis.call('ACL', 'SETUSER', 'default', `+${command}`)
        }
      }
    },
  )

  needsServer(
    'a cache that is full can be backed up and emptied, and a restore into it is refused before it begins (needs redis-server)',
    async () => {
      for (let n = 0; n < 20; n++) await redis.set(`${prefix}${n}`, 'x'.repeat(1_000))
      const run = stack.nextRun()
      const [, before = ''] = (await redis.config('GET', 'maxmemory')) as string[]
      await redis.config('SET', 'maxmemory', '1')
      try {
        await expect(redis.set('any', 'x')).rejects.toThrow(/OOM/)
        await expect(probeCache(stack.clients, { needsRoom: true })).rejects.toMatchObject({
          name: 'CacheQuotaExceeded',
        })
        expect(await probeCache(stack.clients, { needsRoom: false })).toEqual([])
        const backupId = await sealBackup(stack.clients, { run, fence })
        const asked = { run, fence, backupId, preserve: [], unsupportedTypes: [] }
        expect(await wipeCache(stack.clients, asked, noProgress)).toMatchObject({ keys: 20, left: 0 })
        expect(await stack.keys()).toEqual([])
      } finally {
        await redis.config('SET', 'maxmemory', before)
      }
    },
  )

  needsServer('after a run has ended no request of it is obeyed any more (needs redis-server)', async () => {
    await adoptFence(stack.clients.cache, fence)
    await closeFence(stack.clients.cache, fence.number + 1, AbortSignal.timeout(5_000))
    const late = ['EVAL', `${checkFence}return 'obeyed'`, '1', fenceKey, String(fence.number)] as const
    const ask = async () => String(await redis.call(...late))
    expect(await ask()).toBe('obeyed') // it was another run that ended
    await closeFence(stack.clients.cache, fence.number, AbortSignal.timeout(5_000))
    expect(await ask()).toBe('FENCED')
  })

  needsServer(
    'a cache that evicts any key is a warning that says what then helps (needs redis-server)',
    async () => {
      await redis.config('SET', 'maxmemory-policy', 'allkeys-lru')
      try {
        expect(await probeCache(stack.clients, { needsRoom: true })).toMatchObject([
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
      expect(await probeCache(stack.clients, { needsRoom: true })).toEqual([])
      await redis.persist(key)
      await expect(probeCache(stack.clients, { needsRoom: true })).rejects.toMatchObject({
        name: 'KeysReserved',
        message: expect.stringContaining(key),
      })
    },
  )

  needsServer('of what runs begin, and of no more time than ours have (needs redis-server)', async () => {
    for (const purpose of ['restoring', 'probe'] as const) {
      const key = `${reservedPrefix(prefix, purpose)}mine`
      await redis.set(key, 'x', 'PX', 2 * 3_600_000)
      await expect(probeCache(stack.clients, { needsRoom: true }), purpose).rejects.toMatchObject({
        ...{
          name: 'KeysReserved',
          message: expect.stringMatching(/^1 cache key begins with .* and is not of a run/),
        },
      })
      await redis.del(key)
    }
    expect(await redis.exists(`${reservedPrefix(prefix, 'aside')}mine`)).toBe(0)
  })

  needsServer('a server that does not tell its policy is no failure (needs redis-server)', async () => {
    front.faults = [
      (commands) =>
        commands[0]?.[0] === 'INFO' ? { status: 200, body: '[{"error":"ERR unknown command"}]' } : undefined,
    ]
    expect(await probeCache(stack.clients, { needsRoom: true })).toEqual([])
  })

  test('a run that does not hold the lock any more is not made the one that the cache heeds', async () => {
    await redis.set(fenceKey, '7')
    const lost = fenceOf(1)
    lost.lost = new RunLost('it was taken over')
    await expect(adoptFence(stack.clients.cache, lost)).rejects.toMatchObject({ name: 'RunLost' })
    expect(await redis.get(fenceKey)).toBe('7')
  })

  test('a reason that passes by itself is not blamed on what the server is', () => {
    for (const word of ['NOREPLICAS', 'LOADING', 'MASTERDOWN', 'BUSY', 'CLUSTERDOWN', 'TRYAGAIN'])
      expect(refusalOf('host', 'GET', `${word} any`)).toMatchObject({
        ...{ name: 'StoreUnavailable', message: expect.stringContaining('It cannot write now') },
      })
  })

  test('an unknown reason is told as it is', () => {
    expect(refusalOf('host', 'GET', 'ERR odd')).toMatchObject({
      name: 'StoreUnavailable',
      message: expect.stringContaining('refused GET: ERR odd'),
    })
  })
})
