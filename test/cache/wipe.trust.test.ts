import { describe, expect, test } from 'vitest'
import { getJson } from '../../lib/backup/documents/read.ts'
import { findResult } from '../../lib/backup/documents/results.ts'
import { writeLate } from '../../lib/backup/late.ts'
import { backupKeys, workKeys } from '../../lib/backup/layout.ts'
import { Late, type Seen } from '../../lib/backup/manifest.ts'
import { readBackup } from '../../lib/backup/read.ts'
import { compareAndUnlink } from '../../lib/cache/compare-and-unlink.ts'
import { exportCache, exportLimits } from '../../lib/cache/export/export.ts'
import { adoptFence } from '../../lib/cache/fence.ts'
import { environmentKey, fenceKey, reservedPrefix } from '../../lib/cache/keys.ts'
import { quarantineBelow, release } from '../../lib/cache/quarantine.ts'
import { restoreCache } from '../../lib/cache/restore/restore.ts'
import { comparedItems } from '../../lib/cache/value/digest.ts'
import { CacheWiped, wipeCache, wipeLimits } from '../../lib/cache/wipe/wipe.ts'
import { RunLost } from '../../lib/errors.ts'
import type { Fence } from '../../lib/ledger/fence.ts'
import { s3Error } from '../files/s3-front.ts'
import { fenceOf } from '../support/fences.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { oddTexts } from './any-keys.ts'
import { fence, noProgress, prefix, startCache } from './cache-stack.ts'
import { oddScan } from './odd-scan.ts'
import { listsAsJson, type RestFault, readsStrings } from './rest-front.ts'
import { sealBackup } from './sealed.ts'

const stack = await startCache()
const { redis, front } = stack
const needsServer = test.skipIf(stack.mock)
const needsServerInFull = test.runIf(isFull && !stack.mock)

const set = (...keys: string[]) => redis.mset(...keys.flatMap((key) => [key, 'x']))
const isWipe = (commands: string[][]) => commands.some(([name]) => name === 'EVAL') && !readsStrings(commands)
const many = (count: number) => set(...Array.from({ length: count }, (_, n) => `${prefix}${n}`))
const wipe = (
  {
    preserve = [] as string[],
    unsupportedTypes = [] as string[],
    run = stack.nextRun(),
    backupId = null as string | null,
  } = {},
  clients = stack.clients,
  limits = wipeLimits,
) => wipeCache(clients, { run, fence, backupId, preserve, unsupportedTypes }, noProgress, limits)

