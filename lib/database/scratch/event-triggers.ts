import { messageOf, NotPermitted } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { sqlStateOf } from '../../postgres/errors.ts'
import { quote } from '../../postgres/identifiers.ts'
import { scratchPrefix, scratchSchemaOf } from './schema.ts'

/**
 * Looks whether an event trigger forbids what a scratch schema needs, before a run relies on it. What is tried is undone.
 * @throws NotPermitted naming the event triggers
 */
export async function checkScratchAllowed(connection: Connection, runId: string): Promise<void> {
  if ((await eventTriggers(connection)) === null) return
  const schema = quote(`${scratchSchemaOf(runId)}_try`)
  await connection.query('BEGIN')
  try {
    await connection.query(`CREATE SCHEMA ${schema}; CREATE UNLOGGED TABLE ${schema}.t (i int);
      DROP TABLE ${schema}.t CASCADE; DROP SCHEMA ${schema} CASCADE`)
  } catch (cause) {
    if (sqlStateOf(cause) === undefined) throw cause
    await connection.query('ROLLBACK')
    throw await forbidden(connection, cause)
  } finally {
    await connection.query('ROLLBACK')
  }
}

/** The names of those that could forbid it, for people; null: there are none. */
async function eventTriggers(connection: Connection): Promise<string | null> {
  const found = await connection.query(
    `SELECT string_agg(evtname, ', ' ORDER BY evtname) AS names FROM pg_event_trigger
     WHERE evtenabled <> 'D' AND evtevent IN ('ddl_command_start', 'ddl_command_end', 'sql_drop')`,
  )
  return found.rows[0]?.names
}

export async function forbidden(connection: Connection, cause: unknown): Promise<NotPermitted> {
  const names = (await eventTriggers(connection)) ?? 'none any more'
  return new NotPermitted(
    `A schema ${scratchPrefix}… in which a backup is loaded cannot be made and dropped again; the database has the event triggers ${names} (${messageOf(cause)}). The live tables were not touched; let them pass for schemas of that name, or for this role`,
    { cause },
  )
}
