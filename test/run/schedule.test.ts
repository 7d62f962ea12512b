import { describe, expect, it } from 'vitest'
import type { Schedule } from '../../lib/config/schedules.ts'
import { parseExpression } from '../../lib/run/schedule/expression.ts'
import { nextTimes, periodOf } from '../../lib/run/schedule/next-times.ts'
import { collisionsOf, parseSchedules, schedulesOf } from '../../lib/run/schedule/schedules.ts'
import { nextReset } from '../../lib/run/schedule/told.ts'

/** The next times, in UTC to the minute. */
function next(expression: string, timeZone: string, after: string, count = 3): string[] {
  return nextTimes({ expression, timeZone }, new Date(after), count).map((time) =>
    time.toISOString().replace(/:00\.000Z$/, 'Z'),
  )
}

describe('the next times of a schedule', () => {
  it.each([
    ['every night', 'cron(0 3 * * ? *)', ['2026-11-26T03:00Z', '2026-11-27T03:00Z', '2026-11-28T03:00Z']],
    [
      'every 20 minutes',
      'cron(0/20 * * * ? *)',
      ['2026-11-26T00:20Z', '2026-11-26T00:40Z', '2026-11-26T01:00Z'],
    ],
    [
      'working hours of a week',
      'cron(0 8-9 ? * MON-FRI *)',
      ['2026-11-26T08:00Z', '2026-11-26T09:00Z', '2026-11-27T08:00Z'],
    ],
    [
      'the last of a month',
      'cron(5 1 L * ? *)',
      ['2026-11-30T01:05Z', '2026-12-31T01:05Z', '2027-01-31T01:05Z'],
    ],
    [
      'the last Friday of a month',
      'cron(0 0 ? * 6L *)',
      ['2026-11-27T00:00Z', '2026-12-25T00:00Z', '2027-01-29T00:00Z'],
    ],
    [
      'the second Tuesday of a month',
      'cron(0 0 ? * TUE#2 *)',
      ['2026-12-08T00:00Z', '2027-01-12T00:00Z', '2027-02-09T00:00Z'],
    ],
    [
      'the working day next to the 15th',
      'cron(0 0 15W * ? *)',
      ['2026-12-15T00:00Z', '2027-01-15T00:00Z', '2027-02-15T00:00Z'],
    ],
    [
      'the working day next to the first, which stays in its month',
      'cron(0 0 1W 5,8 ? 2027)',
      ['2027-05-03T00:00Z', '2027-08-02T00:00Z'],
    ],
    [
      'the 29th of February',
      'cron(0 0 29 2 ? *)',
      ['2028-02-29T00:00Z', '2032-02-29T00:00Z', '2036-02-29T00:00Z'],
    ],
    ['a day that there is not', 'cron(0 0 30 2 ? *)', []],
    ['years that are over', 'cron(0 0 1 1 ? 2020-2022)', []],
    ['one time', 'at(2027-01-31T03:00:00)', ['2027-01-31T03:00Z']],
    ['one time that is over', 'at(2026-01-31T03:00:00)', []],
  ])('are told of %s: %s', (_, expression, times) => {
    expect(next(expression, 'UTC', '2026-11-26T00:00:00Z')).toEqual(times)
  })

  it('begin behind the given moment, and not at it', () => {
    expect(next('cron(0 3 * * ? *)', 'UTC', '2026-11-26T03:00:00Z', 1)).toEqual(['2026-11-27T03:00Z'])
    expect(next('cron(0 3 * * ? *)', 'UTC', '2026-11-26T02:59:59Z', 1)).toEqual(['2026-11-26T03:00Z'])
  })

  it.each([
    ['Europe/Berlin', '2026-03-28T12:00:00Z', ['2026-03-30T00:30Z', '2026-03-31T00:30Z']],
    ['America/New_York', '2026-03-07T12:00:00Z', ['2026-03-09T06:30Z', '2026-03-10T06:30Z']],
  ])(
    'leave out half past two in %s on the day when the clocks jump from two to three',
    (zone, after, times) => {
      expect(next('cron(30 2 * * ? *)', zone, after, 2)).toEqual(times)
    },
  )

  it.each([
    ['Europe/Berlin', '2026-10-24T12:00:00Z', ['2026-10-25T00:30Z', '2026-10-26T01:30Z']],
    ['America/New_York', '2026-10-31T06:30:00Z', ['2026-11-01T05:30Z', '2026-11-02T06:30Z']],
  ])('come once in %s in the hour that the clocks show twice', (zone, after, times) => {
    const hour = zone === 'Europe/Berlin' ? 2 : 1
    expect(next(`cron(30 ${hour} * * ? *)`, zone, after, 2)).toEqual(times)
  })

  it('follow clocks that are put back by half an hour, as those of Lord Howe are', () => {
    expect(next('cron(45 1 * * ? *)', 'Australia/Lord_Howe', '2026-04-03T20:00:00Z', 2)).toEqual([
      '2026-04-04T14:45Z', // shown twice: the first
      '2026-04-05T15:15Z',
    ])
    expect(next('cron(15 2 * * ? *)', 'Australia/Lord_Howe', '2026-10-02T20:00:00Z', 2)).toEqual([
      '2026-10-04T15:15Z', // not shown on the fourth
      '2026-10-05T15:15Z',
    ])
  })

  it('are those of the place, across the date line and where a day was left out', () => {
    expect(next('cron(0 3 * * ? *)', 'Pacific/Kiritimati', '2026-11-26T00:00:00Z', 1)).toEqual([
      '2026-11-26T13:00Z',
    ])
    expect(next('cron(0 3 * * ? *)', 'Pacific/Apia', '2011-12-29T12:00:00Z', 2)).toEqual([
      '2011-12-29T13:00Z',
      '2011-12-30T13:00Z',
    ])
  })

  it('are not known of a rate, which counts from when AWS made it; its period is', () => {
    expect(next('rate(6 hours)', 'UTC', '2026-11-26T00:00:00Z')).toEqual([])
    const after = new Date('2026-11-26T00:00:00Z')
    expect(periodOf({ expression: 'rate(6 hours)', timeZone: 'UTC' }, after)).toBe(360)
    expect(periodOf({ expression: 'cron(0 3 ? * MON-FRI *)', timeZone: 'UTC' }, after)).toBe(3 * 1440)
    for (const [expression, minutes] of [
      ['cron(0/15 9-16 ? * MON-FRI *)', 64.25 * 60], // from Friday 16:45 to Monday 9:00
      ['cron(* 0-4,6-23 * * ? *)', 61],
      ['cron(* * 1-3 * ? *)', 28 * 1440 + 1],
      ['cron(* * * * ? *)', 1],
      ['cron(0 0 29 2 ? *)', 2921 * 1440], // none in 2100
      ['cron(30 2 29 2 ? 2028)', null],
      ['cron(0 0 31 2 ? *)', null],
    ] as const)
      expect([expression, periodOf({ expression, timeZone: 'Europe/Berlin' }, after)]).toEqual([
        expression,
        minutes,
      ])
    expect(periodOf({ expression: 'at(2027-01-31T03:00:00)', timeZone: 'UTC' }, after)).toBe(null)
  })
})

