import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { startPostgres } from '../../local/database/postgres.ts'
import { type Guarded, guardProcesses } from '../../local/processes/child-processes.ts'
import type { StackOptions } from '../../local/stack.ts'
import { type Ended, environment, fullReset, useResetStack } from '../e2e/reset-stack.ts'
import { inFullForm, isFull } from '../support/trust.ts'

/** The state before which the server crashes, the next time that it is entered. */
let crashBefore: string | null = null
const options: StackOptions = {
  beforeTask: async (state) => {
    if (state !== crashBefore) return
    crashBefore = null
    await crash()
  },
}

let guarded: Guarded
beforeAll(async () => {
  guarded = await guardProcesses()
  // What was committed is still there after the crash, as it is on a server that has not our settings for throw-away data.
  options.postgresAdminUrl = (await startPostgres(guarded, { synchronous_commit: 'on' })).adminUrl
})
afterAll(async () => {
  await Promise.all(opened.map((client) => client.end()))
  await guarded.stop()
})
const reset = useResetStack(options)
const opened: pg.Client[] = []

/** One of the server's processes is killed, so that it ends all others and recovers: unlogged tables are empty afterwards. */
async function crash(): Promise<void> {
  const { stack } = reset
  // Recovery would advance sequences by what Postgres has logged of them ahead.
  await stack.admin.query('CHECKPOINT')
  const found = await stack.admin.query('SELECT pg_backend_pid() AS pid')
  // The server ends the other session when it has seen the crash: from then on it lets nobody in until it has recovered.
  const isOver = Promise.all(
    [stack.admin, stack.sql].map((client) => new Promise((resolve) => client.once('error', resolve))),
  )
  process.kill(found.rows[0].pid, 'SIGKILL')
  await isOver
  const urlOfAdmin = new URL(options.postgresAdminUrl ?? '')
  urlOfAdmin.pathname = new URL(stack.env.DATABASE_URL ?? '').pathname
  const [sql, admin] = [await reconnect(stack.env.DATABASE_URL ?? ''), await reconnect(urlOfAdmin.href)]
  Object.assign(stack, { sql, admin })
}

/** As soon as the server has recovered. */
async function reconnect(connectionString: string): Promise<pg.Client> {
  return vi.waitFor(
    async () => {
      const client = new pg.Client({ connectionString })
      client.on('error', () => {})
      await client.connect()
      opened.push(client)
      return client
    },
    { timeout: 60_000, interval: 100 },
  )
}

beforeEach(() => reset.seed({ users: 40, files: 2, keys: 3 }))

async function runThatCrashes(request: unknown, before: string): Promise<Ended> {
  crashBefore = before
  const ended = await reset.run(request)
  expect(crashBefore, `${before} was reached`).toBeNull()
  return ended
}

const emptied = /no longer there: the database was restarted in between/

it.runIf(isFull)(
  `a server that crashes between load and comparison seals no backup, wipes nothing, and is told as what it is ${inFullForm}`,
  async () => {
    const [before, sealed] = [await reset.fingerprint(), await reset.sealed()]
    const ended = await runThatCrashes({ ...fullReset, rehearse: true }, 'Compare')
    expect([ended.error, ended.cause]).toEqual(['StoreUnavailable', expect.stringMatching(emptied)])
    expect(await reset.fingerprint()).toEqual(before)
    expect(await reset.sealed()).toEqual(sealed)
    await reset.succeed({ ...fullReset, rehearse: true })
  },
)

async function crashIn(state: string): Promise<void> {
  const before = await reset.fingerprint()
  const { backupId } = await reset.succeed({ ...fullReset, rehearse: false })
  await reset.stack.sql.query(`INSERT INTO users (name) VALUES ('only one')`)
  const meanwhile = await reset.fingerprint()
  const restore = { operation: 'restore', backupId, confirm: environment }
  const ended = await runThatCrashes(restore, state)
  expect([ended.error, ended.cause]).toEqual(['StoreUnavailable', expect.stringMatching(emptied)])
  expect(await reset.fingerprint()).toEqual(meanwhile)
  await reset.succeed(restore)
  expect(await reset.fingerprint()).toEqual(before)
}

it.runIf(isFull)(
  `a server that crashes between comparison and swap leaves the live rows as they are, and the next try restores ${inFullForm}`,
  () => crashIn('Restore database'),
)

it.runIf(isFull)(`one that crashes between load and comparison of a restore does so, too ${inFullForm}`, () =>
  crashIn('Compare backup'),
)

it.runIf(isFull)(
  `a server that crashes before the first part is loaded only costs time ${inFullForm}`,
  async () => {
    const before = await reset.fingerprint()
    const { backupId } = await reset.succeed({ ...fullReset, rehearse: false })
    const ended = await runThatCrashes(
      { operation: 'restore', backupId, confirm: environment },
      'Load backup batch',
    )
    expect(ended.status).toBe('SUCCEEDED')
    expect(await reset.fingerprint()).toEqual(before)
  },
)
