import type { Definition } from '../../backup/sections/definition.ts'
import { messageOf, NotEmpty, SchemaChanged } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError, sqlStateOf } from '../../postgres/errors.ts'
import { putMigrations } from './migrations.ts'

/** With the version of the server that wrote it, where that is known. */
export type WrittenDefinition = Definition & { serverVersion?: string }

/**
 * Makes the tables of a backup, with the rows of migration tools, in one transaction: all of it is there then, or nothing. The
 * text is run as it stands, so the caller answers for who wrote it.
 * @throws NotEmpty when one of the things is there already, SchemaChanged when something lacks that the text does not make,
 *   NotPermitted
 */
export async function createDefined(connection: Connection, definition: WrittenDefinition): Promise<void> {
  try {
    await connection.query('BEGIN')
    await connection.query(definition.sql)
    await putMigrations(connection, definition.migrations)
    await connection.query('COMMIT')
  } catch (cause) {
    await connection.query('ROLLBACK').catch(() => {})
    const { rows } = await connection.query('SHOW server_version').catch(() => ({ rows: [] }))
    throw refusal(cause, definition, rows[0]?.server_version)
  }
}

function refusal(
  cause: unknown,
  { leftOut, serverVersion }: WrittenDefinition,
  here: string | undefined,
): unknown {
  const state = sqlStateOf(cause) ?? ''
  // The last where somebody else makes the same at this moment.
  if (['42P06', '42P07', '42710', '23505'].includes(state)) {
    return new NotEmpty(
      `The database is not empty: ${messageOf(cause)}. Nothing was made; restore without "--into-empty" where the tables are there, or name an empty database in DATABASE_URL`,
      { cause },
    )
  }
  if (!/^(0A|22|23|3F|42)/.test(state) || state === '42501') return databaseError(cause)
  const lacking = leftOut.length === 0 ? '' : `. The backup does not tell how to make ${leftOut.join('; ')}`
  const isOther = serverVersion !== undefined && here !== undefined && serverVersion !== here
  const versions = isOther ? `. Postgres ${serverVersion} wrote the backup, and this is ${here}` : ''
  return new SchemaChanged(
    `The tables of the backup cannot be made here: ${messageOf(cause)}${versions}${lacking}. Nothing was made; make what lacks, or run the migrations in place of "--into-empty"`,
    { cause },
  )
}
