import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { budgetSettings, overspending, withinBudget } from '../../lib/database/locks/budget.ts'
import { triesWithin } from '../../lib/database/locks/tries.ts'
import { isOfTheRows } from '../../lib/database/savepoint.ts'
import { BackupIsStale, DatabaseBusy, StoreUnavailable } from '../../lib/errors.ts'
import type { Connection } from '../../lib/postgres/connection.ts'

describe('the tries to get all locks', () => {
  it.each([250, 5_000, 20_000, 60_000])('within %d ms', (milliseconds) => {
    const tries = triesWithin(milliseconds)
    const spent = tries.reduce((sum, { first, pause }) => sum + first + pause, 0)
    expect(spent).toBeGreaterThanOrEqual(milliseconds)
    // The last one may only overrun by what it began with.
    const last = tries.at(-1)!
    expect(spent - last.first - last.pause).toBeLessThan(milliseconds)
    for (const { first, each, others, pause } of tries) {
      // Less than the second after which a session that waits for us looks for deadlocks: it would be the one to end.
      expect(each).toBeLessThanOrEqual(50)
      expect(others).toBeLessThanOrEqual(900)
      expect(Math.max(first, pause)).toBeLessThanOrEqual(1_500)
      expect(Math.min(first, each, others, pause)).toBeGreaterThan(0)
    }
  })

  it('wait and pause for longer each time, so that a transaction of some seconds is waited for in few of them', () => {
    const tries = triesWithin(20_000)
    expect(tries.slice(0, 5).map(({ first, pause }) => [first, pause])).toEqual([
      [100, 50],
      [200, 100],
      [400, 200],
      [800, 400],
      [1_500, 800],
    ])
    expect(tries.length).toBeLessThan(14)
  })
})

describe('what is done under locks', () => {
  let now = 0
  beforeEach(() => {
    now = 0
    vi.spyOn(performance, 'now').mockImplementation(() => now)
  })
  afterEach(() => void vi.restoreAllMocks())

  /** A connection that answers at once, and what it was asked. */
  function answering() {
    const asked: string[] = []
    const query = async (text: string) => void asked.push(text)
    return { asked, connection: { query } as unknown as Connection }
  }

  it('is told to the server as its limit, and again as less when a tenth of it is spent', async () => {
    expect(budgetSettings({ LOCK_BUDGET_MS: 600_000 })).toBe(
      'SET LOCAL statement_timeout = 600000; SET LOCAL idle_in_transaction_session_timeout = 30000',
    )
    expect(budgetSettings({ LOCK_BUDGET_MS: 1_000 })).toContain('idle_in_transaction_session_timeout = 1000')
    const { asked, connection } = answering()
    const within = withinBudget(connection, { LOCK_BUDGET_MS: 100_000 })
    for (const moment of [9_000, 20_000, 25_000, 45_000]) {
      now = moment
      await within.query(`at ${moment}`)
    }
    expect(asked).toEqual([
      'at 9000',
      'SET LOCAL statement_timeout = 80000',
      'at 20000',
      'at 25000',
      'SET LOCAL statement_timeout = 55000',
      'at 45000',
    ])
  })

  it('is over when the server was told nothing for so long that it has given the tables back, and that is said', async () => {
    const { asked, connection } = answering()
    const within = withinBudget(connection, { LOCK_BUDGET_MS: 600_000 })
    now = 29_000
    await within.query('in time')
    now += 30_000
    const late = () => within.query('too late')
    expect(late).toThrow(DatabaseBusy)
    expect(late).toThrow(/told nothing for 30000 ms, so it has given them back after 30000 ms/)
    expect(asked).toEqual(['in time'])
  })

  it('is not over while a statement is under way, however long it takes', async () => {
    const answer = Promise.withResolvers<void>()
    const query = () => answer.promise
    const within = withinBudget({ query } as unknown as Connection, { LOCK_BUDGET_MS: 600_000 })
    const long = within.query('long')
    now = 59_000
    answer.resolve()
    await long
    expect(() => within.query('next')).not.toThrow()
  })

  it('ends in DatabaseBusy when its time was over, whatever broke then; what it found out stays what it is', () => {
    const budget = { LOCK_BUDGET_MS: 1_000 }
    const stale = new BackupIsStale('stale')
    const broken = new StoreUnavailable('broken')
    const cancelled = Object.assign(new Error('statement timeout'), { code: '57014' })
    expect(overspending(stale, budget, 2_000)).toBe(stale)
    expect(overspending(broken, budget, 999)).toBe(broken)
    expect(overspending(broken, budget, 1_000)).toBeInstanceOf(DatabaseBusy)
    expect(overspending(cancelled, budget, 10)).toBeInstanceOf(DatabaseBusy)
    expect(overspending(new Error('else'), budget, 10)).toMatchObject({ message: 'else' })
  })
})

it.each([
  [
    'rows and the application',
    ['22012', '23505', '23514', '42883', '21000', 'P0001', 'ZZ999', '0A000'],
    true,
  ],
  [
    'connections, transactions, locks, rights and the server',
    [
      ...['08006', '25006', '25P02', '28000', '40001', '40P01', '42501', '53100', '53200', '53300', '55P03'],
      ...['57014', '57P01', '58030', 'F0000', 'XX000', 'XX001'],
    ],
    false,
  ],
])('what speaks of %s is told apart by its code', (_, codes, expected) => {
  for (const code of codes)
    expect([code, isOfTheRows(Object.assign(new Error(), { code }))]).toEqual([code, expected])
  expect(isOfTheRows(new Error('without a code'))).toBe(false)
})
