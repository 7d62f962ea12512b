import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Candidate,
  decideRetention,
  type Policy,
  protectionsOf,
} from '../../lib/backup/retention/retention.ts'

const now = new Date('2026-11-22T12:00:00Z')
const dayMs = 86_400_000

/** A backup by the time at which it was sealed; its id is that time unless it has to be another one. */
function sealed(sealedAt: string, about: Partial<Candidate> = {}): Candidate {
  const backupId = `${new Date(sealedAt).toISOString().slice(0, 19).replaceAll(':', '-')}Z-000000`
  return {
    backupId,
    strategy: 'full',
    isSigned: true,
    sealedAt,
    rehearsedAt: null,
    unproved: false,
    pinned: false,
    running: false,
    ...about,
  }
}

/** As `golden` tables have it: a line per backup, newest first, `+` for one that stays. */
function decided(backups: Candidate[], policy: Policy): string[] {
  const times = new Map(backups.map(({ backupId, sealedAt }) => [backupId, sealedAt]))
  return decideRetention(backups, policy, now).map(
    ({ backupId, keep, reasons }) =>
      `${keep ? '+' : '-'} ${times.get(backupId)?.slice(0, 16)} ${reasons.join('; ')}`,
  )
}

const kept = (backups: Candidate[], policy: Policy) =>
  decideRetention(backups, policy, now)
    .filter(({ keep }) => keep)
    .map(({ backupId }) => backupId)

const daily = (count: number, time = '03:00:00Z') =>
  Array.from({ length: count }, (_, index) => {
    const day = new Date(now.getTime() - index * dayMs).toISOString().slice(0, 10)
    return sealed(`${day}T${time}`)
  })

