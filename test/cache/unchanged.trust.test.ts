import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readBackup } from '../../lib/backup/read.ts'
import { type CacheResult, exportCache, exportLimits } from '../../lib/cache/export/export.ts'
import { environmentKey } from '../../lib/cache/keys.ts'
import { diffCache } from '../../lib/cache/restore/difference.ts'
import { restoreCache, restoreLimits } from '../../lib/cache/restore/restore.ts'
import { comparedItems } from '../../lib/cache/value/digest.ts'
import { inFullForm, isFull, rounds, tried } from '../support/trust.ts'
import { backupId, fence, noProgress, prefix, startCache } from './cache-stack.ts'
import { snapshot } from './rebuild.ts'
import { type RestFault, withoutExpiryTime } from './rest-front.ts'
import { sealBackup } from './sealed.ts'

const stack = await startCache()
const { redis, front, clients } = stack
const needsServer = test.skipIf(stack.mock)
const needsServerInFull = test.runIf(isFull && !stack.mock)
const later = Date.now() + 3_600_000

/** So small that a value of a few elements is several lines, and written in several steps. */
const smallExport = {
  ...exportLimits,
  ...{
    pageItems: 4,
    answerBytes: 40_000,
    lineBytes: 60,
    pieceBytes: 40,
    largePieceBytes: 50,
    partBytes: 2_000,
  },
}
const small = { ...restoreLimits, requestBytes: 400, pageKeys: 3, commandItems: 4, scanKeys: 50, lines: 7 }

const named = (name: string) => `${prefix}${name}`
const backUp = (limits = exportLimits) =>
  exportCache(clients, { run: stack.nextRun(), backupId, fence }, noProgress, limits)

/** Backs up what is there, lets something happen, and restores. */
async function restore(
  { parts }: Pick<CacheResult, 'parts'>,
  { limits = restoreLimits, exact = true, faults = [] as RestFault[], change = async () => {} } = {},
) {
  const run = stack.nextRun()
  const safetyBackupId = await sealBackup(clients, { run, fence })
  await change()
  await redis.config('RESETSTAT')
  front.seen = []
  front.faults = faults
  const result = await restoreCache(clients, { run, fence, safetyBackupId, parts, exact }, noProgress, limits)
  front.faults = []
  return { result, safetyBackupId }
}

/** Whether a request looks at the keys that are there; it is the only one that asks for counters. */
const isLook = (commands: string[][]) => commands.some((command) => command.includes('counters'))

/** The commands that changed something since the last restore began, also those inside scripts, by the server's own count. */
async function changing(): Promise<string[]> {
  const counted = await redis.info('commandstats')
  const names = [...counted.matchAll(/^cmdstat_([a-z]+)[:|]/gm)].map(([, name]) => name ?? '')
  const told = (await redis.call('COMMAND', 'INFO', ...names)) as [string, number, string[]][]
  return told.filter(([, , flags]) => flags.includes('write')).map(([name]) => name)
}

/** Values of all types, small ones and such as are several lines of a small export. */
async function writeAll(): Promise<void> {
  for (const [size, count] of [
    ['small', 2],
    ['large', 30],
  ] as const) {
    const some = Array.from({ length: count }, (_, n) => `element ${n}`)
    await redis.set(named(`${size} string`), some.join())
    await redis.set(named(`${size} expiring`), some.join(), 'PXAT', later)
    await redis.rpush(named(`${size} list`), ...some)
    await redis.sadd(named(`${size} set`), ...some)
    await redis.hset(named(`${size} hash`), ...some.flatMap((field) => [field, 'x']))
    await redis.zadd(named(`${size} zset`), ...some.flatMap((member, score) => [score / 7, member]))
    for (const n of some.keys()) await redis.xadd(named(`${size} stream`), `${n + 1}-1`, 'n', n)
    await redis.xgroup('CREATE', named(`${size} stream`), 'workers', '1-1')
    if (stack.expiresFields)
      await redis.call('HPEXPIREAT', named(`${size} hash`), later, 'FIELDS', '1', 'element 0')
  }
  await redis.set(named('empty'), '')
  await redis.set(Buffer.from([...Buffer.from(prefix), 0xff, 0x00]), Buffer.from([0xfe, 0x00]))
  await redis.pexpireat(named('large list'), later)
}

needsServer(
  'an unchanged cache is restored without writing a key, whatever the keys hold (needs redis-server)',
  async () => {
    await writeAll()
    const keys = await redis.dbsize()
    for (const [exporting, limits] of [
      [exportLimits, restoreLimits],
      [smallExport, small],
    ] as const) {
      const backup = await backUp(exporting)
      const before = await snapshot(redis)
      const { result } = await restore(backup, { limits })
      expect(result).toMatchObject({ keys: 0, unchanged: keys, extra: 0, warnings: [] })
      expect(await changing()).toEqual([])
      expect(await snapshot(redis)).toEqual(before)
    }
  },
)

