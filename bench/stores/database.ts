import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { tables as models } from '../../lib/database/taskmaster.ts'
import { createTables } from '../../local/database/create-tables.ts'
import { columnsOf, copyText, tables } from '../data/rows.ts'

/** A database by its URL; `adminUrl` is that of the superuser, in the same one. */
export type Database = { url: string; adminUrl: string }

/** The superuser's way into one of the server's databases. */
export function inDatabase(adminUrl: string, name: string): string {
  return Object.assign(new URL(adminUrl), { pathname: `/${name}` }).href
}

export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {}) // the server was stopped under it; the next query says so
  await client.connect()
  return client
}

/** Runs statements each by itself, and gives the rows of the last. */
export async function query(url: string, ...statements: string[]): Promise<pg.QueryResult['rows']> {
  const client = await connect(url)
  try {
    let rows: pg.QueryResult['rows'] = []
    for (const statement of statements) rows = (await client.query(statement)).rows
    return rows
  } finally {
    await client.end()
  }
}

/** Creates the seven tables and fills them by COPY. What follows from the rows' numbers needs no check by triggers. */
export async function fillDatabase({ url, adminUrl }: Database, scale: number): Promise<void> {
  await query(url, createTables(models))
  const client = await connect(adminUrl)
  try {
    await client.query("SET session_replication_role = 'replica'")
    for (const table of tables) {
      const into = client.query(copyFrom(`COPY ${table} (${columnsOf(table).join(', ')}) FROM STDIN`))
      await pipeline(Readable.from(copyText(table, scale), { objectMode: true }), into)
    }
    await client.query('VACUUM ANALYZE')
  } finally {
    await client.end()
  }
}

/**
 * A copy of a whole database under another name, in place of the one that has it. Nobody may be connected to the first.
 * @see docs/decisions.md#the-benchmarks-put-the-database-back-as-a-copy-of-its-files
 */
export async function copyDatabase(
  adminUrl: string,
  { from, to }: { from: string; to: string },
): Promise<void> {
  const server = inDatabase(adminUrl, 'postgres')
  const [{ owner }] = (await query(
    server,
    `SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = '${from}'`,
  )) as [{ owner: string }]
  const [{ major }] = (await query(
    server,
    `SELECT current_setting('server_version_num')::int / 10000 AS major`,
  )) as [{ major: number }]
  // As files, which leaves the tables as they were to the last bit; older servers know no other way.
  const strategy = major >= 15 ? 'STRATEGY file_copy' : ''
  await query(
    server,
    `DROP DATABASE IF EXISTS ${to} WITH (FORCE)`,
    `CREATE DATABASE ${to} TEMPLATE ${from} OWNER ${owner} ${strategy}`,
  )
}

/** Bytes of a whole database, as Postgres counts them. */
export async function sizeOf(adminUrl: string): Promise<number> {
  const [{ bytes }] = (await query(
    adminUrl,
    'SELECT pg_database_size(current_database())::float8 AS bytes',
  )) as [{ bytes: number }]
  return bytes
}
