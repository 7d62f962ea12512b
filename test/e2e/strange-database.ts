import pg from 'pg'
import { expect, inject, onTestFinished } from 'vitest'
import type { Outcome } from '../../lib/run/outcome.ts'
import { createDatabase, dropDatabase } from '../../local/database/postgres.ts'
import { postgresTarget } from '../../local/database/socket.ts'
import { startWebSocketProxy } from '../../local/database/websocket-proxy.ts'
import { dump } from '../restore/dump.ts'
import { type Ended, environment, useResetStack } from './reset-stack.ts'

export type StrangeDatabase = {
  /** As the role that owns the database, which is the product's. */
  sql: pg.Client
  /** As superuser, in the same database. */
  admin: pg.Client
  /** The name of that role, and of the database. */
  role: string
}

type Made = {
  admin?: string | ((role: string) => string)
  schemas?: string[]
  claim?: boolean
  server?: string
}

export type RoundTrip = {
  /** What the database held at first. */
  before: Record<string, unknown>
  reset: Outcome
  /** What the database held after the reset. */
  emptied: Record<string, unknown>
  restore: Outcome
}

/** A fresh database for each test, claimed, in one stack; `reset` looks at the stack's other stores. */
export function useStrangeDatabases() {
  const reset = useResetStack()

  /**
   * Makes a database by `sql`, as the role that owns it, then by `admin`, as superuser; `claim: false` leaves it unclaimed.
   * @param schemas those that are managed
   * @param server the superuser's address of another one than that of all tests
   */
  async function database(
    sql: string,
    { admin = '', schemas = ['public'], claim = true, server }: Made = {},
  ): Promise<StrangeDatabase> {
    const adminUrl = server ?? inject('postgresAdminUrl')
    const url = await createDatabase(adminUrl)
    onTestFinished(() => dropDatabase(adminUrl, url))
    const role = new URL(url).username
    const made: StrangeDatabase = {
      sql: await connect(url),
      admin: await connect(Object.assign(new URL(adminUrl), { pathname: `/${role}` }).href),
      role,
    }
    await made.sql.query(sql)
    await made.admin.query(typeof admin === 'string' ? admin : admin(role))
    if (server) {
      const proxy = await startWebSocketProxy(postgresTarget(url))
      onTestFinished(proxy.stop)
      useVariables({ DATABASE_WEBSOCKET_PROXY: proxy.address })
    }
    useVariables({ DATABASE_URL: url, DATABASE_SCHEMAS: JSON.stringify(schemas) })
    if (claim) await reset.succeed({ operation: 'claim', confirm: environment })
    return made
  }

  const wipe = (more = {}) => ({
    operation: 'reset',
    strategy: 'database-only',
    rehearse: true,
    confirm: environment,
    ...more,
  })
  const putBack = (backupId: string | null, more = {}) => ({
    operation: 'restore',
    backupId,
    confirm: environment,
    ...more,
  })

  /**
   * Reset and restore; what a superuser sees afterwards must be what was there before.
   * @param changed what of it may have become something else
   */
  async function roundTrip(
    { admin }: StrangeDatabase,
    more = {},
    changed: (before: Record<string, unknown>) => Record<string, unknown> = (before) => before,
  ): Promise<RoundTrip> {
    const before = await dump(admin)
    const reset_ = await reset.succeed(wipe(more))
    const emptied = await dump(admin)
    const restore = await reset.succeed(putBack(reset_.backupId))
    expect(await dump(admin)).toEqual(changed(before))
    return { before, reset: reset_, emptied, restore }
  }

  /** A reset that has to be refused, and to leave everything as it was. */
  async function refused({ admin }: StrangeDatabase, more = {}): Promise<Ended> {
    const before = await dump(admin)
    const ended = await reset.run(wipe(more))
    expect(ended).toMatchObject({ status: 'FAILED' })
    expect(await dump(admin)).toEqual(before)
    return ended
  }

  return { reset, database, wipe, putBack, roundTrip, refused }
}

/** The message of the outcome's warning of that code; empty when there is none. */
export function warned({ warnings }: Pick<Outcome, 'warnings'>, code: string): string {
  return warnings
    .filter((warning) => warning.code === code)
    .map(({ message }) => message)
    .join('\n')
}

async function connect(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString })
  client.on('error', () => {})
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

/** Variables of the handlers' environment, until the test ends. */
function useVariables(values: Record<string, string>): void {
  for (const [name, value] of Object.entries(values)) {
    const before = process.env[name]
    process.env[name] = value
    onTestFinished(() => {
      if (before === undefined) delete process.env[name]
      else process.env[name] = before
    })
  }
}
