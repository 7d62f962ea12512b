import type { Connection } from '../../postgres/connection.ts'
import { type ForeignKey, readForeignKeys } from './foreign-keys.ts'
import { readSequences, type Sequence } from './sequences.ts'
import { readTables, type Tables } from './tables.ts'

/** What the database holds, read live. Foreign keys and sequences are those of the whole database. */
export type Catalog = Tables & { foreignKeys: ForeignKey[]; sequences: Sequence[] }

/**
 * Reads the live catalog of the managed `schemas`.
 * @throws InvalidConfiguration when one of them does not exist: its tables would be missing in every backup
 * @throws DatabaseBusy when a table is locked against readers for longer than `waitMs`
 */
export async function readCatalog(
  connection: Connection,
  schemas: readonly string[],
  waitMs?: number,
): Promise<Catalog> {
  const tables = await readTables(connection, schemas, waitMs)
  const foreignKeys = await readForeignKeys(connection)
  return { ...tables, foreignKeys, sequences: await readSequences(connection, schemas) }
}
