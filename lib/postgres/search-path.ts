import type { QueryResult } from '@neondatabase/serverless'
import type { Connection } from './connection.ts'

/**
 * Sessions are pinned to pg_catalog, so that nobody's function is taken for one of Postgres and no text depends on a role's
 * settings. What plans or runs the application's expressions (checks, generated columns, indexes, conditions) needs the
 * role's own search path, as it is when the application works: its functions may call others without naming a schema,
 * and the planner looks into them already when it only reads a table that has an index on one.
 */
export const ownSearchPath = 'SET LOCAL search_path TO DEFAULT'
// See docs/decisions.md#the-search-path-is-pinned-where-text-is-made.
export const pinnedSearchPath = 'SET LOCAL search_path TO pg_catalog'

/** Runs `use` under the role's own search path, in a transaction or outside; after an error it stays until the transaction ends. */
export async function underOwnSearchPath<Result>(
  connection: Connection,
  use: () => Promise<Result>,
): Promise<Result> {
  await connection.query('SET search_path TO DEFAULT')
  const result = await use()
  await connection.query('SET search_path TO pg_catalog')
  return result
}

/** The rows of one query under the role's own search path, in one round trip. */
export async function queryUnderOwnPath(connection: Connection, text: string): Promise<QueryResult['rows']> {
  const answers: unknown = await connection.query(
    `SET search_path TO DEFAULT; ${text}; SET search_path TO pg_catalog`,
  )
  return (answers as QueryResult[])[1]?.rows ?? []
}