describe('wiping the cache', () => {
  test("deletes the keys of the prefix, and nobody else's", async () => {
    const others = ['taskmaster', 'taskmaster2:a', 'Taskmaster:a', 'other']
    await set(`${prefix}a`, `${prefix}b`, prefix, ...others)
    expect(await wipe()).toEqual({ keys: 3, late: 0, left: 0, warnings: [] })
    expect(await stack.keys()).toEqual([...others].sort())
  })

  needsServer("glob characters in a prefix clear nobody else's keys (needs redis-server)", async () => {
    for (const [own, others] of [
      ['a*b:', ['axb:1', 'ab:1', 'aab:b:1']],
      ['a?b:', ['axb:1', 'ab:1']],
      ['[ab]:', ['a:1', 'b:1']],
      ['[^a]:', ['b:1', '^:1']],
      ['back\\slash:', ['backslash:1']],
      ['**', ['*1', 'a**']],
    ] as const) {
      await redis.flushall()
      await set(`${own}1`, ...others)
      expect(await wipe({}, stack.withPrefix(own)), own).toMatchObject({ keys: 1, left: 0 })
      expect(await stack.keys(), own).toEqual([...others].sort())
    }
  })

  test("* is the whole database, but for the environment's key", async () => {
    await set('a', `${prefix}b`, 'other', environmentKey)
    expect(await wipe({}, stack.withPrefix('*'))).toMatchObject({ keys: 3, left: 0 })
    expect(await stack.keys()).toEqual([environmentKey])
    expect(front.seen.flat().map(([name]) => name)).not.toContain('FLUSHDB')
  })

  test("the environment's key stays although it has the prefix", async () => {
    await set(`${prefix}a`, environmentKey, `${environmentKey}2`)
    expect(await wipe()).toMatchObject({ keys: 2 })
    expect(await stack.keys()).toEqual([environmentKey])
  })

  test('preserved patterns stay, and only those', async () => {
    await set(
      `${prefix}session:1`,
      `${prefix}session`,
      `${prefix}job:1`,
      `${prefix}lock:a`,
      `${prefix}lock:b`,
    )
    // By the name that it had, also one that a wipe which did not end has quarantined.
    const quarantine = `${reservedPrefix(prefix, 'aside')}${prefix}session:2`
    await set(quarantine)
    expect(await wipe({ preserve: [`${prefix}session:*`, '*:[a]'] })).toMatchObject({ keys: 3, left: 0 })
    expect(await stack.keys()).toEqual([quarantine, `${prefix}lock:a`, `${prefix}session:1`].sort())
  })

  needsServer('types that the backup could not hold stay (needs redis-server)', async () => {
    await set(`${prefix}a`)
    await redis.rpush(`${prefix}list`, 'x')
    expect(await wipe({ unsupportedTypes: ['list', 'ReJSON-RL'] })).toEqual({
      keys: 1,
      late: 0,
      left: 0,
      warnings: [],
    })
    expect(await stack.keys()).toEqual([`${prefix}list`])
  })

  needsServer(
    'keys that look like numbers or JSON, or hold what careless quoting loses, go (needs redis-server)',
    async () => {
      await set(...oddTexts.map((text) => `${prefix}${text}`))
      expect(await wipe()).toMatchObject({ keys: oddTexts.length, left: 0 })
      expect(await stack.keys()).toEqual([])
    },
  )

  needsServerInFull(
    `keys that are no text go too, each by its bytes (needs redis-server) ${inFullForm}`,
    async () => {
      const own = Buffer.from(prefix)
      const binary = Array.from({ length: 2_500 }, (_, n) =>
        Buffer.concat([own, Buffer.from([0xff, 0x80, n >> 8, n & 255])]),
      )
      // What careless decoding would turn a binary key into.
      const other = Buffer.from('\ufffd\ufffd')
      for (const key of binary) redis.set(key, 'x')
      await redis.set(other, 'x')
      await set(`${prefix}text`)
      expect(await wipe()).toEqual({ keys: 2_501, late: 0, left: 0, warnings: [] })
      expect(await stack.keys()).toEqual(['\ufffd\ufffd'])
    },
  )

  test("SCAN's empty pages, duplicates and cursors of 64 bits leave no key behind", async () => {
    await many(300)
    front.faults = [oddScan()]
    expect(await wipe()).toEqual({ keys: 300, late: 0, left: 0, warnings: [] })
    expect(await stack.keys()).toEqual([])
  })

  test('keys that a pass does not see are found by the next one', async () => {
    await many(100)
    let scans = 0
    front.faults = [
      async (commands, forward) => {
        if (!commands.some(([name]) => name === 'SCAN') || scans++ > 2) return undefined
        const answer = await forward()
        const body = JSON.parse(answer.body)
        const keys = body.at(-1).result[1]
        body.at(-1).result[1] = keys.slice(0, Math.ceil(keys.length / 2))
        return { ...answer, body: JSON.stringify(body) }
      },
    ]
    expect(await wipe()).toEqual({ keys: 100, late: 0, left: 0, warnings: [] })
    expect(await stack.keys()).toEqual([])
  })

  test('what is written while it runs goes too', async () => {
    await many(10)
    let late = 0
    front.faults = [
      async (commands) => {
        if (isWipe(commands) && late < 3) await set(`${prefix}late${late++}`)
        return undefined
      },
    ]
    expect(await wipe()).toEqual({ keys: 13, late: 0, left: 0, warnings: [] })
  })

  test('an application that writes faster than it deletes is a warning with the number of keys left, not an endless loop', async () => {
    let written = 0
    front.faults = [
      async (commands, forward) => {
        if (!commands.some(([name]) => name === 'SCAN')) return undefined
        await set(`${prefix}${written++}`)
        const answer = await forward()
        await set(`${prefix}${written++}`)
        return answer
      },
    ]
    const result = await wipe({}, stack.clients, { ...wipeLimits, passes: 4 })
    expect(result.left).toBeGreaterThan(0)
    expect(result.warnings).toMatchObject([
      { code: 'KeysLeft', message: expect.stringContaining(String(result.left)) },
    ])
  })

  test('keys that Redis says it did not delete are a warning, not success', async () => {
    await many(5)
    await redis.rpush(`${prefix}list`, 'of a type that stays')
    const asked = { run: stack.nextRun(), unsupportedTypes: ['list'] }
    front.faults = [
      (commands) => {
        for (const command of commands)
          if (command[0] === 'EVAL')
            command[1] = command[1]!.replace("redis.call('UNLINK', unpack(gone, from, last))", '0')
        return undefined
      },
      oddScan(),
    ]
    expect(await wipe(asked)).toMatchObject({
      ...{ keys: 0, left: 5 },
      warnings: [{ code: 'KeysLeft', message: expect.stringMatching(/^5 cache keys are still there/) }],
    })
    expect(front.seen.length).toBeLessThan(40) // it gives up soon
    front.faults = []
    expect(await wipe(asked), 'a repeat goes on').toEqual({ keys: 5, late: 0, left: 0, warnings: [] })
    expect(await stack.keys()).toEqual([`${prefix}list`])
  })

  test('an invocation that a later one overtook leaves no result', async () => {
    const run = stack.nextRun()
    const own = fenceOf(1)
    const asked = { run, fence: own, backupId: null, preserve: [], unsupportedTypes: [] }
    front.faults = [
      (commands) => {
        if (commands.some(([name]) => name === 'SCAN')) own.lost = new RunLost('a later one has begun')
        return undefined
      },
    ]
    await expect(wipeCache(stack.clients, asked, noProgress)).rejects.toMatchObject({ name: 'RunLost' })
    expect(await findResult(stack.storage, workKeys(run).cacheWiped, CacheWiped)).toBeUndefined()
  })

  test('an UNLINK that fails is an error, not a smaller number', async () => {
    await many(5)
    front.faults = [
      (commands) =>
        isWipe(commands)
          ? { status: 200, body: JSON.stringify(commands.map(() => ({ error: 'NOPERM no' }))) }
          : undefined,
    ]
    await expect(wipe()).rejects.toMatchObject({
      name: 'NotPermitted',
      message: expect.stringContaining('NOPERM'),
    })
  })

  test.each(['', '??'].slice(0, isFull ? undefined : 1))(
    'an answer that says nothing of any key is an error: %j',
    async (told) => {
      await many(2)
      let asked = 0
      front.faults = [
        async (commands, forward) => {
          if (!isWipe(commands) || !commands.flat().includes(`${prefix}0`)) return undefined
          if (asked++ > 5) return 'drop' // it would be asked for ever
          const answers = JSON.parse((await forward()).body)
          answers[0] = { result: Buffer.from(told).toString('base64') }
          return { status: 200, body: JSON.stringify(answers) }
        },
      ]
      await expect(wipe()).rejects.toThrow('says of none of')
    },
  )

  test('a repeat finds the result and deletes nothing again', async () => {
    await many(5)
    const run = stack.nextRun()
    const first = await wipe({ run })
    await set(`${prefix}late`)
    expect(await wipe({ run })).toEqual(first)
    expect(await stack.keys()).toEqual([`${prefix}late`])
  })

  test.runIf(isFull)(
    `the wipe repeated after it was cut off counts the keys of both tries ${inFullForm}`,
    async () => {
      await many(300)
      const run = stack.nextRun()
      const limits = { ...wipeLimits, pageKeys: 10 }
      const told: number[] = []
      const cutOff = async (done: number) => {
        told.push(done)
        if (done > 100) throw new Error('cut off')
      }
      await expect(
        wipeCache(
          stack.clients,
          { run, fence, backupId: null, preserve: [], unsupportedTypes: [] },
          cutOff,
          limits,
        ),
      ).rejects.toThrow('cut off')
      const left = (await stack.keys()).length
      expect(left).toBeGreaterThan(0)
      expect(left).toBeLessThan(200)
      expect(await wipe({ run }, stack.clients, limits)).toEqual({
        keys: 300,
        late: 0,
        left: 0,
        warnings: [],
      })
    },
  )

  test('a lost answer deletes nothing twice and leaves nothing', async () => {
    await many(50)
    let lost = 0
    front.faults = [
      async (commands, forward) => {
        if (!isWipe(commands) || lost++ > 0) return undefined
        await forward()
        return 'drop'
      },
    ]
    const { keys, left } = await wipe()
    expect(left).toBe(0)
    expect(keys).toBeLessThanOrEqual(50)
    expect(await stack.keys()).toEqual([])
  })

  test('deletes a page and scans the next in one request', async () => {
    await many(1_000)
    await wipe({}, stack.clients, { ...wipeLimits, pageKeys: 100 })
    expect(front.seen.length).toBeLessThan(20)
    expect(front.seen.some((commands) => commands.map(([name]) => name).join() === 'EVAL,SCAN')).toBe(true)
  })

  needsServerInFull(`100,000 keys (needs redis-server) ${inFullForm}`, async () => {
    for (let n = 0; n < 10; n++) await set(...Array.from({ length: 10_000 }, (_, m) => `${prefix}${n}:${m}`))
    await set('other')
    expect(await wipe({}, stack.direct)).toEqual({ keys: 100_000, late: 0, left: 0, warnings: [] })
    expect(await stack.keys()).toEqual(['other'])
  })
})