describe('retention', () => {
  test('keeps the last N', () => {
    expect(decided(daily(4), { last: 2 })).toEqual([
      '+ 2026-11-22T03:00 the newest full backup; number 1 of the last 2 (full)',
      '+ 2026-11-21T03:00 number 2 of the last 2 (full)',
      '- 2026-11-20T03:00 not among the last 2 (full)',
      '- 2026-11-19T03:00 not among the last 2 (full)',
    ])
  })

  test('counts what was uploaded by itself: it takes the place of no backup, and a person may delete the newest', () => {
    const uploaded = sealed('2026-11-22T11:00:00Z', { isImported: true, rehearsedAt: '2026-11-22T11:00:00Z' })
    const pinned = sealed('2026-11-22T11:30:00Z', { isImported: true, pinned: true })
    const backups = [uploaded, pinned, ...daily(2)]
    expect(decided(backups, { last: 1 })).toEqual([
      '+ 2026-11-22T11:30 pinned; number 1 of the last 1 (imported full)',
      '- 2026-11-22T11:00 not among the last 1 (imported full)',
      '+ 2026-11-22T03:00 the newest full backup; number 1 of the last 1 (full)',
      '- 2026-11-21T03:00 not among the last 1 (full)',
    ])
    expect([...protectionsOf(backups, now).values()]).toEqual([['pinned'], ['the newest full backup']])
  })

  test('keeps what runs took that the ledger does not know, which takes the place of nothing; a person may delete all but the newest', () => {
    const at = (time: string) =>
      sealed(`2026-11-22T${time}:00Z`, { isUnknown: true, rehearsedAt: `2026-11-22T${time}:00Z` })
    const backups = [at('11:00'), at('10:00'), ...daily(2)]
    const unknown =
      'of a run that is not in this ledger: the database was brought back to an earlier moment, or is a copy of another that backs up here as well. It takes no place; delete it by hand'
    expect(decided(backups, { last: 1 })).toEqual([
      `+ 2026-11-22T11:00 the newest full backup; the newest rehearsed full backup; ${unknown}; number 1 of the last 1 (full)`,
      `+ 2026-11-22T10:00 ${unknown}`,
      '+ 2026-11-22T03:00 the newest own full backup; number 1 of the last 1 (own full)',
      '- 2026-11-21T03:00 not among the last 1 (own full)',
    ])
    expect([...protectionsOf(backups, now).values()]).toEqual([
      ['the newest full backup', 'the newest rehearsed full backup'],
      ['the newest own full backup'],
    ])
  })

  test('keeps the newest of each day, for N days that have a backup', () => {
    const backups = [
      sealed('2026-11-22T09:00:00Z'),
      sealed('2026-11-22T03:00:00Z'),
      sealed('2026-11-20T23:59:59.999Z'),
      sealed('2026-11-20T00:00:00Z'),
      sealed('2026-11-19T23:59:59Z'),
      sealed('2026-11-18T03:00:00Z'),
    ]
    expect(decided(backups, { daily: 3 })).toEqual([
      '+ 2026-11-22T09:00 the newest full backup; the newest full backup of the day 2026-11-22, 1 of 3',
      '- 2026-11-22T03:00 not the newest full backup of the day 2026-11-22',
      '+ 2026-11-20T23:59 the newest full backup of the day 2026-11-20, 2 of 3',
      '- 2026-11-20T00:00 not the newest full backup of the day 2026-11-20',
      '+ 2026-11-19T23:59 the newest full backup of the day 2026-11-19, 3 of 3',
      '- 2026-11-18T03:00 the day 2026-11-18 is not among the last 3 with a full backup',
    ])
  })

  test('keeps the newest of each ISO week, for N weeks that have a backup', () => {
    const backups = [
      sealed('2026-01-04T23:59:00Z'), // Sunday of 2026-W01
      sealed('2025-12-29T00:00:00Z'), // Monday of 2026-W01, in the year before
      sealed('2025-12-28T12:00:00Z'), // Sunday of 2025-W52
      sealed('2025-12-15T12:00:00Z'), // 2025-W51
      sealed('2021-01-03T12:00:00Z'), // Sunday of 2020-W53
    ]
    expect(decided(backups, { weekly: 2 })).toEqual([
      '+ 2026-01-04T23:59 the newest full backup; the newest full backup of the week 2026-W01, 1 of 2',
      '- 2025-12-29T00:00 not the newest full backup of the week 2026-W01',
      '+ 2025-12-28T12:00 the newest full backup of the week 2025-W52, 2 of 2',
      '- 2025-12-15T12:00 the week 2025-W51 is not among the last 2 with a full backup',
      '- 2021-01-03T12:00 the week 2020-W53 is not among the last 2 with a full backup',
    ])
  })

  test('keeps what any of the limits keeps', () => {
    expect(decided(daily(10), { last: 1, daily: 2, weekly: 2 })).toEqual([
      '+ 2026-11-22T03:00 the newest full backup; number 1 of the last 1 (full); the newest full backup of the day 2026-11-22, 1 of 2; the newest full backup of the week 2026-W47, 1 of 2',
      '+ 2026-11-21T03:00 the newest full backup of the day 2026-11-21, 2 of 2',
      ...['20', '19', '18', '17', '16'].map(
        (day) =>
          `- 2026-11-${day}T03:00 not among the last 1 (full); the day 2026-11-${day} is not among the last 2 with a full backup; not the newest full backup of the week 2026-W47`,
      ),
      '+ 2026-11-15T03:00 the newest full backup of the week 2026-W46, 2 of 2',
      ...['14', '13'].map(
        (day) =>
          `- 2026-11-${day}T03:00 not among the last 1 (full); the day 2026-11-${day} is not among the last 2 with a full backup; not the newest full backup of the week 2026-W46`,
      ),
    ])
  })

  test('never lets the newest, the newest rehearsed, pinned ones and those of active runs go', () => {
    const backups = [
      sealed('2026-11-22T03:00:00Z'),
      sealed('2026-11-21T03:00:00Z', { running: true }),
      sealed('2026-11-20T03:00:00Z', { rehearsedAt: '2026-11-20T03:01:00Z' }),
      sealed('2026-11-19T03:00:00Z', { rehearsedAt: '2026-11-19T03:01:00Z' }),
      sealed('2026-11-18T03:00:00Z', { pinned: true, running: true }),
      sealed('2026-11-17T03:00:00Z'),
    ]
    expect(decided(backups, { last: 1 })).toEqual([
      '+ 2026-11-22T03:00 the newest full backup; number 1 of the last 1 (full)',
      '+ 2026-11-21T03:00 an active run needs it',
      '+ 2026-11-20T03:00 the newest rehearsed full backup',
      '- 2026-11-19T03:00 not among the last 1 (full)',
      '+ 2026-11-18T03:00 pinned; an active run needs it',
      '- 2026-11-17T03:00 not among the last 1 (full)',
    ])
  })

  test('lets one that warns NotProved be the newest rehearsed, beside the newest of which nothing is left to prove', () => {
    const backups = [
      sealed('2026-11-22T03:00:00Z'),
      sealed('2026-11-21T03:00:00Z', { rehearsedAt: '2026-11-21T03:01:00Z', unproved: true }),
      sealed('2026-11-20T03:00:00Z', { rehearsedAt: '2026-11-20T03:01:00Z', unproved: true }),
      sealed('2026-11-19T03:00:00Z', { rehearsedAt: '2026-11-19T03:01:00Z' }),
      sealed('2026-11-18T03:00:00Z', { rehearsedAt: '2026-11-18T03:01:00Z' }),
    ]
    expect(decided(backups, { last: 1 })).toEqual([
      '+ 2026-11-22T03:00 the newest full backup; number 1 of the last 1 (full)',
      '+ 2026-11-21T03:00 the newest rehearsed full backup',
      '- 2026-11-20T03:00 not among the last 1 (full)',
      '+ 2026-11-19T03:00 the newest rehearsed full backup without the warning NotProved',
      '- 2026-11-18T03:00 not among the last 1 (full)',
    ])
  })

  test('an empty or missing limit is never read as zero: without a limit everything stays', () => {
    for (const policy of [{}, { last: undefined }, { last: 0 }, { daily: Number.NaN }, { weekly: -3 }]) {
      expect(decided(daily(3), policy)).toEqual([
        '+ 2026-11-22T03:00 the newest full backup; no retention is set',
        '+ 2026-11-21T03:00 no retention is set',
        '+ 2026-11-20T03:00 no retention is set',
      ])
    }
    expect(kept(daily(5), { last: 0, daily: 2 })).toHaveLength(2)
  })

  test('fewer backups than the limit are all kept', () => {
    expect(kept(daily(2), { last: 7, daily: 14, weekly: 8 })).toHaveLength(2)
    expect(decideRetention([], { last: 7 }, now)).toEqual([])
  })

  test('a single pin stops nothing else', () => {
    const backups = [...daily(3), sealed('2026-01-01T00:00:00Z', { pinned: true })]
    expect(kept(backups, { last: 1 })).toEqual(['2026-11-22T03-00-00Z-000000', '2026-01-01T00-00-00Z-000000'])
  })

  test('a date in the future pushes no real backup out', () => {
    const backups = [
      sealed('2099-01-01T00:00:00Z', { rehearsedAt: '2099-01-01T00:00:00Z' }),
      sealed('2026-11-23T13:00:00Z', { backupId: 'clock-is-wrong' }),
      sealed('2026-11-23T11:00:00Z'),
      sealed('2026-11-21T03:00:00Z'),
      sealed('2026-11-20T03:00:00Z', { rehearsedAt: '2026-11-20T03:01:00Z' }),
    ]
    expect(decided(backups, { last: 1 })).toEqual([
      '+ 2099-01-01T00:00 sealed at 2099-01-01 00:00:00 UTC, which is not yet: kept, and not counted',
      '+ 2026-11-23T13:00 sealed at 2026-11-23 13:00:00 UTC, which is not yet: kept, and not counted',
      '+ 2026-11-23T11:00 the newest full backup; number 1 of the last 1 (full)',
      '- 2026-11-21T03:00 not among the last 1 (full)',
      '+ 2026-11-20T03:00 the newest rehearsed full backup',
    ])
  })

  test('what is no time is kept and not counted', () => {
    const backups = [...daily(2), { ...sealed('2026-11-01T00:00:00Z'), sealedAt: 'soon' }]
    expect(kept(backups, { last: 1 })).toEqual(['2026-11-01T00-00-00Z-000000', '2026-11-22T03-00-00Z-000000'])
  })

  test('sorts by the time, not by the name', () => {
    const backups = [
      sealed('2026-11-20T03:00:00Z', { backupId: 'z-oldest' }),
      sealed('2026-11-22T03:00:00Z', { backupId: 'a-newest' }),
      sealed('2026-11-21T23:30:00-02:00', { backupId: 'm-middle' }), // 01:30 of the 22nd in UTC
    ]
    expect(kept(backups, { last: 2 })).toEqual(['a-newest', 'm-middle'])
  })

  test('two backups of the same second are two', () => {
    const backups = ['a', 'b', 'c'].map((id) =>
      sealed('2026-11-22T03:00:00Z', { backupId: `2026-11-22T03-00-00Z-${id}` }),
    )
    expect(decided(backups, { last: 2 })).toHaveLength(3)
    expect(kept(backups, { last: 2 })).toEqual(['2026-11-22T03-00-00Z-c', '2026-11-22T03-00-00Z-b'])
  })

  test('backups of one strategy do not take the places of another', () => {
    const hourly = Array.from({ length: 12 }, (_, hour) =>
      sealed(`2026-11-22T${String(hour).padStart(2, '0')}:30:00Z`, { strategy: 'cache-only' }),
    )
    const full = [sealed('2026-11-21T03:00:00Z'), sealed('2026-11-20T03:00:00Z')]
    expect(decided([...hourly, ...full], { last: 1 }).filter((line) => line.startsWith('+'))).toEqual([
      '+ 2026-11-22T11:30 the newest cache-only backup; number 1 of the last 1 (cache-only)',
      '+ 2026-11-21T03:00 the newest full backup; number 1 of the last 1 (full)',
    ])
  })
})