needsServer(
  'a key of which only the expiry, the counts of a stream or its consumers differ is told as changed and is written; one that cannot be compared is written, too (needs redis-server)',
  async () => {
    const stream = async (name: string, change: (key: string) => Promise<unknown> = async () => {}) => {
      const key = named(name)
      await redis.xadd(key, '1-1', 'a', 'b')
      await redis.xgroup('CREATE', key, 'workers', '1-1')
      return () => change(key)
    }
    const changes = [
      await stream('added', (key) =>
        redis.call('XSETID', key, '1-1', 'ENTRIESADDED', 7, 'MAXDELETEDID', '0-0'),
      ),
      await stream('deleted', (key) =>
        redis.call('XSETID', key, '1-1', 'ENTRIESADDED', 1, 'MAXDELETEDID', '0-5'),
      ),
      await stream('read', (key) => redis.call('XGROUP', 'SETID', key, 'workers', '1-1', 'ENTRIESREAD', 1)),
      await stream('consumed', (key) => redis.xgroup('CREATECONSUMER', key, 'workers', 'me')),
    ]
    await stream('stream')
    await redis.mset(named('a'), '1', named('timed'), '1', named('b'), '1')
    await redis.set(named('longer'), '1', 'PXAT', later)
    await redis.set(named('for ever'), '1', 'PXAT', later)
    await redis.sadd(named('large'), 1, 2, 3, 4, 5)
    const backup = await backUp()
    const before = await snapshot(redis)
    for (const change of changes) await change()
    await redis.pexpireat(named('timed'), later)
    await redis.pexpireat(named('longer'), later + 1)
    await redis.persist(named('for ever'))
    const onlyThree: RestFault = (commands) => {
      for (const command of commands)
        if (command[0] === 'EVAL') command[1] = command[1]?.replaceAll(String(comparedItems), '3') ?? ''
      return undefined
    }
    const told = await diffCache(clients, { held: { ...backup, prefix } }, noProgress)
    expect(told).toMatchObject({ changed: 7, missing: 0, extra: 0 })
    // A set of five is too large to be compared; the step leaves it, for it may have changed since the safety backup.
    const { result } = await restore(backup, { faults: [onlyThree] })
    expect(result).toMatchObject({ keys: 7, unchanged: 3, changedMeanwhile: 1 })
    expect(await snapshot(redis)).toEqual(before)
    expect(await redis.call('XINFO', 'CONSUMERS', named('consumed'), 'workers')).toEqual([])
  },
)

needsServer(
  'a key that expires later than numbers can tell exactly is backed up and restored to expire at the last moment that they can (needs redis-server)',
  async () => {
    await redis.set(named('string'), '1')
    await redis.sadd(named('set'), '1')
    for (const name of ['string', 'set'])
      await redis.call('PEXPIREAT', named(name), String(2n ** 63n - 1_000n))
    const backup = await backUp()
    expect((await restore(backup)).result).toMatchObject({ keys: 0, unchanged: 2, extra: 0 })
    const gone = { change: async () => void (await redis.del(named('string'), named('set'))) }
    expect((await restore(backup, gone)).result).toMatchObject({ keys: 2, unchanged: 0 })
    for (const name of ['string', 'set'])
      expect(await redis.call('PEXPIRETIME', named(name))).toBe(Number.MAX_SAFE_INTEGER)
  },
)

needsServerInFull(
  `a million elements of one byte are lines that can be read (needs redis-server) ${inFullForm}`,
  async () => {
    const thousand = `local a = {} for i = 1, 1000 do a[i] = '1' end for i = 1, 1000 do redis.call('RPUSH', KEYS[1], unpack(a)) end`
    await redis.eval(thousand, 1, named('list'))
    const { result } = await restore(await backUp())
    expect(result).toMatchObject({ keys: 0, unchanged: 1 })
  },
)

needsServerInFull(
  `where the server does not tell when keys expire, all are written (needs redis-server) ${inFullForm}`,
  async () => {
    front.faults = [withoutExpiryTime]
    await redis.mset(named('a'), '1', named('b'), '1')
    const backup = await backUp()
    await redis.pexpireat(named('b'), later)
    const { result } = await restore(backup, { faults: [withoutExpiryTime] })
    expect(result).toMatchObject({ keys: 2, unchanged: 0 })
    expect(await redis.pttl(named('b'))).toBe(-1)
  },
)

