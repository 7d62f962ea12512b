import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { getJson } from '../../lib/backup/documents/read.ts'
import { workKeys } from '../../lib/backup/layout.ts'
import { CacheResult, exportCache, exportLimits, unsupportedTypes } from '../../lib/cache/export/export.ts'
import { KeyTally } from '../../lib/cache/findings.ts'
import { environmentKey } from '../../lib/cache/keys.ts'
import { readStrings } from '../../lib/cache/value/read-strings.ts'
import { readStreamState } from '../../lib/cache/value/stream.ts'
import { inFullForm, isFull, rounds } from '../support/trust.ts'
import { anyKeys, oddTexts } from './any-keys.ts'
import { backupId, bytesOf, fence, noProgress, prefix, smallExport, startCache } from './cache-stack.ts'
import { oddScan, oddScript } from './odd-scan.ts'
import { rebuild, snapshot } from './rebuild.ts'
import { type RestFault, readsStrings, withoutExpiryTime, withoutStrings } from './rest-front.ts'

const stack = await startCache()
const { redis, front } = stack
const needsServer = test.skipIf(stack.mock)
const needsServerInFull = test.runIf(isFull && !stack.mock)

const small = { ...smallExport, partBytes: 100_000 }

const run = (clients = stack.clients, limits = exportLimits) =>
  exportCache(clients, { run: stack.nextRun(), backupId, fence }, noProgress, limits)

const binary = Buffer.from([0xff, 0, 0x80, 10, 0x22, 0x5c, 0xc3, 0x28])

/** Exports, empties Redis, writes what was exported, and expects to find everything as it was. */
async function expectRoundTrip(limits = exportLimits): Promise<CacheResult> {
  const before = await snapshot(redis)
  const result = await run(stack.withPrefix('*'), limits)
  const lines = await stack.linesOf(result)
  await redis.flushall()
  await rebuild(redis, lines)
  const after = await snapshot(redis)
  for (const [key, { expiresAt, ...value }] of Object.entries(before)) {
    const found = after[key]
    expect(found, key).toMatchObject(value)
    expect(found?.expiresAt, `expiry of ${key}`).toBe(expiresAt)
  }
  expect(Object.keys(after).sort()).toEqual(Object.keys(before).sort())
  return result
}