describe('a wipe that is covered by a backup', () => {
  /** Seals a backup, lets something happen, wipes, and gives the result with what the backup restores to. */
  async function wipeAfter(
    change: () => Promise<unknown>,
    {
      run = stack.nextRun(),
      limits = wipeLimits,
      preserve = [] as string[],
      onWipe = (): RestFault[] => [],
      clients = stack.clients,
    } = {},
  ) {
    const backupId = await sealBackup(clients, { run, fence })
    await change()
    front.faults = onWipe()
    const wiped = await wipe({ run, backupId, preserve }, clients, limits)
    front.faults = []
    const left = await stack.keys()
    return { wiped, left, backupId, restored: await restored(backupId, clients) }
  }

  /** What the backup restores to, in an empty cache. */
  async function restored(backupId: string, clients = stack.clients): Promise<Record<string, unknown>> {
    const { cache } = await readBackup(stack.storage, clients.config.BACKUP_PREFIX, backupId)
    await redis.flushall()
    const data = { run: stack.nextRun(), fence, safetyBackupId: null, parts: cache!.parts, exact: false }
    const { keys } = await restoreCache(clients, data, noProgress)
    expect(keys).toBe(cache!.keys)
    const values: Record<string, unknown> = {}
    for (const key of await stack.keys()) {
      const type = await redis.type(key)
      values[key] = type === 'string' ? await redis.get(key) : await redis.smembers(key)
    }
    return values
  }

  test('deletes what the backup holds, as the backup holds it', async () => {
    await set(`${prefix}a`, `${prefix}b`)
    const { wiped, left, backupId } = await wipeAfter(async () => {})
    expect(wiped).toEqual({ keys: 2, late: 0, left: 0, warnings: [] })
    expect(left).toEqual([])
    expect(await findLateOf(backupId)).toBe(null)
  })

  test('adds what changed since its export, and what came, before it deletes it', async () => {
    await set(`${prefix}a`, `${prefix}b`, `${prefix}expires`)
    await redis.sadd(`${prefix}set`, 'one')
    const { wiped, left, restored } = await wipeAfter(async () => {
      await redis.set(`${prefix}a`, 'later')
      await redis.sadd(`${prefix}set`, 'two')
      await redis.set(`${prefix}new`, 'came')
      await redis.del(`${prefix}b`)
      await redis.set(`${prefix}b`, 'x') // the same again
    })
    expect(wiped).toEqual({ keys: 5, late: 3, left: 0, warnings: [] })
    expect(left).toEqual([])
    expect(restored).toEqual({
      [`${prefix}a`]: 'later',
      [`${prefix}b`]: 'x',
      [`${prefix}expires`]: 'x',
      [`${prefix}new`]: 'came',
      [`${prefix}set`]: expect.arrayContaining(['one', 'two']),
    })
  })

  needsServerInFull(
    `adds a key of which only the expiry changed, and restores it exactly (needs redis-server) ${inFullForm}`,
    async () => {
      const later = Date.now() + 500_000
      await redis.set(`${prefix}a`, 'x', 'PX', 100_000)
      const { wiped } = await wipeAfter(() => redis.pexpireat(`${prefix}a`, later))
      expect(wiped).toMatchObject({ keys: 1, late: 1 })
      expect(Number(await redis.call('PEXPIRETIME', `${prefix}a`))).toBe(later)
    },
  )

  test.skipIf(stack.mock || !stack.expiresFields)(
    'adds a hash of which only the expiry of one field changed, and restores it exactly (needs Redis 7.4 or Valkey 9)',
    async () => {
      const later = Date.now() + 500_000
      const key = `${prefix}hash`
      await redis.hset(key, 'a', 'x', 'b', 'y')
      await redis.hset(`${prefix}same`, 'a', 'x', 'b', 'y')
      for (const name of [key, `${prefix}same`])
        await redis.call('HPEXPIRE', name, '100000', 'FIELDS', '1', 'a')
      const run = stack.nextRun()
      const own = await sealBackup(stack.clients, { run, fence })
      await redis.call('HPEXPIREAT', key, later, 'FIELDS', '1', 'a')
      expect(await wipe({ run, backupId: own })).toMatchObject({ keys: 2, late: 1, left: 0 })
      const { cache } = await readBackup(stack.storage, stack.clients.config.BACKUP_PREFIX, own)
      const data = { run: stack.nextRun(), fence, safetyBackupId: null, parts: cache!.parts, exact: false }
      await restoreCache(stack.clients, data, noProgress)
      const times = await redis.call('HPEXPIRETIME', key, 'FIELDS', '2', 'a', 'b')
      expect((times as number[]).map(Number)).toEqual([later, -1])
    },
  )

  test.runIf(isFull)(
    `what comes in several passes is all in the backup, and each new key counts once ${inFullForm}`,
    async () => {
      await set(`${prefix}a`)
      let late = 0
      const { wiped, left, restored } = await wipeAfter(async () => {}, {
        onWipe: () => [
          async (commands) => {
            if (isWipe(commands) && late < 3) await set(`${prefix}late ${late++}`)
            return undefined
          },
        ],
      })
      expect(wiped).toEqual({ keys: 4, late: 3, left: 0, warnings: [] })
      expect(left).toEqual([])
      expect(Object.keys(restored)).toEqual(['a', 'late 0', 'late 1', 'late 2'].map((name) => prefix + name))
    },
  )

  test('a key that changes all the time is quarantined, added, and deleted', async () => {
    await redis.set(`${prefix}counter`, '1000')
    let rounds = 0
    const { wiped, left, restored } = await wipeAfter(async () => {}, {
      onWipe: () => [
        async (commands) => {
          if (isWipe(commands) && (await redis.exists(`${prefix}counter`)) && ++rounds < 50)
            await redis.incr(`${prefix}counter`)
          return undefined
        },
      ],
    })
    expect(wiped).toEqual({ keys: 1, late: rounds, left: 0, warnings: [] })
    expect(left).toEqual([])
    expect(restored).toEqual({ [`${prefix}counter`]: String(1000 + rounds) })
    expect(rounds).toBeLessThan(10)
  })

  test('a key that is written again after it was deleted stays, and the backup keeps what it was before', async () => {
    await redis.set(`${prefix}counter`, '1000')
    const { wiped, left, restored } = await wipeAfter(async () => {}, {
      onWipe: () => [
        async (commands, forward) => {
          const answer = await forward()
          if (isWipe(commands)) await redis.incr(`${prefix}counter`)
          return answer
        },
      ],
    })
    expect(wiped).toMatchObject({ keys: 1, late: 0, left: 0 })
    expect(wiped.warnings).toMatchObject([
      {
        code: 'KeysCameBack',
        message: `1 cache key was written again after the wipe, and left: ${prefix}counter`,
      },
    ])
    expect(left).toEqual([`${prefix}counter`])
    expect(restored).toEqual({ [`${prefix}counter`]: '1000' })
  })

  const lostAnswers = [
    ['lost', async () => 'drop' as const],
    ['an error of what stands between', async () => ({ status: 502, body: 'bad gateway' })],
  ] as const
  test.each(lostAnswers.slice(0, isFull ? undefined : 1))(
    'an answer that is %s: what differs when it is asked again stays, and the backup keeps what it was before',
    async (_, instead) => {
      await set(`${prefix}a`, `${prefix}b`, `${prefix}c`)
      let lost = 0
      const { wiped, left, restored } = await wipeAfter(() => redis.set(`${prefix}c`, 'changed before'), {
        onWipe: () => [
          async (commands, forward) => {
            if (!isWipe(commands) || lost++ > 0) return undefined
            await forward()
            await redis.set(`${prefix}a`, 'came after it')
            return await instead()
          },
        ],
      })
      expect(wiped).toMatchObject({
        left: 0,
        warnings: [
          {
            code: 'KeysCameBack',
            message: expect.stringMatching(
              /^2 cache keys were written again after the wipe, or perhaps before it, and left: .*taskmaster:a/,
            ),
          },
        ],
      })
      expect(left).toEqual([`${prefix}a`, `${prefix}c`])
      expect(restored).toEqual({ [`${prefix}a`]: 'x', [`${prefix}b`]: 'x', [`${prefix}c`]: 'x' })
    },
  )

  test.runIf(isFull)(
    `a request that was refused, and so not done, is asked as it was ${inFullForm}`,
    async () => {
      await set(`${prefix}a`, `${prefix}b`)
      let refused = 0
      const { wiped, left, restored } = await wipeAfter(() => redis.set(`${prefix}b`, 'changed'), {
        onWipe: () => [
          (commands) => (isWipe(commands) && refused++ === 0 ? { status: 429, body: 'too many' } : undefined),
        ],
      })
      expect(wiped).toEqual({ keys: 2, late: 1, left: 0, warnings: [] })
      expect(left).toEqual([])
      expect(restored).toEqual({ [`${prefix}a`]: 'x', [`${prefix}b`]: 'changed' })
    },
  )

  test.runIf(isFull)(`preserved keys stay, also when they changed ${inFullForm}`, async () => {
    await set(`${prefix}a`, `${prefix}session:1`)
    const { wiped, left } = await wipeAfter(() => redis.set(`${prefix}session:1`, 'later'), {
      preserve: [`${prefix}session:*`],
    })
    expect(wiped).toEqual({ keys: 1, late: 0, left: 0, warnings: [] })
    expect(left).toEqual([`${prefix}session:1`])
  })

  test('without room for the late part nothing that changed is deleted, and a repeat leaves what is unclear', async () => {
    await set(`${prefix}a`, `${prefix}b`)
    const run = stack.nextRun()
    const backupId = await sealBackup(stack.clients, { run, fence })
    await redis.set(`${prefix}a`, 'later')
    stack.s3Front.faults = [
      ({ method, key }) =>
        method !== 'GET' && key.includes('/late-') ? s3Error(403, 'AccessDenied') : undefined,
    ]
    await expect(wipe({ run, backupId })).rejects.toMatchObject({ name: 'NotPermitted' })
    expect(await redis.get(`${prefix}a`)).toBe('later')
    stack.s3Front.faults = []
    const repeated = await wipe({ run, backupId }, stack.clients, { ...wipeLimits, quarantineFrom: 1 })
    expect(repeated).toMatchObject({ keys: 1, left: 0, warnings: [{ code: 'KeysCameBack' }] })
    expect(await redis.get(`${prefix}a`)).toBe('later')
  })

  needsServerInFull(
    `a wipe that dies while keys are quarantined loses none: the next backup finds them under their names (needs redis-server) ${inFullForm}`,
    async () => {
      await redis.set(`${prefix}counter`, '7')
      const run = stack.nextRun()
      const backupId = await sealBackup(stack.clients, { run, fence })
      front.faults = [
        async (commands) => {
          if (isWipe(commands)) await redis.incr(`${prefix}counter`)
          return undefined
        },
      ]
      let dead = false
      const dying: Fence = {
        ...fenceOf(1),
        check: async () => {
          if (dead || (await redis.exists(`${prefix}counter`)) === 0) {
            dead = true
            throw new RunLost('the run is over')
          }
        },
      }
      const data = { run, fence: dying, backupId, preserve: [], unsupportedTypes: [] }
      await expect(wipeCache(stack.clients, data, noProgress)).rejects.toMatchObject({ name: 'RunLost' })
      front.faults = []
      expect(await stack.keys()).toEqual([`${reservedPrefix(prefix, 'aside')}${prefix}counter`])
      const value = await redis.get(`${reservedPrefix(prefix, 'aside')}${prefix}counter`)
      const next = await sealBackup(stack.clients, { run: stack.nextRun(), fence: fenceOf(2) })
      expect(await stack.keys()).toEqual([`${prefix}counter`])
      expect(await restored(next)).toEqual({ [`${prefix}counter`]: value })
    },
  )

  needsServerInFull(
    `a wipe that fails while keys are quarantined gives them their names back before it ends (needs redis-server) ${inFullForm}`,
    async () => {
      const counter = `${prefix}counter`
      await redis.set(counter, '7')
      const run = stack.nextRun()
      const backupId = await sealBackup(stack.clients, { run, fence })
      const isThere = async () => (await redis.exists(counter)) === 1
      front.faults = [
        async (commands) => {
          if (isWipe(commands) && (await isThere())) await redis.incr(counter)
          return undefined
        },
      ]
      let refusals = 0
      stack.s3Front.faults = [
        async ({ method, key }) => {
          if (method === 'GET' || !key.includes('/late-') || (await isThere())) return undefined
          refusals++
          return s3Error(403, 'AccessDenied')
        },
      ]
      await expect(wipe({ run, backupId })).rejects.toMatchObject({ name: 'NotPermitted' })
      expect(refusals).toBeGreaterThan(0)
      expect(await stack.keys()).toEqual([counter])
    },
  )

  const broken: RestFault = (commands) => ({
    status: 200,
    body: JSON.stringify(commands.map(() => ({ error: 'ERR broken' }))),
  })

  needsServerInFull(
    `a repeat knows what the try before it has added, and counts it (needs redis-server) ${inFullForm}`,
    async () => {
      await set(`${prefix}a`, `${prefix}b`)
      const run = stack.nextRun()
      const backupId = await sealBackup(stack.clients, { run, fence })
      await redis.set(`${prefix}a`, 'later')
      front.faults = [
        async (commands, forward) => {
          const isSecondPass = (await findLateOf(backupId)) !== null
          return isSecondPass && isWipe(commands) ? broken(commands, forward) : undefined
        },
      ]
      await expect(wipe({ run, backupId })).rejects.toThrow('broken')
      front.faults = []
      expect(await stack.keys()).toEqual([`${prefix}a`])
      expect(await wipe({ run, backupId })).toEqual({ keys: 2, late: 1, left: 0, warnings: [] })
      expect(await restored(backupId)).toEqual({ [`${prefix}a`]: 'later', [`${prefix}b`]: 'x' })
    },
  )

  test.runIf(isFull)(
    `a repeat of a wipe that was killed takes nothing for the backup that came after its key was deleted ${inFullForm}`,
    async () => {
      await set(`${prefix}a`, `${prefix}b`)
      const run = stack.nextRun()
      const backupId = await sealBackup(stack.clients, { run, fence })
      let isKilled = false
      stack.s3Front.faults = [() => (isKilled ? s3Error(403, 'AccessDenied') : undefined)]
      const kill = async () => {
        isKilled = true
        throw new Error('killed')
      }
      const asked = { run, fence, backupId, preserve: [], unsupportedTypes: [] }
      await expect(wipeCache(stack.clients, asked, kill)).rejects.toThrow('killed')
      stack.s3Front.faults = []
      await redis.set(`${prefix}a`, 'came after it')
      // What the try had quarantined came before its deletion.
      await redis.set(`${reservedPrefix(prefix, 'aside')}${prefix}b`, 'later')
      expect(await wipe({ run, backupId })).toMatchObject({
        ...{ late: 1, left: 0 },
        warnings: [
          { code: 'KeysCameBack', message: expect.stringMatching(/^1 cache key was .*: taskmaster:a$/) },
        ],
      })
      expect(await stack.keys()).toEqual([`${prefix}a`])
      expect(await restored(backupId)).toEqual({ [`${prefix}a`]: 'x', [`${prefix}b`]: 'later' })
    },
  )

  needsServerInFull(
    `a key that came since, of a type that no backup holds, stays and is named (needs redis-server) ${inFullForm}`,
    async () => {
      await set(`${prefix}a`)
      const { wiped, left } = await wipeAfter(() => redis.rpush(`${prefix}json`, 'x'), {
        onWipe: () => [listsAsJson],
      })
      expect(wiped).toMatchObject({
        ...{ keys: 1, late: 0, left: 0 },
        warnings: [{ code: 'KeyTypeUnsupported', message: expect.stringContaining(`${prefix}json`) }],
      })
      expect(left).toEqual([`${prefix}json`])
    },
  )

  needsServer(
    'a key whose value became one of a type that no backup holds stays and is named (needs redis-server)',
    async () => {
      await set(`${prefix}a`, `${prefix}b`)
      const toJson = async () => {
        await redis.del(`${prefix}b`)
        await redis.rpush(`${prefix}b`, 'x')
      }
      const { wiped, left, restored } = await wipeAfter(toJson, { onWipe: () => [listsAsJson] })
      expect(wiped).toMatchObject({
        ...{ keys: 1, late: 0, left: 0 },
        warnings: [{ code: 'KeyTypeUnsupported', message: expect.stringContaining(`${prefix}b`) }],
      })
      expect(left).toEqual([`${prefix}b`])
      expect(restored).toEqual({ [`${prefix}a`]: 'x', [`${prefix}b`]: 'x' })
    },
  )

  needsServer(
    'a key that is quarantined when the last pass ends has its name again, and is said to be left (needs redis-server)',
    async () => {
      await set(`${prefix}a`)
      const { wiped, left } = await wipeAfter(() => redis.set(`${prefix}a`, 'later'), {
        limits: { ...wipeLimits, passes: 1, quarantineFrom: 1 },
      })
      expect(wiped).toMatchObject({ keys: 0, late: 1, left: 1, warnings: [{ code: 'KeysLeft' }] })
      expect(left).toEqual([`${prefix}a`])
    },
  )

  needsServer(
    'a value of more elements than are compared is left, and said to be (needs redis-server)',
    async () => {
      await redis.sadd(`${prefix}large`, 'a', 'b', 'c', 'd')
      const { wiped, left } = await wipeAfter(async () => {}, {
        onWipe: () => [
          (commands) => {
            for (const command of commands)
              if (command[0] === 'EVAL') command[1] = command[1]!.replaceAll(String(comparedItems), '3')
            return undefined
          },
        ],
      })
      expect(wiped).toMatchObject({
        ...{ keys: 0, late: 0, left: 1 },
        warnings: [{ code: 'KeysLeft', message: expect.stringMatching(/too large to be compared.*large/) }],
      })
      expect(left).toEqual([`${prefix}large`])
    },
  )

  test('a key is not quarantined over one that is there already, and what is quarantined is not renamed again', async () => {
    const quarantine = reservedPrefix(prefix, 'aside')
    await redis.mset(`${quarantine}${prefix}a`, 'older', `${prefix}a`, 'newer', `${prefix}b`, 'x')
    const keys = [`${prefix}a`, `${quarantine}${prefix}a`, `${prefix}b`].map((key) => Buffer.from(key))
    const asked = { keys, expected: () => '', quarantine, keptTypes: [] }
    await adoptFence(stack.clients.cache, fence)
    const { fates } = await compareAndUnlink(stack.clients.cache, fence, asked)
    expect(keys.map((key) => fates.get(key))).toEqual(['changed', 'changed', 'renamed'])
    expect(await redis.mget(`${quarantine}${prefix}a`, `${prefix}a`, `${quarantine}${prefix}b`)).toEqual([
      ...['older', 'newer', 'x'],
    ])
  })

  needsServer(
    'a script that stops early, so that others are served, is asked for the rest (needs redis-server)',
    async () => {
      const binary = Buffer.concat([Buffer.from(prefix), Buffer.from([0xff, 0x80])])
      await set(`${prefix}a`, `${prefix}b`, `${prefix}c`)
      await redis.set(binary, 'x')
      front.faults = [
        (commands) => {
          for (const command of commands) if (command[0] === 'EVAL') command[command.indexOf('50000')] = '1'
          return undefined
        },
      ]
      const keys = [binary, ...['a', 'b', 'c'].map((name) => Buffer.from(prefix + name))]
      const asked = { keys, expected: () => '*', quarantine: null, keptTypes: [] }
      await adoptFence(stack.clients.cache, fence)
      front.seen = []
      const { fates } = await compareAndUnlink(stack.clients.cache, fence, asked)
      expect(keys.map((key) => fates.get(key))).toEqual(Array(4).fill('deleted'))
      expect(front.seen).toHaveLength(4)
    },
  )

  test.runIf(isFull)(
    `keys with long names go in several scripts, none of them longer than it may be ${inFullForm}`,
    async () => {
      const keys = Array.from({ length: 3 }, (_, n) => Buffer.from(`${prefix}${n}${'x'.repeat(600_000)}`))
      for (const key of keys) await redis.set(key, 'x')
      const asked = { keys, expected: () => '*', quarantine: null, keptTypes: [] }
      const { fates } = await compareAndUnlink(stack.clients.cache, fence, asked)
      expect([...fates.values()]).toEqual(Array(3).fill('deleted'))
      const lengths = front.seen.flat().map((command) => command.join('').length)
      expect(Math.max(...lengths)).toBeLessThan(2 ** 20)
    },
  )

  test('what was quarantined and not deleted gets its name back, unless that was taken, and twice is the same as once', async () => {
    const quarantine = quarantineBelow(prefix)
    const names = ['a', 'b', 'c'].map((name) => Buffer.from(prefix + name))
    const binary = Buffer.concat([Buffer.from(prefix), Buffer.from([0xff, 0x80])])
    for (const key of [...names.slice(0, 2), binary]) await redis.set(quarantine.keyOf(key), 'older')
    await redis.set(`${prefix}b`, 'newer')
    await adoptFence(stack.clients.cache, fence)
    const keys = [...names, binary].map(quarantine.keyOf)
    const expected = [`${prefix}a`, binary.toString()]
    for (const time of ['at first', 'again']) {
      const back = await release(stack.clients.cache, fence, { quarantine, keys })
      expect(back.map(String), time).toEqual(expected)
    }
    expect(await redis.mget(`${prefix}a`, `${prefix}b`, quarantine.keyOf(names[1]!))).toEqual([
      ...['older', 'newer', 'older'],
    ])
    expect(await redis.get(binary)).toBe('older')
  })

  const part = {
    ...{ shard: 0, pages: { from: 0, to: null }, rows: 0, fingerprint: '0', key: null, bytes: 0 },
    sha256: null,
  }
  const table = {
    ...{ name: 'app.t', schema: 'app', table: 't', oid: 1, columns: [], rows: 0, fingerprint: '0' },
    parts: [part],
  }
  const sequence = (lastValue: string) => ({
    ...{ name: 'app.s', schema: 'app', sequence: 's', lastValue, isCalled: true },
  })
  const database = {
    ...{
      serverVersion: '18.4',
      consistency: 'snapshot' as const,
      seed: '1',
      rows: 0,
      bytes: 0,
      tables: [table],
    },
    sequences: [sequence('5')],
  }

  test.runIf(isFull)(
    `what it adds stands beside what the database has added, and the ledger is told which file counts ${inFullForm}`,
    async () => {
      await set(`${prefix}a`)
      const run = stack.nextRun()
      const backupId = await sealBackup(stack.clients, { run, fence }, exportLimits, { database })
      const { backups, config, now } = stack.clients
      const ofDatabase = { tables: [{ name: 'app.t', parts: [part] }], sequences: [sequence('7')] }
      let counts: Seen['late'] | undefined
      const befores: unknown[] = []
      const noting: Fence = {
        ...fenceOf(1),
        lateOf: async () => counts,
        replaceLate: async (late, before) => {
          befores.push(before)
          counts = late
        },
      }
      const keys = backupKeys(config.BACKUP_PREFIX, backupId)
      const note = async (late: Seen['late']) => {
        counts = late
      }
      const late = { keys, backupId, environment: 'local', version: 2 as const, now, note }
      await writeLate(backups, late, async () => ofDatabase)
      const first = counts
      await redis.set(`${prefix}a`, 'later')
      const asked = { run, fence: noting, backupId, preserve: [], unsupportedTypes: [] }
      expect(await wipeCache(stack.clients, asked, noProgress)).toMatchObject({ keys: 1, late: 1, left: 0 })
      expect(befores).toEqual([first])
      expect(counts?.attempt).toBe(2)
      expect(await getJson(backups, keys.late(2), Late)).toMatchObject({
        ...ofDatabase,
        cache: { added: 0, parts: [{ keys: 1 }] },
      })
    },
  )

  test.runIf(isFull)(
    `a ledger that holds nothing of late files is told that none counts, before any is written ${inFullForm}`,
    async () => {
      await set(`${prefix}a`)
      const run = stack.nextRun()
      const backupId = await sealBackup(stack.clients, { run, fence }, exportLimits, { database })
      await redis.set(`${prefix}a`, 'later')
      const told: unknown[] = []
      const noting = { ...fenceOf(1), replaceLate: async (...of: unknown[]) => void told.push(of) }
      const asked = { run, fence: noting, backupId, preserve: [], unsupportedTypes: [] }
      await wipeCache(stack.clients, asked, noProgress)
      expect(told).toEqual([
        [null, undefined],
        [expect.objectContaining({ attempt: 1 }), undefined],
      ])
      const keys = backupKeys(stack.clients.config.BACKUP_PREFIX, backupId)
      // Where sequences stand is said by the late file alone, when there is one.
      expect((await getJson(stack.storage, keys.late(1), Late)).sequences).toEqual(database.sequences)
    },
  )

  test('a backup that was not sealed, or holds no cache, does not cover it', async () => {
    await set(`${prefix}a`)
    const refused = (message: RegExp) => ({
      name: 'BackupIncomplete',
      message: expect.stringMatching(message),
    })
    await expect(wipe({ backupId: laterId })).rejects.toMatchObject(
      refused(/is not sealed.*No key was changed/),
    )
    const run = stack.nextRun()
    const backupId = await sealBackup(stack.clients, { run, fence }, exportLimits, { cache: null })
    await expect(wipe({ run, backupId })).rejects.toMatchObject(refused(/was made without the cache/))
    expect(await stack.keys()).toEqual([`${prefix}a`])
  })

  test('a backup of another run does not cover it', async () => {
    await set(`${prefix}a`)
    const backupId = await sealBackup(stack.clients, { run: stack.nextRun(), fence })
    await expect(wipe({ backupId })).rejects.toMatchObject({ name: 'BackupDamaged' })
    expect(await stack.keys()).toEqual([`${prefix}a`])
  })

  needsServerInFull(
    `while 200 keys are written all the time, no acknowledged write is lost (needs redis-server) ${inFullForm}`,
    async () => {
      const keys = Array.from({ length: 200 }, (_, n) => `${prefix}busy:${n}`)
      for (const key of keys) await redis.sadd(key, `${key} at first`)
      const acknowledged: string[] = keys.map((key) => `${key} at first`)
      let writing = true
      const writers = [1, 2, 3].map(async (writer) => {
        for (let n = 0; writing; n++) {
          const key = keys[(n * 7 + writer) % keys.length]!
          const token = `${key} by ${writer}, ${n}`
          await redis.sadd(key, token)
          acknowledged.push(token)
        }
      })
      const run = stack.nextRun()
      const backupId = await sealBackup(stack.direct, { run, fence })
      const wiped = await wipe({ run, backupId }, stack.direct)
      writing = false
      await Promise.all(writers)
      const held = new Set<string>()
      for (const key of await stack.keys()) for (const token of await redis.smembers(key)) held.add(token)
      for (const tokens of Object.values(await restored(backupId)))
        for (const token of tokens as string[]) held.add(token)
      expect(acknowledged.filter((token) => !held.has(token))).toEqual([])
      expect(wiped).toMatchObject({ keys: 200, left: 0 })
      expect(wiped.late).toBeGreaterThan(0)
    },
  )
})

