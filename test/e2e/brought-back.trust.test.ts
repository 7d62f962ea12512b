import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, inject, test } from 'vitest'
import { prune } from '../../lib/backup/retention/prune.ts'
import type { Outcome } from '../../lib/run/outcome.ts'
import { currentClients } from '../../lib/task.ts'
import { inSession, urlOf } from '../database/nights.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { useHookedStack } from './hooked-stack.ts'
import {
  environment,
  filesBucket,
  filesPrefix,
  nextSecond,
  quickReset,
  withVariables,
} from './reset-stack.ts'

/*
 * A database goes back to an earlier moment, or there are two of it, as branches, base backups and dumps make them; the bucket and
 * the cache stay as they are.
 */
const { reset, beforeNext, withHook } = useHookedStack()
const server = new pg.Client({ connectionString: inject('postgresAdminUrl') })
const names = { claimed: '', home: '', away: '' }
const daily = { RETENTION_DAILY: '7' }

beforeAll(async () => {
  await server.connect()
  await reset.seed()
  names.claimed = new URL(reset.stack.env.DATABASE_URL ?? '').pathname.slice(1)
  names.home = `${names.claimed}_home`
  names.away = `${names.claimed}_away`
})
beforeEach(async () => {
  if (!isFull) return
  await copy(names.claimed, names.home)
  for (const key of ['a.txt', 'b.txt']) await reset.put(`${filesPrefix}${key}`, `what ${key} says`)
  for (const key of ['page:1', 'page:2']) await reset.stack.redis.set(key, `what ${key} says`)
})
afterAll(async () => {
  for (const name of [names.home, names.away])
    await server.query(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`)
  await server.end()
})

/** Nobody may be connected to what is copied. */
async function copy(from: string, to: string): Promise<void> {
  await server.query(`DROP DATABASE IF EXISTS "${to}" WITH (FORCE)`)
  await server.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [from])
  await server.query(`CREATE DATABASE "${to}" TEMPLATE "${from}" OWNER "${names.claimed}"`)
}

const urlFor = (name: string) => urlOf(reset.stack.env.DATABASE_URL ?? '', name)

function on<Result>(name: string, use: () => Promise<Result>, more: Record<string, string> = {}) {
  return withVariables({ DATABASE_URL: urlFor(name), ...more }, use)
}

const resetOn = (name: string): Promise<Outcome> => on(name, () => reset.succeed(quickReset), daily)
const rowsOn = (name: string, sql: string) =>
  inSession(urlFor(name), async (session) => (await session.query(sql)).rows)

/** The run that is active has given no sign of life for so long. */
const dieOn = (name: string) =>
  rowsOn(
    name,
    `UPDATE taskmaster_reset.runs SET heartbeat_at = now() - interval '21 minutes' WHERE status = 'running'`,
  )

const restoreOf = (backupId: string | null) => ({
  ...{ operation: 'restore', backupId, targets: ['files', 'cache'], confirm: environment },
})

async function pruneOn(name: string) {
  const { backups } = await on(name, async () => prune(await currentClients(), { dryRun: false }), daily)
  return new Map(backups.map(({ backupId, keep, reasons }) => [backupId, { keep, reasons }]))
}

const unknown = expect.stringMatching(/^of a run that is not in this ledger: .* delete it by hand$/)

test.runIf(isFull)(
  `a copy of the database that works beside it lets none of its backups go, and takes the place of none ${inFullForm}`,
  async () => {
    await copy(names.home, names.away)
    const own = String((await resetOn(names.home)).backupId)
    await nextSecond()
    const other = String((await resetOn(names.away)).backupId)
    const places = { [names.home]: [own, other], [names.away]: [other, own] } as const
    for (const [name, [its, strange]] of Object.entries(places)) {
      const judged = await pruneOn(name)
      const reasons = (reason: unknown) => ({ keep: true, reasons: expect.arrayContaining([reason]) })
      expect(judged.get(its)).toEqual(reasons('the newest own full backup'))
      expect(judged.get(strange)).toEqual(reasons(unknown))
    }
    expect(await reset.sealed()).toEqual(expect.arrayContaining([own, other]))
    const renamed = { ENVIRONMENT: 'copy' }
    const refused = await on(names.away, () => reset.run({ ...quickReset, confirm: 'copy' }), renamed)
    expect(refused).toMatchObject({ status: 'FAILED', error: 'EnvironmentMismatch' })
  },
)

test.runIf(isFull)(
  `what a run took from files and cache that the database has forgotten comes back from its backup ${inFullForm}`,
  async () => {
    beforeNext({
      state: 'Wipe database',
      act: async () => {
        await reset.stack.redis.set('page:1', 'what came late')
        await copy(names.home, names.away)
      },
    })
    const { backupId, runId } = await resetOn(names.home)
    expect(await reset.objects(filesBucket, filesPrefix)).toEqual([])
    const early = await on(names.away, () => reset.run(restoreOf(backupId)))
    expect(early).toMatchObject({ status: 'FAILED', error: 'RunActive' })
    await dieOn(names.away)
    await on(names.away, () => reset.succeed(restoreOf(backupId)))
    const status = `SELECT status FROM taskmaster_reset.runs WHERE run_id = '${runId}'`
    expect(await rowsOn(names.away, status)).toEqual([{ status: 'abandoned' }])
    expect(await reset.stack.redis.get('page:1')).toBe('what came late')
    expect(await reset.objects(filesBucket, filesPrefix)).toHaveLength(2)
    expect(await rowsOn(names.away, 'SELECT count(*)::int AS users FROM users')).toEqual([{ users: 120 }])
  },
)

test.runIf(isFull)(
  `of a run that was clearing at that moment the highest late file counts as soon as the ledger says of none ${inFullForm}`,
  async () => {
    beforeNext({
      state: 'Wipe cache',
      act: async () => {
        await reset.stack.redis.set('page:1', 'what came late')
        await copy(names.home, names.away)
      },
    })
    const { backupId, runId } = await resetOn(names.home)
    await dieOn(names.away)
    await rowsOn(names.away, `UPDATE taskmaster_reset.runs SET late = NULL WHERE run_id = '${runId}'`)
    await on(names.away, () => reset.succeed(restoreOf(backupId)))
    expect(await reset.stack.redis.get('page:1')).toBe('what came late')
  },
)

test.runIf(isFull)(
  `a run whose wipe the database forgets while it is at work fails, and says what became of each store ${inFullForm}`,
  async () => {
    const ended = await withHook(
      async (state) => {
        if (state === 'Wipe database') await copy(names.home, names.away)
        if (state === 'Wipe cache') await copy(names.away, names.home)
      },
      () => on(names.home, () => reset.run(quickReset)),
    )
    expect(ended).toMatchObject({ status: 'FAILED', error: 'WipeIncomplete' })
    const [row] = await rowsOn(
      names.home,
      `SELECT status, outcome FROM taskmaster_reset.runs WHERE run_id = '${ended.name}'`,
    )
    expect(row.status).toBe('failed')
    expect(row.outcome.targets).toMatchObject({
      database: { state: 'backed_up' },
      files: { state: 'wiped' },
      cache: { state: 'wiped' },
    })
    expect(await rowsOn(names.home, 'SELECT count(*)::int AS users FROM users')).toEqual([{ users: 120 }])
  },
)