describe('an expression', () => {
  it.each([
    '0 3 * * ? *',
    'cron(0 3 * * ?)',
    'cron(0 3 * * * *)',
    'cron(0 3 ? * ? *)',
    'cron(60 3 * * ? *)',
    'cron(0 3 * 13 ? *)',
    'cron(0 3 32 * ? *)',
    'cron(0 3 ? * FOO *)',
    'cron(0 3 ? * 6#6 *)',
    'cron(0 3 0W * ? *)',
    'cron(5-1 3 * * ? *)',
    'cron(0/0 3 * * ? *)',
    'cron(1/2/3 3 * * ? *)',
    'cron(-1 3 * * ? *)',
    'cron(, 3 * * ? *)',
    'rate(0 hours)',
    'rate(1 week)',
    'at(2027-02-29T03:00:00)',
    'at(2027-01-31T24:00:00)',
    'at(tomorrow)',
    `cron(${'0,'.repeat(50_000)}0 3 * * ? *) and more`,
  ])('that EventBridge Scheduler would not take is refused: %s', (text) => {
    expect(() => parseExpression(text)).toThrow(/cron|rate|at\(|minutes|hours|days|months|weekdays|years/)
  })
})

describe('the schedules', () => {
  const nightly: Schedule = {
    ...{ name: 'nightly', state: 'ENABLED', operation: 'reset', strategy: 'full' },
    ...{ expression: 'cron(0 3 * * ? *)', timeZone: 'Europe/Berlin' },
  }

  it('are refused by name where one of them could not be carried out', () => {
    const of = (change: Partial<Schedule>) => () =>
      schedulesOf({ ENVIRONMENT: 'staging', SCHEDULES: [{ ...nightly, ...change }] })
    expect(of({})()).toEqual([nightly])
    expect(of({ strategy: 'everything' })).toThrow(/SCHEDULES, "nightly": .*strategy/)
    expect(of({ expression: 'cron(0 3 * *)' })).toThrow(/SCHEDULES, "nightly": cron has six fields/)
    expect(of({ to: 'baseline' })()).toHaveLength(1)
    expect(() => parseSchedules('[{"name":"Nightly"}]', 'staging')).toThrow(/SCHEDULES is not a JSON array/)
  })
  it('are at most a hundred', () => {
    const many = (count: number) =>
      JSON.stringify(Array.from({ length: count }, (_, at) => ({ ...nightly, name: `n${at}` })))
    expect(parseSchedules(many(100), 'staging')).toHaveLength(100)
    expect(() => parseSchedules(many(101), 'staging')).toThrow(
      'SCHEDULES has 101 schedules, and at most 100 are taken',
    )
  })
  it('are asked for the next reset once in ten seconds, and again when it has begun', () => {
    let looks = 0
    const config = {
      ENVIRONMENT: 'staging',
      get SCHEDULES() {
        looks++
        return [nightly, { ...nightly, name: 'early', expression: 'cron(0 2 * * ? *)', timeZone: 'UTC' }]
      },
    }
    const at = (time: string) => nextReset(config, new Date(`2026-11-26T${time}Z`))
    expect(at('01:59:30')).toBe('2026-11-26T02:00:00.000Z')
    const once = looks
    expect(at('01:59:39')).toBe('2026-11-26T02:00:00.000Z')
    expect(looks).toBe(once)
    expect(at('01:59:55')).toBe('2026-11-26T02:00:00.000Z')
    expect(looks).toBe(2 * once)
    expect(at('02:00:00')).toBe('2026-11-27T02:00:00.000Z')
    expect(at('01:59:59')).toBe('2026-11-26T02:00:00.000Z') // the clock was put back
    expect(nextReset({ ...config, SCHEDULES: [] }, new Date())).toBeNull()
  })
  it('that begin at the same moment are told: of their runs one would be refused', () => {
    const hourly = { ...nightly, name: 'hourly', expression: 'cron(0 * * * ? *)' }
    const after = new Date('2026-11-26T12:00:00Z')
    const [collision, ...others] = collisionsOf([nightly, hourly], after)
    expect(collision).toMatch(/"nightly" and "hourly" both begin at 2026-11-27 02:00 UTC/)
    expect(others).toEqual([])
    expect(collisionsOf([nightly, { ...hourly, state: 'DISABLED' }], after)).toEqual([])
    expect(collisionsOf([nightly, { ...hourly, expression: 'cron(30 * * * ? *)' }], after)).toEqual([])
  })
})
