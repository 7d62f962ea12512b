import { describe, expect, test } from 'vitest'
import { environmentKey } from '../../lib/cache/keys.ts'
import { wipeCache, wipeLimits } from '../../lib/cache/wipe.ts'
import { noProgress, prefix, startCache } from './cache-stack.ts'
import { oddScan } from './odd-scan.ts'

const stack = await startCache()
const { redis, front } = stack
const needsServer = test.skipIf(stack.mock)

const set = (...keys: string[]) => redis.mset(...keys.flatMap((key) => [key, 'x']))
const many = (count: number) => set(...Array.from({ length: count }, (_, n) => `${prefix}${n}`))
const wipe = (
  { preserve = [] as string[], unsupportedTypes = [] as string[], run = stack.nextRun() } = {},
  clients = stack.clients,
  limits = wipeLimits,
) => wipeCache(clients, { run, preserve, unsupportedTypes }, noProgress, limits)

describe('wiping the cache', () => {
  test("deletes the keys of the prefix, and nobody else's", async () => {
    const others = ['taskmaster', 'taskmaster2:a', 'Taskmaster:a', 'other']
    await set(`${prefix}a`, `${prefix}b`, prefix, ...others)
    expect(await wipe()).toEqual({ keys: 3, left: 0, warnings: [] })
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
    expect(await wipe({ preserve: [`${prefix}session:*`, '*:[a]'] })).toMatchObject({ keys: 3, left: 0 })
    expect(await stack.keys()).toEqual([`${prefix}lock:a`, `${prefix}session:1`])
  })

  needsServer('types that the backup could not hold stay (needs redis-server)', async () => {
    await set(`${prefix}a`)
    await redis.rpush(`${prefix}list`, 'x')
    expect(await wipe({ unsupportedTypes: ['list', 'ReJSON-RL'] })).toEqual({
      keys: 1,
      left: 0,
      warnings: [],
    })
    expect(await stack.keys()).toEqual([`${prefix}list`])
  })

  needsServer(
    'keys that look like numbers or JSON, or hold what careless quoting loses, go (needs redis-server)',
    async () => {
      await set(
        ...[
          '123',
          '{"a": 1}',
          '["x"]',
          'null',
          '"',
          '\\',
          '\n',
          '\u2028',
          '',
          ' ',
          'é😀',
          'OK',
          '\u0000',
        ].map((key) => `${prefix}${key}`),
      )
      expect(await wipe()).toMatchObject({ keys: 13, left: 0 })
      expect(await stack.keys()).toEqual([])
    },
  )

  needsServer('keys that are no text go too, each by its bytes (needs redis-server)', async () => {
    const own = Buffer.from(prefix)
    const binary = Array.from({ length: 2_500 }, (_, n) =>
      Buffer.concat([own, Buffer.from([0xff, 0x80, n >> 8, n & 255])]),
    )
    // What careless decoding would turn a binary key into.
    const other = Buffer.from('\ufffd\ufffd')
    for (const key of binary) redis.set(key, 'x')
    await redis.set(other, 'x')
    await set(`${prefix}text`)
    expect(await wipe()).toEqual({ keys: 2_501, left: 0, warnings: [] })
    expect(await stack.keys()).toEqual(['\ufffd\ufffd'])
  })

  test("SCAN's empty pages, duplicates and cursors of 64 bits leave no key behind", async () => {
    await many(300)
    front.faults = [oddScan()]
    expect(await wipe()).toEqual({ keys: 300, left: 0, warnings: [] })
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
    expect(await wipe()).toEqual({ keys: 100, left: 0, warnings: [] })
    expect(await stack.keys()).toEqual([])
  })

  test('what is written while it runs goes too', async () => {
    await many(10)
    let late = 0
    front.faults = [
      async (commands) => {
        if (commands.some(([name]) => name === 'UNLINK') && late < 3) await set(`${prefix}late${late++}`)
        return undefined
      },
    ]
    expect(await wipe()).toEqual({ keys: 13, left: 0, warnings: [] })
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
    front.faults = [
      async (commands, forward) => {
        for (const command of commands)
          if (command[0] === 'UNLINK') command.splice(0, command.length, 'EXISTS', 'absent')
        return await forward()
      },
    ]
    expect(await wipe()).toMatchObject({ keys: 0, left: 5, warnings: [{ code: 'KeysLeft' }] })
  })

  test('an UNLINK that fails is an error, not a smaller number', async () => {
    await many(5)
    front.faults = [
      (commands) =>
        commands.some(([name]) => name === 'UNLINK')
          ? { status: 200, body: JSON.stringify(commands.map(() => ({ error: 'NOPERM no' }))) }
          : undefined,
    ]
    await expect(wipe()).rejects.toMatchObject({
      name: 'StoreUnavailable',
      message: expect.stringContaining('NOPERM'),
    })
  })

  test('a repeat finds the result and deletes nothing again', async () => {
    await many(5)
    const run = stack.nextRun()
    const first = await wipe({ run })
    await set(`${prefix}late`)
    expect(await wipe({ run })).toEqual(first)
    expect(await stack.keys()).toEqual([`${prefix}late`])
  })

  test('the wipe repeated after it was cut off counts the keys of both tries', async () => {
    await many(300)
    const run = stack.nextRun()
    const limits = { ...wipeLimits, pageKeys: 10 }
    const told: number[] = []
    const cutOff = async (done: number) => {
      told.push(done)
      if (done > 100) throw new Error('cut off')
    }
    await expect(
      wipeCache(stack.clients, { run, preserve: [], unsupportedTypes: [] }, cutOff, limits),
    ).rejects.toThrow('cut off')
    const left = (await stack.keys()).length
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThan(200)
    expect(await wipe({ run }, stack.clients, limits)).toEqual({ keys: 300, left: 0, warnings: [] })
  })

  test('a lost answer deletes nothing twice and leaves nothing', async () => {
    await many(50)
    let lost = 0
    front.faults = [
      async (commands, forward) => {
        if (!commands.some(([name]) => name === 'UNLINK') || lost++ > 0) return undefined
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
    expect(front.seen[1]?.map(([name]) => name)).toEqual(['UNLINK', 'SCAN'])
  })

  needsServer('100,000 keys (needs redis-server)', async () => {
    for (let n = 0; n < 10; n++) await set(...Array.from({ length: 10_000 }, (_, m) => `${prefix}${n}:${m}`))
    await set('other')
    expect(await wipe({}, stack.direct)).toEqual({ keys: 100_000, left: 0, warnings: [] })
    expect(await stack.keys()).toEqual(['other'])
  })
})