describe('a run that is over deletes nothing', () => {
  test('a request of it that was on its way when a later run began is refused by the server', async () => {
    await many(10)
    const [first, second] = [fenceOf(1), fenceOf(2)]
    const run = stack.nextRun()
    const backupId = await sealBackup(stack.clients, { run, fence: first })
    const data = { run, fence: first, backupId, preserve: [], unsupportedTypes: [] }
    await adoptFence(stack.direct.cache, first)
    let held = false
    front.faults = [
      async (commands) => {
        if (held || !commands.some((command) => command.some((part) => part.includes('UNLINK'))))
          return undefined
        held = true
        first.lost = new RunLost('the run is over')
        await exportCache(
          stack.direct,
          { run: stack.nextRun(), backupId: laterId, fence: second },
          noProgress,
        )
        return undefined
      },
    ]
    await expect(wipeCache(stack.clients, data, noProgress)).rejects.toMatchObject({ name: 'RunLost' })
    expect(held).toBe(true)
    expect(await stack.keys()).toHaveLength(10)
  })

  test('a fence that was evicted is written again by the run that holds the lock', async () => {
    await many(10)
    let evictions = 0
    front.faults = [
      async () => {
        if (evictions++ < 3) await redis.del(fenceKey)
        return undefined
      },
    ]
    expect(await wipe()).toMatchObject({ keys: 10, left: 0 })
    expect(await redis.get(fenceKey)).toBe('1')
  })

  test('one whose number is taken by another environment all the time is told why', async () => {
    await many(2)
    front.faults = [
      async () => {
        await redis.set(fenceKey, '77')
        return undefined
      },
    ]
    await expect(wipe()).rejects.toMatchObject({
      name: 'RunLost',
      message: expect.stringContaining(fenceKey),
    })
    expect(await stack.keys()).toHaveLength(2)
  })
})

const laterId = '2026-11-23T00-00-00Z-000000'

async function findLateOf(backupId: string): Promise<number | null> {
  return (await readBackup(stack.storage, stack.clients.config.BACKUP_PREFIX, backupId)).late
}