needsServer(
  'what changes behind the look stays where it was as in the backup, and where it was not is in the safety backup before it goes (needs redis-server)',
  async () => {
    const names = ['same', 'gone', 'other', 'back']
    await redis.mset(...names.flatMap((name) => [named(name), 'first']))
    const backup = await backUp()
    await redis.mset(named('other'), 'second', named('back'), 'second')
    let looks = 0
    const after: RestFault = async (commands, forward) => {
      if (!isLook(commands) || looks++ > 0) return undefined
      const answer = await forward()
      await redis.mset(named('same'), 'third', named('other'), 'third', named('back'), 'first')
      await redis.del(named('gone'))
      return answer
    }
    const { result, safetyBackupId } = await restore(backup, { faults: [after] })
    expect(result).toMatchObject({ keys: 2, unchanged: 2, changedMeanwhile: 0, extra: 0, deleted: 0 })
    expect(await redis.mget(names.map(named))).toEqual(['third', null, 'first', 'first'])
    const { cache } = await readBackup(clients.backups, clients.config.BACKUP_PREFIX, safetyBackupId)
    const lines = await stack.linesOf({ parts: cache?.parts ?? [] } as unknown as CacheResult)
    const safe = Object.fromEntries(lines.map(({ key, value }) => [key, value]))
    expect(safe).toEqual({
      [named('same')]: 'first',
      [named('gone')]: 'first',
      [named('other')]: 'third',
      [named('back')]: 'second',
    })
  },
)

needsServerInFull(
  `a look takes one command for a thousand keys, so that an unchanged cache takes as many as one that is written anew (needs redis-server) ${inFullForm}`,
  async () => {
    for (let n = 0; n < 6_000; n += 2_000)
      await redis.mset(Array.from({ length: 2_000 }, (_, m) => [named(`${n + m}`), `value ${m}`]).flat())
    const backup = await backUp()
    const count = async (change: () => Promise<unknown>) => {
      const { result } = await restore(backup, { exact: false, change: async () => void (await change()) })
      const scripts = front.seen.flat().filter(([name]) => name === 'EVAL')
      const looks = scripts.filter((command) => isLook([command])).length
      return { keys: result.keys, unchanged: result.unchanged, looks, writes: scripts.length - looks }
    }
    const nothing = await count(async () => {})
    const tenth = await count(() =>
      redis.mset(Array.from({ length: 600 }, (_, n) => [named(`${10 * n}`), 'changed']).flat()),
    )
    const all = await count(() => redis.flushall())
    const writes = { nothing: nothing.writes, tenth: tenth.writes, all: all.writes }
    tried('scripts that write, of a restore of 6,000 strings of which so many changed', writes)
    expect(nothing).toEqual({ keys: 0, unchanged: 6_000, looks: 6, writes: 0 })
    expect(tenth).toMatchObject({ keys: 600, unchanged: 5_400, looks: 6 })
    expect(all).toMatchObject({ keys: 6_000, unchanged: 0, looks: 6 })
  },
)

type Change = [name: string, ...args: (string | number)[]]

/** Changes of three keys for each type: what one of another type refuses changes nothing. */
function someChanges(least: number, most: number): fc.Arbitrary<Change[]> {
  const word = fc.constant
  const keyOf = (type: string) => fc.integer({ min: 1, max: 3 }).map((n) => named(`key, ${type} ${n}`))
  const key = fc.constantFrom('string', 'list', 'set', 'hash', 'zset', 'stream').chain(keyOf)
  const item = fc.integer({ min: 0, max: 12 }).map((n) => 'item '.repeat(n % 4) + n)
  const items = fc.array(item, { minLength: 1, maxLength: 12, size: 'max' })
  const id = fc.integer({ min: 1, max: 6 }).map((n) => `${n}-1`)
  const group = fc.constantFrom('one', 'two')
  const moment = fc.constantFrom(later, later + 1, later + 60_000)
  type Argument = fc.Arbitrary<string | number | (string | number)[]>
  const on = (name: string, of: Argument, ...args: Argument[]) =>
    fc.tuple(of, ...args).map((given): Change => [name, ...given.flat()])
  const pairs = (pairOf: (one: string) => (string | number)[]) => items.map((some) => some.flatMap(pairOf))
  const [list, set, hash, zset, stream] = ['list', 'set', 'hash', 'zset', 'stream'].map(keyOf) as Argument[]
  const onGroup = (name: string, ...args: Argument[]) =>
    fc.tuple(stream!, group, ...args).map((given): Change => ['XGROUP', name, ...given.flat()])
  const numbers = [word('ENTRIESADDED'), fc.integer({ min: 6, max: 8 }), word('MAXDELETEDID'), id]
  const changes = [
    on('SET', key, item),
    on('APPEND', keyOf('string'), item),
    on('DEL', key),
    on('PERSIST', key),
    on('PEXPIREAT', key, moment),
    on('RPUSH', list!, items),
    on('LPOP', list!),
    on('SADD', set!, items),
    on('SREM', set!, item),
    on(
      'HSET',
      hash!,
      pairs((one) => [one, one.length]),
    ),
    on('HDEL', hash!, item),
    ...(stack.expiresFields ? [on('HPEXPIREAT', hash!, moment, word('FIELDS'), word(1), item)] : []),
    on(
      'ZADD',
      zset!,
      pairs((one) => [one.length / 7, one]),
    ),
    on('ZREM', zset!, item),
    on('XADD', stream!, id, word('a'), item),
    on('XADD', stream!, id, word('a'), item),
    on('XDEL', stream!, id),
    on('XSETID', stream!, id, ...numbers),
    onGroup('CREATE', id),
    onGroup('SETID', id),
    onGroup('SETID', id, word('ENTRIESREAD'), fc.integer({ min: 1, max: 2 })),
    onGroup('CREATECONSUMER', word('me')),
    onGroup('DELCONSUMER', word('me')),
    fc
      .tuple(stream!, group)
      .map(([of, name]): Change => ['XREADGROUP', 'GROUP', name, 'me', 'STREAMS', ...[of].flat(), '>']),
  ]
  return fc.array(fc.oneof(...changes), { minLength: least, maxLength: most, size: 'max' })
}

