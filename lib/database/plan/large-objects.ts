import type { Warning } from '../../backup/manifest.ts'
import type { Connection } from '../../postgres/connection.ts'

/** More are not counted: a database may hold millions. */
const most = 1_000

/**
 * Says whether the database has large objects (`lo_create`), which are in no table. `pg_largeobject_metadata` may be read
 * by every role, unlike their content (PostgreSQL's manual, "pg_largeobject").
 */
export async function warnOfLargeObjects(connection: Connection): Promise<Warning[]> {
  const found = await connection.query(
    `SELECT count(*)::int AS count FROM (SELECT FROM pg_largeobject_metadata LIMIT ${most + 1}) AS found`,
  )
  const count: number = found.rows[0]?.count
  if (count === 0) return []
  const said = count > most ? `more than ${most}` : count
  return [
    {
      code: 'LargeObjectsLeftOut',
      message: `The database has large objects (${said}): they are neither backed up nor wiped nor restored, and stay as they are; what must come back belongs into a column of type bytea, or a file`,
    },
  ]
}
