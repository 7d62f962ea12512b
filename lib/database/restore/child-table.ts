import type { Connection } from '../../postgres/connection.ts'
import { qualified, quote } from '../../postgres/identifiers.ts'
import { indexBody } from '../catalog/index-body.ts'
import { inSavepoint } from '../savepoint.ts'
import { scratchSchemaOf } from '../scratch/schema.ts'
import type { TablePair } from '../table-pair.ts'

/** The table that holds another's rows for a while. */
export type ChildTable = { schema: string; table: string }

/**
 * Gives an empty table a child that holds the rows it is about to get, so that functions which read the table find them
 * there already: while one statement fills it, such a function does not see what the statement has put in. With the
 * indexes that call nothing, or each look into it would read all of it.
 * @param insertInto the statement that puts the rows into a table
 * @returns undefined when it can have no such child: partitions cannot, nor can a table whose generated columns read it
 */
export async function addFilledChild(
  connection: Connection,
  { runId, pair: { live } }: { runId: string; pair: TablePair },
  insertInto: (table: ChildTable) => string,
): Promise<ChildTable | undefined> {
  const child = { schema: scratchSchemaOf(runId), table: `lent_${live.oid}` }
  const found = await connection.query(
    `SELECT ${indexBody} AS body, i.indisunique AS unique FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE i.indrelid = $1::oid AND i.indisvalid AND i.indexprs IS NULL AND i.indpred IS NULL`,
    [live.oid],
  )
  const indexes = found.rows.map(
    ({ body, unique }) => `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ON ${qualified(child)}${body}`,
  )
  const refused = await inSavepoint(connection, () =>
    connection.query(
      [
        `CREATE UNLOGGED TABLE ${qualified(child)} () INHERITS (${qualified(live)})`,
        insertInto(child),
        ...indexes,
      ].join(';\n'),
    ),
  )
  return refused === undefined ? child : undefined
}

export async function dropChild(connection: Connection, { schema, table }: ChildTable): Promise<void> {
  await connection.query(`DROP TABLE ${quote(schema)}.${quote(table)}`)
}