describe('for any backups and limits', () => {
  const candidates = fc.uniqueArray(
    fc.record({
      backupId: fc.string({ minLength: 1, maxLength: 8 }),
      strategy: fc.constantFrom('full', 'cache-only'),
      isSigned: fc.constant(true),
      // Few enough times that days, weeks and seconds are shared; some of them lie in the future.
      sealedAt: fc
        .integer({ min: -60 * 24, max: 5 * 24 })
        .map((hours) => new Date(now.getTime() + hours * 3_600_000).toISOString()),
      rehearsedAt: fc.option(fc.constant('2026-11-22T00:00:00Z')),
      unproved: fc.boolean(),
      pinned: fc.boolean(),
      running: fc.boolean(),
    }),
    { selector: ({ backupId }) => backupId, maxLength: 40 },
  )
  const limit = fc.option(fc.integer({ min: 0, max: 12 }), { nil: undefined })
  const policies = fc.record({ last: limit, daily: limit, weekly: limit })
  const isReal = ({ sealedAt }: Candidate) => new Date(sealedAt).getTime() <= now.getTime() + dayMs
  const time = ({ sealedAt }: Candidate) => new Date(sealedAt).getTime()
  const newest = (backups: Candidate[]) => Math.max(...backups.map(time))

  test('each backup is decided once, with a reason, newest first', () => {
    fc.assert(
      fc.property(candidates, policies, (backups, policy) => {
        const decisions = decideRetention(backups, policy, now)
        expect(decisions.map(({ backupId }) => backupId).sort()).toEqual(
          backups.map(({ backupId }) => backupId).sort(),
        )
        for (const { reasons } of decisions) expect(reasons.length).toBeGreaterThan(0)
        const times = decisions.map(({ backupId }) => time(backups.find((one) => one.backupId === backupId)!))
        expect(times).toEqual(times.toSorted((a, b) => b - a))
      }),
    )
  })

  test('of each strategy the newest, the newest rehearsed, and always pinned, running and future ones stay', () => {
    fc.assert(
      fc.property(candidates, policies, (backups, policy) => {
        const stays = new Set(kept(backups, policy))
        for (const one of backups) {
          if (one.pinned || one.running || !isReal(one)) expect(stays).toContain(one.backupId)
        }
        for (const group of Map.groupBy(backups.filter(isReal), ({ strategy }) => strategy).values()) {
          const rehearsed = group.filter(({ rehearsedAt }) => rehearsedAt !== null)
          const proved = rehearsed.filter(({ unproved }) => !unproved)
          for (const some of [group, rehearsed, proved].filter(({ length }) => length > 0)) {
            const first = some.filter((one) => time(one) === newest(some))
            expect(first.some(({ backupId }) => stays.has(backupId))).toBe(true)
          }
        }
      }),
    )
  })

  test('a higher limit never lets go what a lower one keeps', () => {
    fc.assert(
      fc.property(
        candidates,
        policies,
        fc.constantFrom('last', 'daily', 'weekly'),
        fc.integer({ min: 1, max: 12 }),
        (backups, policy, which, more) => {
          const low = { ...policy, [which]: policy[which] || 1 }
          const high = { ...low, [which]: (low[which] ?? 0) + more }
          expect(kept(backups, high)).toEqual(expect.arrayContaining(kept(backups, low)))
        },
      ),
    )
  })

  test('what is not signed changes nothing for what is, and is judged beside it as if all were', () => {
    fc.assert(
      fc.property(candidates, candidates, policies, (backups, others, policy) => {
        const strange = others.map((one) => ({
          ...one,
          backupId: `strange ${one.backupId}`,
          isSigned: false,
        }))
        const all = kept([...backups, ...strange], policy)
        expect(all.filter((id) => !id.startsWith('strange'))).toEqual(kept(backups, policy))
        const alike = kept([...backups, ...strange.map((one) => ({ ...one, isSigned: true }))], policy)
        const ofStrange = (ids: string[]) => ids.filter((id) => id.startsWith('strange'))
        expect(ofStrange(all)).toEqual(ofStrange(alike))
        const ids = (protections: Map<string, string[]>) =>
          [...protections.keys()].filter((id) => !id.startsWith('strange')).sort()
        expect(ids(protectionsOf([...backups, ...strange], now))).toEqual(ids(protectionsOf(backups, now)))
      }),
    )
  })

  test('what runs took that the ledger does not know changes nothing for the others, and all of it stays', () => {
    fc.assert(
      fc.property(candidates, candidates, policies, (backups, others, policy) => {
        const unknown = others.map((one) => ({
          ...one,
          backupId: `unknown ${one.backupId}`,
          isUnknown: true,
        }))
        const all = kept([...backups, ...unknown], policy)
        expect(all.filter((id) => !id.startsWith('unknown'))).toEqual(kept(backups, policy))
        expect(all.filter((id) => id.startsWith('unknown'))).toHaveLength(others.length)
        const own = [...protectionsOf([...backups, ...unknown], now).keys()].filter(
          (id) => !id.startsWith('unknown'),
        )
        expect(own.sort()).toEqual([...protectionsOf(backups, now).keys()].sort())
      }),
    )
  })

  test('the order of the input does not matter', () => {
    fc.assert(
      fc.property(candidates, policies, fc.infiniteStream(fc.nat()), (backups, policy, seeds) => {
        const weights = new Map(backups.map((one) => [one, seeds.next().value as number]))
        const shuffled = backups.toSorted((a, b) => weights.get(a)! - weights.get(b)!)
        expect(decideRetention(shuffled, policy, now)).toEqual(decideRetention(backups, policy, now))
      }),
    )
  })

  test('repeating it on what was kept lets nothing more go', () => {
    fc.assert(
      fc.property(candidates, policies, (backups, policy) => {
        const stays = new Set(kept(backups, policy))
        const left = backups.filter(({ backupId }) => stays.has(backupId))
        expect(new Set(kept(left, policy))).toEqual(stays)
      }),
    )
  })

  test('pinning one backup lets no other go', () => {
    fc.assert(
      fc.property(candidates, policies, fc.nat(), (backups, policy, which) => {
        fc.pre(backups.length > 0)
        const pinned = backups.map((one, index) =>
          index === which % backups.length ? { ...one, pinned: true } : one,
        )
        expect(kept(pinned, policy)).toEqual(expect.arrayContaining(kept(backups, policy)))
      }),
    )
  })
})
