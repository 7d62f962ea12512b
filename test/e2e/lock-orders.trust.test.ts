import { monitorEventLoopDelay } from 'node:perf_hooks'
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

type Written = { tookMs: number[]; aborted: string[] }

/**
 * Transactions at an even pace until it is stopped, one on every table, with a pause in between as of a request. Where they
 * take longer there are fewer: of eight who always write one always holds each table, whoever waits for it.
 */
async function write(client: pg.Client, number: number, written: Written, stopped: () => boolean) {
  const order = orders[number % orders.length] as string[]
  const everyMs = (1000 * writers) / perSecond
  let recent: number[] = []
  const pace = () => Math.max(everyMs, Math.min(...recent) * writers)
  for (let due = performance.now(); !stopped(); due = Math.max(due + pace(), performance.now())) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())))
    const started = performance.now()
    try {
      await client.query('BEGIN')
      for (const table of order) {
        await client.query(`INSERT INTO ${table} (v) VALUES ($1)`, [number])
        await client.query(`UPDATE ${table} SET v = v + 1 WHERE id = $1`, [number + 1])
      }
      await client.query('COMMIT')
    } catch (error) {
      written.aborted.push(String((error as { code?: string }).code ?? error))
      await client.query('ROLLBACK')
    }
    const tookMs = performance.now() - started
    recent = [...recent, tookMs].slice(-4)
    written.tookMs.push(tookMs)
  }
}

it(`${resets} resets beside ${writers} writers in several orders of locks: each at its first attempt, none aborted`, {
  timeout: 1_200_000,
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
  const written: Written = { tookMs: [], aborted: [] }
  let over = false
  // This process is both who waits and who is waited for: while it gets no time itself, nobody waits for a lock.
  const own = monitorEventLoopDelay()
  own.enable()
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
  own.disable()
  const tookMs = written.tookMs.toSorted((a, b) => a - b)
  const usualMs = tookMs[Math.floor(tookMs.length / 2)] ?? 0
  const longestStallMs = Math.round((tookMs.at(-1) ?? 0) - own.max / 1e6)
  const seconds = (performance.now() - started) / 1000
  tried('resets beside writers of several lock orders', {
    resets,
    transactions: tookMs.length,
    perSecond: Math.round(tookMs.length / seconds),
    usualMs: Math.round(usualMs),
    aborted: written.aborted.length,
    longestStallMs,
  })
  expect(written.aborted).toEqual([])
  expect(attempts).toEqual(Array(resets).fill(0))
  // Where the server has no time for anybody, a stall takes as much longer as all else does.
  expect(longestStallMs).toBeLessThan(3000 * Math.max(1, usualMs / 20))
  expect(tookMs.length).toBeGreaterThan(0)
})