describe('the export of the cache', () => {
  needsServer(
    'long strings are not taken into the script that leaves them out (needs redis-server)',
    async () => {
      const { pieceBytes } = exportLimits
      for (let index = 0; index < 20; index++) await redis.set(`long${index}`, Buffer.alloc(pieceBytes))
      await redis.set('short', Buffer.alloc(pieceBytes - 1))
      const { cache } = stack.clients
      const keys = ['short', ...Array.from({ length: 20 }, (_, index) => `long${index}`)].map((key) =>
        Buffer.from(key),
      )
      await redis.config('RESETSTAT')
      const most = pieceBytes
      const { strings, others } = await readStrings(cache, keys, {
        exactExpiry: false,
        most,
        maxBytes: 2 ** 24,
      })
      expect([strings.size, others.length]).toEqual([1, 20])
      const calls = [...(await redis.info('commandstats')).matchAll(/cmdstat_get:calls=(\d+)/g)]
      expect(calls.reduce((sum, [, count]) => sum + Number(count), 0)).toBe(1)
    },
  )

  needsServer(
    'a key of every type survives export byte for byte, with its expiry (needs redis-server)',
    async () => {
      await redis.set('string', 'text')
      await redis.set('empty', '')
      await redis.set('binary', binary)
      await redis.set(binary, 'a key that is no text')
      await redis.set('expires', 'soon', 'PX', 100_000)
      await redis.rpush('list', 'c', 'a', 'a', '', binary)
      await redis.sadd('set', 'a', '', binary)
      await redis.hset('hash', 'field', 'value', binary, binary, '', '')
      await redis.call(
        'ZADD',
        'zset',
        '0.1',
        'a',
        '-inf',
        'b',
        'inf',
        binary,
        '1e300',
        'd',
        '3',
        'e',
        '-0.30000000000000004',
        'f',
      )
      await redis.call('XADD', 'stream', '1-1', 'field', 'value', binary, binary)
      await redis.call('XADD', 'stream', '1-18446744073709551615', 'a', 'b')
      await redis.call('XADD', 'stream', '5-0', 'a', 'b')
      for (const type of ['list', 'set', 'hash', 'zset', 'stream']) await redis.pexpire(type, 50_000)
      expect(await expectRoundTrip()).toMatchObject({ keys: 10, vanished: 0, warnings: [], unsupported: [] })
    },
  )

  needsServer(
    'keys that look like numbers or JSON, or hold what careless quoting loses, keep their names and values (needs redis-server)',
    async () => {
      for (const text of oddTexts) await redis.set(`${prefix}${text}`, text)
      const lines = await stack.linesOf(await run())
      expect(new Map(lines.map(({ key, value }) => [key, value]))).toEqual(
        new Map(oddTexts.map((text) => [`${prefix}${text}`, text])),
      )
      expect(lines[0]).toEqual({
        key: expect.any(String),
        type: 'string',
        value: expect.any(String),
        expiresAt: null,
      })
    },
  )

  needsServerInFull(`any keys and values survive (needs redis-server) ${inFullForm}`, async () => {
    await fc.assert(
      fc.asyncProperty(
        anyKeys,
        fc.constantFrom(exportLimits, small),
        fc.boolean(),
        async (entries, limits, slow) => {
          await redis.flushall()
          front.faults = slow ? [withoutStrings] : []
          for (const [key, { command, args }] of entries)
            await redis.call(command, key, ...(args as Buffer[]))
          expect((await expectRoundTrip(limits)).keys).toBe(entries.length)
        },
      ),
      { numRuns: rounds({ short: 7, full: 20 }) },
    )
  })

  test("only keys of the prefix are exported, preserved or not, and never the environment's own", async () => {
    await redis.mset(
      `${prefix}a`,
      '1',
      `${prefix}session:1`,
      '2',
      'taskmaster2:b',
      '3',
      environmentKey,
      'staging',
    )
    const lines = await stack.linesOf(await run())
    expect(lines.map(({ key }) => key).sort()).toEqual([`${prefix}a`, `${prefix}session:1`])
  })

  const faulty = [
    ['', [withoutStrings, oddScan()]],
    [', also those that a script asks for', [oddScript]],
  ] as const
  for (const [how, fault] of faulty.slice(0, isFull ? undefined : 1))
    test(`each key once, over SCAN's empty pages, duplicates and cursors of 64 bits${how}`, async () => {
      const keys = Array.from({ length: 300 }, (_, n) => `${prefix}${n}`)
      await redis.mset(...keys.flatMap((key) => [key, key]))
      front.faults = [...fault]
      const result = await run()
      expect(result).toMatchObject({ keys: 300, parts: [{ keys: 300 }] })
      expect((await stack.linesOf(result)).map(({ key }) => key).sort()).toEqual([...keys].sort())
    })

  for (const [server, faults] of [
    ['', []],
    [', also of a server that tells only how long it has', [withoutExpiryTime]],
  ] as const)
    needsServer(
      `an expiry is never later than it was, and earlier by the time of one question at most${server} (needs redis-server)`,
      async () => {
        await redis.set(`${prefix}a`, 'x', 'PX', 3_600_000)
        front.faults = [...faults]
        const begun = performance.now()
        const result = await run()
        const took = performance.now() - begun
        const [line] = await stack.linesOf(result)
        const early = Number(await redis.call('PEXPIRETIME', `${prefix}a`)) - (line?.expiresAt ?? 0)
        expect(early).toBeGreaterThanOrEqual(-1) // both times are rounded to milliseconds
        expect(early).toBeLessThanOrEqual(took + 1)
      },
    )

  test('a key that expires between the questions for its type and its time is left out and counted', async () => {
    await redis.mset(`${prefix}a`, '1', `${prefix}b`, '2')
    front.faults = [
      withoutStrings,
      async (commands, forward) => {
        const at = commands.findIndex(([name, key]) => name !== 'TYPE' && key === `${prefix}a`)
        if (!commands.some(([name]) => name === 'TYPE')) return undefined
        const answer = await forward()
        const body = JSON.parse(answer.body)
        body[at].result = -2
        return { ...answer, body: JSON.stringify(body) }
      },
    ]
    const result = await run()
    expect(result).toMatchObject({ keys: 1, vanished: 1 })
    expect((await stack.linesOf(result)).map(({ key }) => key)).toEqual([`${prefix}b`])
  })

  needsServer(
    'a key that vanishes between scan and reading is left out and counted (needs redis-server)',
    async () => {
      await redis.mset(`${prefix}a`, '1', `${prefix}b`, '2', `${prefix}c`, '3', `${prefix}d`, '')
      await redis.rpush(`${prefix}l`, 'x')
      let types = 0
      front.faults = [
        withoutStrings,
        async (commands, forward) => {
          if (commands.some(([name]) => name === 'TYPE') && types++ === 0) {
            await redis.del(`${prefix}a`)
            const answer = await forward()
            await redis.del(`${prefix}b`, `${prefix}l`)
            return answer
          }
          return undefined
        },
      ]
      const result = await run()
      expect(result).toMatchObject({ keys: 2, vanished: 3 })
      expect((await stack.linesOf(result)).map(({ key, value }) => [key, value]).sort()).toEqual([
        [`${prefix}c`, '3'],
        [`${prefix}d`, ''],
      ])
    },
  )

  needsServer(
    'a key that changes its type between looking and reading is read as what it is now (needs redis-server)',
    async () => {
      await redis.set(`${prefix}a`, 'text')
      let types = 0
      front.faults = [
        withoutStrings,
        async (commands, forward) => {
          if (!commands.some(([name]) => name === 'TYPE') || types++ > 0) return undefined
          const answer = await forward()
          await redis.del(`${prefix}a`)
          await redis.rpush(`${prefix}a`, 'x', 'y')
          return answer
        },
      ]
      const [line] = await stack.linesOf(await run())
      expect(line).toMatchObject({ type: 'list', value: ['x', 'y'] })
    },
  )

  needsServerInFull(
    `big collections and strings go in several lines, which together are the value (needs redis-server) ${inFullForm}`,
    async () => {
      const numbers = Array.from({ length: 2_000 }, (_, n) => `element ${n}`)
      for (const chunk of [numbers.slice(0, 1000), numbers.slice(1000)]) {
        await redis.rpush('list', ...chunk)
        await redis.sadd('set', ...chunk)
        await redis.hset('hash', ...chunk.flatMap((number) => [number, binary]))
        await redis.zadd('zset', ...chunk.flatMap((number, score) => [score / 7, number]))
      }
      for (const number of numbers.slice(0, 500)) await redis.call('XADD', 'stream', '*', 'field', number)
      await redis.set('string', Buffer.concat(Array.from({ length: 5_000 }, () => binary)))
      await redis.set('utf8', 'é'.repeat(10_001))
      await redis.set(Buffer.concat([Buffer.from('key'), binary]), 'x'.repeat(9_000))
      await redis.rpush('large elements', 'x'.repeat(200_000), 'y'.repeat(50_000), 'z')
      await redis.set('exactly one piece', 'x'.repeat(small.pieceBytes))
      const result = await expectRoundTrip(small)
      expect(result).toMatchObject({ keys: 10, vanished: 0, warnings: [] })
      const lines = await stack.linesOf(result)
      expect(
        lines
          .filter(({ key }) => key === 'hash')
          .map(({ part }) => part)
          .slice(0, 3),
      ).toEqual([1, 2, 3])
      expect(lines.filter(({ key }) => key === 'exactly one piece')).toMatchObject([
        { value: 'x'.repeat(small.pieceBytes) },
      ])
      expect(result.parts.length).toBeGreaterThan(3)
      expect(result.parts.reduce((sum, { keys }) => sum + keys, 0)).toBe(10)
    },
  )

  test.runIf(isFull)(
    `answers that would be too large together are asked for in smaller numbers ${inFullForm}`,
    async () => {
      for (let n = 0; n < 60; n++) await redis.set(`${prefix}${n}`, String(n).repeat(400))
      const limits = { ...small, pieceBytes: 10_000, answerBytes: 5_000 }
      // A value of 400 characters or more is one of 550 bytes or more in an answer: not ten of them fit.
      for (const { key, value } of await stack.linesOf(await run(stack.clients, limits)))
        expect(value).toBe(String(key).slice(prefix.length).repeat(400))
      expect(front.seen.filter(readsStrings).length).toBeGreaterThan(60 / 10)
      expect(front.seen.flat().filter(([name]) => name === 'GETRANGE')).toEqual([])

      front.seen = []
      front.faults = [withoutStrings]
      const lines = await stack.linesOf(await run(stack.clients, limits))
      expect(lines).toHaveLength(60)
      const reads = front.seen.map((commands) => commands.filter(([name]) => name === 'GETRANGE').length)
      const taken = reads.filter((count) => count > 0 && count < 10)
      expect(taken.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(60)
      for (const { key, value } of lines) expect(value).toBe(String(key).slice(prefix.length).repeat(400))
    },
  )

  test('of many strings one command brings type, value and expiry', async () => {
    const keys = Array.from({ length: 3_000 }, (_, n) => `${prefix}${n}`)
    await redis.mset(...keys.flatMap((key) => [key, `${key} is é`]))
    await redis.pexpire(`${prefix}7`, 100_000)
    const result = await run()
    expect(result).toMatchObject({ keys: 3_000, vanished: 0, warnings: [] })
    const lines = await stack.linesOf(result)
    for (const { key, value } of lines) expect(value).toBe(`${key} is é`)
    const [expiring, ...others] = lines.filter(({ expiresAt }) => expiresAt !== null)
    expect([expiring?.key, others]).toEqual([`${prefix}7`, []])
    expect(Math.abs((expiring?.expiresAt ?? 0) - Date.now() - 100_000)).toBeLessThan(60_000)
    // The fence's number, what the server knows, the scan, and two scripts.
    expect(front.seen.flat().length).toBeLessThan(10)
  })

  needsServer(
    'an answer that is not what the server sent is not believed, and its keys are read otherwise (needs redis-server)',
    async () => {
      await redis.set(`${prefix}a`, binary)
      await redis.set(`${prefix}b`, 'text')
      let spoilt = 0
      front.faults = [
        async (commands, forward) => {
          if (!readsStrings(commands)) return undefined
          const answer = await forward()
          const body = JSON.parse(answer.body)
          const text = Buffer.from(body[0].result[3], 'base64').toString('latin1')
          body[0].result.splice(3, 1, Buffer.from(text.replace('\xff', '?'), 'latin1').toString('base64'))
          spoilt++
          return { ...answer, body: JSON.stringify(body) }
        },
      ]
      const lines = await stack.linesOf(await run())
      expect(spoilt).toBe(2) // with the scan, and with the keys that it then found otherwise
      expect(lines.map(({ key, value }) => [key, bytesOf(value).toString('latin1')]).sort()).toEqual([
        [`${prefix}a`, binary.toString('latin1')],
        [`${prefix}b`, 'text'],
      ])
    },
  )

  test("Upstash's limit for one request or answer is no failure: less is asked for", async () => {
    for (let n = 0; n < 10; n++) await redis.set(`${prefix}${n}`, 'x')
    front.faults = [
      withoutStrings,
      (commands) => {
        const reads = commands.filter(([name]) => name === 'GETRANGE').length
        return reads > 3
          ? { status: 400, body: '{"error":"ERR max request size exceeded. Limit: 10 bytes"}' }
          : undefined
      },
    ]
    expect(await run()).toMatchObject({ keys: 10 })

    front.faults = [
      (commands) =>
        readsStrings(commands)
          ? { status: 400, body: '{"error":"ERR max request size exceeded. Limit: 10 bytes"}' }
          : undefined,
    ]
    expect(await run()).toMatchObject({ keys: 10 })
  })

  needsServer(
    'a large key that goes away while it is read in pieces is a warning (needs redis-server)',
    async () => {
      await redis.hset(`${prefix}h`, ...Array.from({ length: 4_000 }, (_, n) => `${n}`))
      let pages = 0
      front.faults = [
        async (commands) => {
          if (commands[0]?.[0] === 'HSCAN' && ++pages === 5) await redis.del(`${prefix}h`)
          return undefined
        },
      ]
      const torn = {
        keys: 1,
        warnings: [
          { code: 'KeysChangedWhileRead', message: expect.stringMatching(/^1 large .* was .*taskmaster:h$/) },
        ],
      }
      expect(await run(stack.clients, small)).toMatchObject(torn)

      // Or it has another type by then.
      await redis.hset(`${prefix}h`, ...Array.from({ length: 4_000 }, (_, n) => `${n}`))
      front.faults = [
        async (commands) => {
          if (commands[0]?.[0] === 'HSCAN' && ++pages === 10) await redis.set(`${prefix}h`, 'x')
          return undefined
        },
      ]
      pages = 5
      expect(await run(stack.clients, small)).toMatchObject(torn)
    },
  )

  needsServer(
    'an element that cannot be read alone ends the export and names its key; another refusal is told as it is (needs redis-server)',
    async () => {
      await redis.rpush(`${prefix}l`, ...Array.from({ length: 100 }, () => 'x'))
      for (const [reason, wanted] of [
        [
          'ERR max request size exceeded',
          /^A list in the cache at \S+ holds an element that is too large .*taskmaster:l$/,
        ],
        ['ERR broken', /refused LRANGE: ERR broken/],
      ] as const) {
        let asked = 0
        front.faults = [
          (commands) =>
            commands[0]?.[0] === 'LRANGE' && asked++ > 0
              ? { status: 200, body: JSON.stringify([{ error: reason }]) }
              : undefined,
        ]
        await expect(run(stack.clients, small), reason).rejects.toMatchObject({
          ...{ name: 'StoreUnavailable', message: expect.stringMatching(wanted) },
        })
        expect(asked).toBeLessThan(8)
      }
    },
  )

  test.runIf(isFull)(
    `fields of a hash that expire have their moment in the backup, and those that are gone are left out ${inFullForm}`,
    async () => {
      const fields = Array.from({ length: 1_200 }, (_, n) => `field ${n}`)
      await redis.hset(`${prefix}h`, ...fields.flatMap((field) => [field, 'x']))
      await redis.hset(`${prefix}plain`, 'a', 'x')
      const at = Date.now() + 100_000
      /** As a server answers on which they expire: of every third field, and every one of them that ends in 7 is gone. */
      const timeOf = (field: string) =>
        field.endsWith('7') ? -2 : field.endsWith('1') ? at + field.length : -1
      const asked: number[] = []
      front.faults = [
        async (commands, forward) => {
          const of = commands.map(([name, key, , , ...names]) =>
            name === 'HPEXPIRETIME' && key !== environmentKey ? names : null,
          )
          for (const names of of) if (names !== null) asked.push(names.length)
          const isTold = commands.some(([name]) => name === 'HPEXPIRETIME')
          if (!isTold) return undefined
          const answer = await forward()
          const body = JSON.parse(answer.body)
          for (const [index, names] of of.entries())
            if (names !== null) body[index] = { result: names.map(timeOf) }
          for (const [index, [name, key]] of commands.entries())
            if (name === 'HPEXPIRETIME' && key === environmentKey) body[index] = { result: [-2] }
          return { ...answer, body: JSON.stringify(body) }
        },
      ]
      for (const limits of [exportLimits, small]) {
        asked.length = 0
        const lines = await stack.linesOf(await run(stack.clients, limits))
        const items = lines.flatMap(({ key, value }) => (key === `${prefix}h` ? value : []))
        const kept = fields.filter((field) => !field.endsWith('7'))
        expect(items.sort()).toEqual(
          kept.map((field) => [field, 'x', ...(field.endsWith('1') ? [String(timeOf(field))] : [])]).sort(),
        )
        expect(lines.find(({ key }) => key === `${prefix}plain`)?.value).toEqual([['a', 'x']])
        expect(Math.max(...asked)).toBeLessThanOrEqual(1_000)
      }
    },
  )

  needsServer(
    'a server that does not say when fields expire fails the export, unless the key is of another type by then (needs redis-server)',
    async () => {
      await redis.hset(`${prefix}h`, 'a', 'x')
      const saying =
        (error: string): RestFault =>
        async (commands, forward) => {
          if (!commands.some(([name]) => name === 'HPEXPIRETIME')) return undefined
          const isFirst = commands.some(([, key]) => key === environmentKey)
          const answer = await forward()
          const body = JSON.parse(answer.body)
          for (const [index, [name]] of commands.entries())
            if (name === 'HPEXPIRETIME') body[index] = isFirst ? { result: [-2] } : { error }
          return { ...answer, body: JSON.stringify(body) }
        }
      front.faults = [saying('ERR broken')]
      await expect(run()).rejects.toThrow(/refused HPEXPIRETIME: ERR broken/)
      front.faults = [saying('WRONGTYPE Operation against a key')]
      expect((await stack.linesOf(await run()))[0]?.value).toEqual([['a', 'x']])
    },
  )

  needsServer(
    'what a server tells of a stream is taken as far as it tells it (needs redis-server)',
    async () => {
      const key = Buffer.from(`${prefix}s`)
      await redis.call('XADD', key, '1-1', 'a', 'b')
      await redis.call('XGROUP', 'CREATE', key, 'workers', '0')
      const without =
        (...names: string[]): RestFault =>
        async (_commands, forward) => {
          const answer = await forward()
          const hidden = names.map((name) => Buffer.from(name).toString('base64'))
          return {
            ...answer,
            body: hidden.reduce((body, name) => body.replaceAll(name, 'bm90aGluZw=='), answer.body),
          }
        }
      front.faults = [without('entries-added', 'max-deleted-entry-id', 'entries-read')] // Redis 6
      expect(await readStreamState(stack.clients.cache, key)).toEqual({
        state: {
          ...{ lastId: '1-1', entriesAdded: null, maxDeletedId: null },
          groups: [{ name: 'workers', lastDeliveredId: '0-0', entriesRead: null }],
        },
        pending: 0,
      })
      front.faults = [without('last-generated-id')]
      expect(await readStreamState(stack.clients.cache, key)).toBeNull()
      front.faults = [
        async (_commands, forward) => {
          const answer = await forward()
          return { ...answer, body: JSON.stringify([JSON.parse(answer.body)[0], { error: 'ERR no' }]) }
        },
      ]
      expect(await readStreamState(stack.clients.cache, key)).toBeNull()
    },
  )

  needsServer(
    'entries of a stream whose sequences no double can hold come once each, over several pages (needs redis-server)',
    async () => {
      const first = 2n ** 53n - 20n
      const ids = Array.from({ length: 120 }, (_, n) => `7-${first + BigInt(n)}`)
      ids.push('7-18446744073709551615', '8-0', '18446744073709551615-18446744073709551614')
      for (const id of ids) await redis.call('XADD', `${prefix}stream`, id, 'a', 'b')
      const lines = await stack.linesOf(await run(stack.clients, small))
      expect(lines.flatMap(({ value }) => value.map(([id]: [string]) => id))).toEqual(ids)
    },
  )

  test('a long name is cut between characters, and one that is no text is told in base64', () => {
    const found = new KeyTally()
    found.add(Buffer.from('😀'.repeat(300)))
    found.add(Buffer.from([0xff, 0xfe]))
    expect(found.names()).toBe(`${'😀'.repeat(200)}…, base64://4=`)
    expect(found.names().isWellFormed()).toBe(true)
    const many = new KeyTally()
    for (let n = 1; n <= 7; n++) many.add(Buffer.from(`${n}`))
    expect([many.count, many.names()]).toEqual([7, '1, 2, 3, 4, 5, …'])
  })

  test('keys of a type that cannot be backed up are named, and left out', async () => {
    await redis.mset(`${prefix}json`, '1', `${prefix}plain`, '2')
    front.faults = [
      withoutStrings,
      async (commands, forward) => {
        const at = commands.findIndex(([name, key]) => name === 'TYPE' && key === `${prefix}json`)
        if (at < 0) return undefined
        const answer = await forward()
        const body = JSON.parse(answer.body)
        body[at].result = Buffer.from('ReJSON-RL').toString('base64')
        return { ...answer, body: JSON.stringify(body) }
      },
    ]
    const ref = stack.nextRun()
    const result = await exportCache(stack.clients, { run: ref, fence, backupId }, noProgress)
    expect(result).toMatchObject({
      keys: 1,
      unsupported: ['ReJSON-RL'],
      warnings: [
        { code: 'KeyTypeUnsupported', message: expect.stringMatching(/^1 .*ReJSON-RL.*taskmaster:json$/) },
      ],
    })
    expect(await unsupportedTypes(stack.storage, ref)).toEqual(['ReJSON-RL'])
  })

  needsServer(
    'a key that has another type at every look ends the export, and says so (needs redis-server)',
    async () => {
      const key = `${prefix}a`
      await redis.set(key, 'x')
      front.faults = [
        withoutStrings,
        async (commands, forward) => {
          if (!commands.some(([name]) => name === 'TYPE')) return undefined
          const answer = await forward()
          const isText = (await redis.type(key)) === 'string'
          await redis.del(key)
          await (isText ? redis.rpush(key, 'x') : redis.set(key, 'x'))
          return answer
        },
      ]
      await expect(run()).rejects.toMatchObject({
        name: 'StoreUnavailable',
        message: expect.stringMatching(/^1 key of the cache at \S+ changed type 5 times/),
      })
    },
  )

  needsServer(
    'streams of which the server does not tell what they hold besides entries are a warning that names them (needs redis-server)',
    async () => {
      for (const name of ['s', 't']) await redis.call('XADD', `${prefix}${name}`, '*', 'a', 'b')
      front.faults = [
        async (commands, forward) => {
          const isAsked = commands.map((command) => command.includes('XINFO'))
          if (!isAsked.includes(true)) return undefined
          const answer = await forward()
          const body = JSON.parse(answer.body)
          for (const [at, is] of isAsked.entries()) if (is) body[at] = { error: 'ERR unknown command XINFO' }
          return { ...answer, body: JSON.stringify(body) }
        },
      ]
      expect(await run()).toMatchObject({
        keys: 2,
        warnings: [
          {
            code: 'ConsumerGroupsLeftOut',
            message: expect.stringMatching(
              / of 2 streams, so only the entries .*: taskmaster:[st], taskmaster:[st]$/,
            ),
          },
        ],
      })
    },
  )

  needsServerInFull(
    `entries that consumers took and did not acknowledge are a warning with their number, groups are not (needs redis-server) ${inFullForm}`,
    async () => {
      await redis.call('XADD', `${prefix}s`, '*', 'a', 'b')
      await redis.call('XGROUP', 'CREATE', `${prefix}s`, 'workers', '0')
      expect(await run()).toMatchObject({ keys: 1, warnings: [] })
      await redis.call('XADD', `${prefix}s`, '*', 'a', 'b')
      await redis.call('XREADGROUP', 'GROUP', 'workers', 'me', 'STREAMS', `${prefix}s`, '>')
      expect(await run()).toMatchObject({
        keys: 1,
        warnings: [
          {
            code: 'PendingEntriesLeftOut',
            message: expect.stringMatching(/^2 entries of 1 stream were taken/),
          },
        ],
      })
    },
  )

  test('an empty cache is an empty result, without parts', async () => {
    const exportedAt = expect.stringMatching(/Z$/)
    expect(await run()).toEqual({
      exportedAt,
      keys: 0,
      parts: [],
      vanished: 0,
      warnings: [],
      unsupported: [],
    })
  })

  test('a scan or a read that fails is an error, and leaves no result', async () => {
    await redis.set(`${prefix}a`, 'x')
    for (const failing of ['SCAN', 'TYPE', 'GETRANGE']) {
      const ref = stack.nextRun()
      front.faults = [
        withoutStrings,
        (commands) =>
          commands.some(([name]) => name === failing)
            ? { status: 200, body: JSON.stringify(commands.map(() => ({ error: 'ERR broken' }))) }
            : undefined,
      ]
      await expect(exportCache(stack.clients, { run: ref, fence, backupId }, noProgress)).rejects.toThrow(
        /ERR broken/,
      )
      await expect(unsupportedTypes(stack.storage, ref)).rejects.toMatchObject({ name: 'NotFound' })
    }
  })

  test('repeating it gives the first result, and reads nothing again', async () => {
    await redis.set(`${prefix}a`, 'x')
    const ref = stack.nextRun()
    const told: number[][] = []
    const data = { run: ref, fence, backupId, expected: 7 }
    const first = await exportCache(stack.clients, data, async (...numbers) => void told.push(numbers))
    expect(told).toEqual([
      [1, 7],
      [1, 1],
    ])
    await redis.set(`${prefix}b`, 'later')
    front.seen = []
    expect(await exportCache(stack.clients, data, noProgress)).toEqual(first)
    expect(front.seen).toEqual([])
    expect(await getJson(stack.storage, workKeys(ref).cacheResult, CacheResult)).toEqual(first)
  })

  test('an invocation that is overtaken by its repeat leaves what that has written, and gives it', async () => {
    await redis.set(`${prefix}a`, 'x')
    const data = { run: stack.nextRun(), fence, backupId }
    let repeated: CacheResult | undefined
    const overtaken = await exportCache(stack.clients, data, async () => {
      if (repeated !== undefined) return
      await redis.set(`${prefix}b`, 'later')
      repeated = await exportCache(stack.clients, data, noProgress)
    })
    expect(repeated?.keys).toBe(2)
    expect(overtaken).toEqual(repeated)
    expect(await getJson(stack.storage, workKeys(data.run).cacheResult, CacheResult)).toEqual(repeated)
  })

  test.runIf(isFull)(
    `parts are written beside those of an earlier try, never over them ${inFullForm}`,
    async () => {
      await redis.set(`${prefix}a`, 'x')
      const [first, second] = [await run(), await run()]
      expect(first.parts[0]?.key).not.toBe(second.parts[0]?.key)
      expect(await stack.linesOf(first)).toEqual(await stack.linesOf(second))
    },
  )

  needsServerInFull(`30,000 keys (needs redis-server) ${inFullForm}`, async () => {
    for (let n = 0; n < 30_000; n += 10_000) {
      await redis.mset(
        Array.from({ length: 10_000 }, (_, m) => [`${prefix}${n + m}`, `value ${n + m}`]).flat(),
      )
    }
    const result = await run(stack.direct)
    expect(result.keys).toBe(30_000)
    const lines = await stack.linesOf(result)
    expect(new Set(lines.map(({ key }) => key)).size).toBe(30_000)
    for (const { key, value } of lines.slice(0, 1000))
      expect(value).toBe(`value ${bytesOf(key).toString().slice(prefix.length)}`)
  })
})
