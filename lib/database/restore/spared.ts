import type { Connection } from '../../postgres/connection.ts'
import { quote } from '../../postgres/identifiers.ts'
import { scratchSchemaOf } from '../scratch/schema.ts'

/**
 * Why not all parts of a table were loaded: it holds the backup's rows already, or differs in so few that the frames that
 * hold these are enough.
 */
export type Spared = 'unchanged' | 'differing'

/** Notes it in the scratch schema. */
export async function noteSpared(
  connection: Connection,
  runId: string,
  tables: ReadonlyMap<string, Spared>,
): Promise<void> {
  if (tables.size === 0) return
  await connection.query(
    `INSERT INTO ${quote(scratchSchemaOf(runId))}.spared SELECT * FROM unnest($1::text[], $2::text[])
     ON CONFLICT (name) DO UPDATE SET how = excluded.how`,
    [[...tables.keys()], [...tables.values()]],
  )
}

/** As it was when the parts were loaded. */
export async function readSpared(connection: Connection, runId: string): Promise<Map<string, Spared>> {
  const found = await connection.query(`SELECT name, how FROM ${quote(scratchSchemaOf(runId))}.spared`)
  return new Map(found.rows.map(({ name, how }) => [name, how]))
}
