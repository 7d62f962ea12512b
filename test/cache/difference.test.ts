import { expect, test } from 'vitest'
import { readBackup } from '../../lib/backup/read.ts'
import { diffCache, diffHeldCaches } from '../../lib/cache/restore/difference.ts'
import { comparedItems } from '../../lib/cache/value/digest.ts'
import { fence, noProgress, prefix, startCache } from './cache-stack.ts'
import { sealBackup } from './sealed.ts'

const stack = await startCache()
const { redis } = stack
const needsServer = test.skipIf(stack.mock)

async function backUp() {
  const backupId = await sealBackup(stack.clients, { run: stack.nextRun(), fence })
  const { cache } = await readBackup(stack.clients.backups, stack.clients.config.BACKUP_PREFIX, backupId)
  if (cache === null) throw new Error('The backup holds no cache.')
  return cache
}
const none = { extra: 0, missing: 0, changed: 0, expired: 0, uncompared: 0 }

needsServer(
  'the difference of the cache tells how many keys came, went and changed, by type, value and expiry (needs redis-server)',
  async () => {
    const key = (name: string) => `${prefix}${name}`
    const later = Date.now() + 3_600_000
    await redis.mset(
      key('same'),
      '1',
      key('other'),
      '1',
      key('gone'),
      '1',
      key('retyped'),
      '1',
      key('timed'),
      '1',
      'elsewhere',
      '1',
    )
    await redis.call('PEXPIREAT', key('timed'), String(later))
    await redis.set(Buffer.from([...Buffer.from(prefix), 0xff, 0xfe]), 'binary')
    await redis.rpush(key('list'), 'a', 'b')
    await redis.sadd(key('set'), 'a', 'b')
    await redis.hset(key('hash'), 'a', '1', 'b', '2')
    await redis.zadd(key('zset'), 1.5, 'a')
    await redis.xadd(key('stream'), '1-1', 'a', 'b')
    await redis.set(key('short'), '1', 'PX', 60_000)
    await redis.hset(key('fading'), 'a', '1', 'b', '2')
    await redis.hset(key('faded'), 'a', '1')
    for (const name of stack.expiresFields ? ['fading', 'faded'] : [])
      await redis.call('HPEXPIRE', key(name), '60000', 'FIELDS', '1', 'a')
    const held = await backUp()
    passed = 61_000 // and the server has
    await redis.del(key('short'))
    for (const name of stack.expiresFields ? ['fading', 'faded'] : []) await redis.hdel(key(name), 'a')
    const [before, expired] = [14, stack.expiresFields ? 2 : 1]
    const now = before - expired
    expect(await difference(held)).toEqual({ before, now, ...none, expired })
    await redis.set(key('other'), '2')
    await redis.del(key('gone'), key('retyped'))
    await redis.rpush(key('retyped'), '1')
    await redis.persist(key('timed'))
    await redis.rpush(key('list'), 'c')
    await redis.srem(key('set'), 'b')
    await redis.hset(key('hash'), 'b', '3')
    await redis.xadd(key('stream'), '2-1', 'a', 'b')
    await redis.mset(key('new'), '1', 'elsewhere', '2')
    expect(await difference(held)).toEqual({
      ...{ before, now, expired },
      extra: 1,
      missing: 1,
      changed: 7,
      uncompared: 0,
    })
    const between = { before: held, after: await backUp() }
    expect(await diffHeldCaches(clients(), between, noProgress)).toEqual(await difference(held))
    passed = 0
  },
)

needsServer('changes nothing, and says what it does not compare (needs redis-server)', async () => {
  await redis.set(`${prefix}large`, '1')
  const held = await backUp()
  await redis.del(`${prefix}large`)
  await redis.eval(
    `for from = 1, ${comparedItems + 1}, 5000 do local call = {} for i = from, from + 4999 do call[#call + 1] = i end redis.call('RPUSH', KEYS[1], unpack(call)) end`,
    1,
    `${prefix}large`,
  )
  const keys = await stack.keys()
  expect(await difference(held)).toEqual({ before: 1, now: 1, ...none, uncompared: 1 })
  expect(await stack.keys()).toEqual(keys)
})

/** Milliseconds that have passed, as far as the product can tell. */
let passed = 0

async function difference(held: Awaited<ReturnType<typeof backUp>>) {
  return diffCache(clients(), { held }, noProgress)
}

function clients() {
  return { ...stack.clients, now: () => new Date(Date.now() + passed) }
}
