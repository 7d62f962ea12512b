import { randomBytes } from 'node:crypto'
import { chown, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { freePort, LOOPBACK } from '../loopback.ts'
import type { Guarded } from '../processes/child-processes.ts'
import { findPostgres, type PostgresPrograms } from './programs.ts'

export type Postgres = {
  /** For the superuser: holds the password, so it goes into no message. */
  adminUrl: string
  version: string
  description: string
}

// Throw-away data: whatever makes it safe against a loss of power only costs time. Shared memory lies in the data folder
// rather than in /dev/shm, which is too small in many containers and would keep segments after a SIGKILL.
const SETTINGS = {
  listen_addresses: LOOPBACK,
  unix_socket_directories: '',
  max_connections: 200,
  max_prepared_transactions: 4,
  // A database of 3,000 tables is wiped and restored in one transaction each.
  max_locks_per_transaction: 256,
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: 0,
  max_wal_size: '1GB',
  checkpoint_timeout: '1h',
  dynamic_shared_memory_type: 'mmap',
  log_checkpoints: 'off',
  log_min_messages: 'warning',
}

/** By the version that has them first: an older one does not start with a setting that it does not know. */
const SETTINGS_SINCE = {
  // The server hashes the password anew for each connection, 4,096 times over unless told otherwise.
  16: { scram_iterations: 1 },
}

const START_ATTEMPTS = 3

/** By their names in postgresql.conf. */
type PostgresSettings = Record<string, string | number>

/**
 * Starts a new, empty PostgreSQL on loopback. It ends, and its data goes, with `guarded`.
 * @param settings in place of ours
 * @param installed other programs than those that are installed with the packages
 */
export async function startPostgres(
  guarded: Guarded,
  settings: PostgresSettings = {},
  installed?: PostgresPrograms,
): Promise<Postgres> {
  const programs = installed ?? (await findPostgres(guarded))
  const password = randomBytes(24).toString('hex')
  const data = join(guarded.folder, 'postgres-data')
  await initialise(guarded, programs, data, password)
  const all = { ...(await ownSettings(data)), ...settings }
  const port = await startServer(guarded, programs, { data, settings: all })
  const adminUrl = `postgres://postgres:${password}@${LOOPBACK}:${port}/postgres`
  const { rows } = await query(adminUrl, 'SHOW server_version')
  const version = String(rows[0]?.server_version)
  if (Number.parseInt(version, 10) < 15) await givePublicToOwners(adminUrl)
  return { adminUrl, version, description: `PostgreSQL ${version} on ${LOOPBACK}:${port}` }
}

/** As it is from version 15 on, and at hosts such as Neon before: whoever owns a database owns its schema `public`. */
async function givePublicToOwners(adminUrl: string): Promise<void> {
  const template = Object.assign(new URL(adminUrl), { pathname: '/template1' })
  await query(template.href, 'ALTER SCHEMA public OWNER TO pg_database_owner')
}

/**
 * Creates a database and the role that owns it, both of the name given, and returns the owner's URL. The role is no
 * superuser and does not bypass row security, as an application's role on Neon is none.
 */
export async function createDatabase(
  adminUrl: string,
  name = `test_${randomBytes(6).toString('hex')}`,
): Promise<string> {
  const password = randomBytes(24).toString('hex')
  const quoted = pg.escapeIdentifier(name)
  await query(
    adminUrl,
    `CREATE ROLE ${quoted} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD '${password}'`,
    `CREATE DATABASE ${quoted} OWNER ${quoted}`,
  )
  const url = new URL(adminUrl)
  url.username = name
  url.password = password
  url.pathname = `/${name}`
  return url.href
}

/** Removes what createDatabase made, and ends the connections to it. */
export async function dropDatabase(adminUrl: string, url: string): Promise<void> {
  const quoted = pg.escapeIdentifier(new URL(url).pathname.slice(1))
  await query(adminUrl, `DROP DATABASE IF EXISTS ${quoted} WITH (FORCE)`, `DROP ROLE IF EXISTS ${quoted}`)
}

async function initialise(
  guarded: Guarded,
  programs: PostgresPrograms,
  data: string,
  password: string,
): Promise<void> {
  const { user } = programs
  const passwordFile = join(guarded.folder, 'postgres-password')
  await writeFile(passwordFile, password, { mode: 0o600 })
  await mkdir(data, { mode: 0o700 })
  if (user) for (const path of [passwordFile, data]) await chown(path, user.uid, user.gid)
  await guarded.run({
    service: 'initdb',
    file: programs.initdb,
    args: [
      `--pgdata=${data}`,
      '--username=postgres',
      `--pwfile=${passwordFile}`,
      // Not SCRAM: the Neon driver computes its 4,096 rounds in half a second for each connection. Nothing but loopback
      // is listened on, and on Neon as well the password goes as it is, through TLS.
      '--auth=password',
      '--no-locale',
      '--encoding=UTF8',
      '--no-sync',
      '--no-instructions',
    ],
    user,
  })
}

async function ownSettings(data: string): Promise<PostgresSettings> {
  const major = Number(await readFile(join(data, 'PG_VERSION'), 'utf8'))
  const since = Object.entries(SETTINGS_SINCE).filter(([version]) => major >= Number(version))
  return Object.assign({ ...SETTINGS }, ...since.map(([, settings]) => settings))
}

async function startServer(
  guarded: Guarded,
  programs: PostgresPrograms,
  { data, settings }: { data: string; settings: PostgresSettings },
): Promise<number> {
  const given = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      const args = ['-D', data, '-p', String(port), ...given]
      const command = { service: 'PostgreSQL', file: programs.postgres, args, user: programs.user }
      await guarded.start(command, /database system is ready to accept connections/)
      return port
    } catch (error) {
      if (attempt === START_ATTEMPTS || !String(error).includes('in use')) throw error
    }
  }
}

async function query(url: string, ...statements: string[]): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    let result: pg.QueryResult | undefined
    for (const statement of statements) result = await client.query(statement)
    if (!result) throw new Error('query needs a statement')
    return result
  } finally {
    await client.end()
  }
}