/** All that a command can tell of each key, by its name in hex. */
async function stateOfAll(): Promise<Record<string, { consumers: number }>> {
  const states: Record<string, { consumers: number }> = {}
  for (const [hex, told] of Object.entries(await snapshot(redis))) {
    const key = Buffer.from(hex, 'hex')
    if (key.toString() === environmentKey) continue
    const groups = told.type === 'stream' ? ((await redis.call('XINFO', 'GROUPS', key)) as unknown[][]) : []
    const of = (group: unknown[], name: string) => Number(group[group.indexOf(name) + 1])
    const consumers = groups.reduce((sum, group) => sum + of(group, 'consumers') + of(group, 'pending'), 0)
    const fields =
      told.type === 'hash' && stack.expiresFields ? (await redis.hkeysBuffer(key)).sort(Buffer.compare) : []
    const expiries =
      fields.length === 0 ? [] : await redis.call('HPEXPIRETIME', key, 'FIELDS', fields.length, ...fields)
    states[hex] = { ...told, consumers, ...{ expiries } }
  }
  return states
}

needsServerInFull(
  `leaves what a restore that writes all leaves, and writes no key that is as in the backup (needs redis-server) ${inFullForm}`,
  async () => {
    const apply = async (changes: readonly Change[]) => {
      for (const [name, ...args] of changes) await redis.call(name, ...args).catch(() => {})
    }
    const dumps = async () =>
      await Promise.all(
        (await redis.keysBuffer(`${prefix}key*`)).map(
          async (key) =>
            [key, await redis.dumpBuffer(key), Number(await redis.call('PEXPIRETIME', key))] as const,
        ),
      )
    /** The look finds none of the keys. */
    const blind: RestFault = (commands) => {
      if (!isLook(commands)) return undefined
      const answers = commands.map((command) => 'absent..........'.repeat(command.length - 5))
      const result = answers.map((answer) => ({ result: Buffer.from(answer).toString('base64') }))
      return { status: 200, body: JSON.stringify(result) }
    }
    const totals = { keys: 0, unchanged: 0 }
    await fc.assert(
      fc.asyncProperty(
        someChanges(20, 80),
        someChanges(0, 40),
        fc.constantFrom(exportLimits, smallExport),
        fc.constantFrom(restoreLimits, small),
        async (first, between, exporting, limits) => {
          await redis.flushall()
          await apply(first)
          const before = await stateOfAll()
          const backup = await backUp(exporting)
          await apply(between)
          const live = await stateOfAll()
          const dumped = await dumps()
          const { changed, missing } = await diffCache(clients, { held: { ...backup, prefix } }, noProgress)
          const { result } = await restore(backup, { limits })
          expect(result.keys).toBe(changed + missing)
          const byDifference = await stateOfAll()
          await redis.flushall()
          for (const [key, dump, expiresAt] of dumped)
            await redis.restore(key, Math.max(0, expiresAt), dump as Buffer, 'ABSTTL')
          expect(await stateOfAll()).toEqual(live)
          const { result: whole } = await restore(backup, { limits, faults: [blind] })
          expect(byDifference).toEqual(await stateOfAll())
          expect(whole).toEqual({ ...result, keys: result.keys + result.unchanged, unchanged: 0 })
          // A backup holds no consumers: a stream that has lost its own since then is as in the backup.
          const same = Object.entries(before).filter(
            ([key, state]) => JSON.stringify({ ...state, consumers: 0 }) === JSON.stringify(live[key]),
          )
          expect(result.unchanged).toBe(same.length)
          totals.keys += result.keys
          totals.unchanged += result.unchanged
        },
      ),
      { numRuns: rounds({ short: 10, full: 25 }) },
    )
    tried('keys of restores by difference', totals)
  },
)
