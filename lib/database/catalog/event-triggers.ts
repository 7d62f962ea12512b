import type { Connection } from '../../postgres/connection.ts'

/** The names of the event triggers that are on: they may hear of what a run alters, and write into any table. */
export async function eventTriggers(connection: Connection): Promise<string[]> {
  const found = await connection.query(
    `SELECT evtname AS name FROM pg_event_trigger WHERE evtenabled NOT IN ('D', 'R') ORDER BY 1`,
  )
  return found.rows.map(({ name }) => name)
}

/** Who may have written into tables when others were altered, for people. */
export async function writersOf(connection: Connection): Promise<string> {
  const names = await eventTriggers(connection)
  return names.length === 0 ? 'a function' : `a function, or one of the event triggers ${names.join(', ')},`
}
