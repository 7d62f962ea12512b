import { getTableColumns, getTableName } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/neon-serverless'
import type { Connection } from '../postgres/connection.ts'
import { createOwnSchema } from '../postgres/own-schema.ts'
import { createLedger } from './schema/create.ts'
import { tables } from './schema.ts'

export const ledger = (connection: Connection) => drizzle({ client: connection })

/** Creates the ledger's schema and tables, or brings those of an earlier version up to date. */
export async function ensureLedger(connection: Connection): Promise<void> {
  if (await isCurrent(connection)) return
  // Two that do it at once would trip over each other; and whoever uses the ledger does not wait long for a change of it.
  const schema = await createOwnSchema(connection, 'taskmaster_reset')
  await connection.query(
    `SET LOCAL lock_timeout = '5s'; SELECT pg_advisory_xact_lock(${ledgerLock}); ${schema}; ${createLedger}`,
  )
}

/** Any number that nobody else in the database uses for an advisory lock. */
const ledgerLock = 7_231_984_652_001

/** Whether nothing of the ledger is missing: a look, without the locks that changing a table takes. */
export async function isCurrent(connection: Connection): Promise<boolean> {
  const wanted = tables.flatMap((table) =>
    Object.values(getTableColumns(table)).map(({ name }) => `${getTableName(table)}.${name}`),
  )
  const found = await connection.query(
    `SELECT count(*)::int AS columns FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
     JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = 'taskmaster_reset' AND NOT a.attisdropped AND c.relname || '.' || a.attname = ANY ($1)`,
    [wanted],
  )
  return found.rows[0]?.columns === wanted.length
}

export async function hasLedger(connection: Connection): Promise<boolean> {
  return (await tablesOf(connection)).runs
}

export async function tablesOf(connection: Connection): Promise<{ runs: boolean; invocations: boolean }> {
  const answer = await connection.query(
    `SELECT to_regclass('taskmaster_reset.runs') IS NOT NULL AS runs,
       to_regclass('taskmaster_reset.invocations') IS NOT NULL AS invocations`,
  )
  return { runs: answer.rows[0]?.runs === true, invocations: answer.rows[0]?.invocations === true }
}
