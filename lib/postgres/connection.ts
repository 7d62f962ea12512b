import { Client } from '@neondatabase/serverless'
import type { Config } from '../config/variables.ts'
import { InvalidConfiguration, messageOf, StoreUnavailable } from '../errors.ts'
import { PostgresWebSocket } from './web-socket.ts'

/** An open database connection. */
export type Connection = Client

/**
 * Session settings that decide how a row is written as JSON, what a role sees, and how long a statement may wait. They
 * must be the same when a backup is written and when it is compared: fingerprints are made of the rows' text.
 */
const sessionSettings = {
  row_security: 'off', // a role that does not see every row gets an error, not a short backup
  search_path: 'pg_catalog',
  standard_conforming_strings: 'on',
  quote_all_identifiers: 'off', // types are compared as they are written
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  lc_monetary: 'C',
  array_nulls: 'on',
  xmloption: 'content',
  client_min_messages: 'warning',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0', // Neon's default ends a long export after 5 minutes
  default_transaction_read_only: 'off',
  default_transaction_isolation: 'read committed', // where another one is meant, BEGIN says so
  default_transaction_deferrable: 'off',
  jit: 'off', // compiling costs more than it saves on the many short statements of an export
}

/** The same for settings that only some servers have: those of version 14, 17 and later, on systems that support it. */
const newerSettings = {
  idle_session_timeout: '0',
  transaction_timeout: '0',
  // The server would finish a long statement, locks held, for a process that was killed. Only Linux tells that for sure.
  client_connection_check_interval: '10s',
}

/** One text, so that it costs one round trip. A role or a database may set each of these otherwise. */
function settingsText(): string {
  const known = Object.entries(sessionSettings).map(([name, value]) => `SET ${name} = '${value}'`)
  const newer = Object.entries(newerSettings).map(([name, value]) => `('${name}', '${value}')`)
  // Asked for each by its name: the view pg_settings makes all its rows for one, which takes a server milliseconds.
  const whatIsKnown = `SELECT set_config(name, value, false) FROM (VALUES ${newer.join(', ')}) AS newer (name, value)
    WHERE current_setting(name, true) IS NOT NULL
      AND (name <> 'client_connection_check_interval' OR version() ~ 'linux')`
  return [...known, whatIsKnown].join('; ')
}

/** Neon wakes a suspended database within seconds; a server that says nothing for so long is not there. */
const connectTimeoutMs = 20_000

/**
 * Opens a connection with the pinned session settings; the caller ends it.
 * @throws StoreUnavailable when the database cannot be reached; InvalidConfiguration when a pooler answers in its place
 */
export async function connect(
  config: Pick<Config, 'DATABASE_URL' | 'DATABASE_WEBSOCKET_PROXY'>,
): Promise<Connection> {
  const url = new URL(config.DATABASE_URL)
  const client = new Client({
    connectionString: config.DATABASE_URL,
    application_name: 'taskmaster-reset',
    connectionTimeoutMillis: connectTimeoutMs,
    // PgBouncer refuses a session that begins with what it could not keep, before a setting of ours is left to others in it.
    // See docs/decisions.md#a-pooler-is-refused-as-it-answers. Until the settings above follow it is a patience like the other.
    lock_timeout: connectTimeoutMs,
  })
  // The driver would collect what is written for a millisecond, which each of some hundred round trips would wait.
  client.neonConfig.coalesceWrites = false
  client.neonConfig.webSocketConstructor = PostgresWebSocket
  const proxy = config.DATABASE_WEBSOCKET_PROXY
  if (proxy !== undefined) {
    client.neonConfig.wsProxy = () => `${proxy}/v1`
    client.neonConfig.useSecureWebSocket = false
    client.neonConfig.pipelineTLS = false
    client.neonConfig.pipelineConnect = false
  }
  // Without a listener a connection that the server ends would end the process; the next query reports it.
  client.on('error', () => {})
  let isOpen = false
  try {
    await client.connect()
    isOpen = true
    await client.query(settingsText())
    return client
  } catch (cause) {
    // Of one that never opened, end() never returns, and may throw where nobody catches it.
    if (isOpen) void client.end().catch(() => {})
    if (/^unsupported startup parameter/.test(messageOf(cause))) throw isPooler(url, cause)
    throw new StoreUnavailable(
      `The database ${url.pathname.slice(1)} at ${url.host} cannot be reached: ${messageOf(cause)}. Check DATABASE_URL and that the server runs, then start again`,
      { cause },
    )
  }
}

function isPooler({ host }: URL, cause: unknown): InvalidConfiguration {
  return new InvalidConfiguration(
    `DATABASE_URL (${host}) leads to a connection pooler: ${messageOf(cause)}. Its sessions are shared between clients, so that session settings and exported snapshots leak or vanish; use the address of the server itself, also in DATABASE_WEBSOCKET_PROXY`,
    { cause },
  )
}
