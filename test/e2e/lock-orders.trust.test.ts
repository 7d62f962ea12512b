import pg from 'pg'
import { expect, it } from 'vitest'
import { rounds, tried } from '../support/trust.ts'
import { quickReset, useResetStack, withVariables } from './reset-stack.ts'

const reset = useResetStack()
const resets = rounds({ short: 1, full: 12 })
const writers = 8
const perSecond = 200

/** Each writer goes through the tables in an order of its own, as parts of an application do. */
const orders = [
  ['a', 'b', 'c', 'd'],
  ['d', 'c', 'b', 'a'],
  ['b', 'd', 'a', 'c'],
  ['c', 'a', 'd', 'b'],
]

/**
 * Where all of it shares two busy cores, no writer pauses any more, and many tries are refused: more of them, none longer than
 * before, so that the locks are still got at the first attempt and nobody waits longer behind one.
 */
const patient = { LOCK_TIMEOUT_MS: '120000' }

type Written = { transactions: number; aborted: string[]; longestMs: number }

/** Transactions at an even pace until it is stopped, one on every table, with a pause in between as of a request. */
async function write(client: pg.Client, number: number, written: Written, stopped: () => boolean) {
  const order = orders[number % orders.length] as string[]
  const everyMs = (1000 * writers) / perSecond
  for (let due = performance.now(); !stopped(); due = Math.max(due + everyMs, performance.now())) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())))
    const started = performance.now()
    try {
      await client.query('BEGIN')
      for (const table of order) {
        await client.query(`INSERT INTO ${table} (v) VALUES ($1)`, [number])
        await client.query(`UPDATE ${table} SET v = v + 1 WHERE id = $1`, [number + 1])
      }
      await client.query('COMMIT')
      written.transactions++
    } catch (error) {
      written.aborted.push(String((error as { code?: string }).code ?? error))
      await client.query('ROLLBACK')
    }
    written.longestMs = Math.max(written.longestMs, performance.now() - started)
  }
}

it(`${resets} resets beside ${perSecond} transactions a second in several orders of locks: each at its first attempt, none aborted`, {
  timeout: 300_000,
}, async () => {
  await reset.seed({ users: 2, files: 1, keys: 1 })
  await reset.stack.sql.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  for (const table of ['a', 'b', 'c', 'd']) {
    await reset.stack.sql.query(`CREATE TABLE ${table} (id serial PRIMARY KEY, v int);
      INSERT INTO ${table} (v) SELECT 0 FROM generate_series(1, 2000)`)
  }
  const clients = await Promise.all(
    Array.from({ length: writers }, async () => {
      const client = new pg.Client({ connectionString: reset.stack.env.DATABASE_URL ?? '' })
      await client.connect()
      return client
    }),
  )
  const written: Written = { transactions: 0, aborted: [], longestMs: 0 }
  let over = false
  const writing = clients.map((client, number) => write(client, number, written, () => over))
  const started = performance.now()
  const attempts: number[] = []
  try {
    for (let round = 0; round < resets; round++) {
      const outcome = await withVariables(patient, () =>
        reset.succeed({ ...quickReset, strategy: 'database-only' }),
      )
      attempts.push((await reset.row(outcome.runId)).attempt)
    }
  } finally {
    over = true
    await Promise.all(writing)
    await Promise.all(clients.map((client) => client.end()))
  }
  const seconds = (performance.now() - started) / 1000
  tried('resets beside writers of several lock orders', {
    resets,
    transactions: written.transactions,
    perSecond: Math.round(written.transactions / seconds),
    aborted: written.aborted.length,
    longestStallMs: Math.round(written.longestMs),
  })
  expect(written.aborted).toEqual([])
  expect(attempts).toEqual(Array(resets).fill(0))
  expect(written.longestMs).toBeLessThan(3000)
  expect(written.transactions).toBeGreaterThan(0)
})
