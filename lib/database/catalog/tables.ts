import { InvalidConfiguration } from '../../errors.ts'
import { ledgerSchema } from '../../ledger/schema.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError } from '../../postgres/errors.ts'
import { plainName } from '../../postgres/identifiers.ts'
import { isBookkeeping } from './bookkeeping.ts'
import { Table } from './table.ts'
import { readUnmanagedChildren, type UnmanagedChild, waitingFor } from './unmanaged-children.ts'

/** The tables of the managed schemas, read live. */
export type Tables = {
  serverVersion: string
  tables: Table[]
  /** Those that are not managed, with the reason. */
  unmanaged: { name: string; reason: string }[]
  /** Those below a managed one, in any schema, that are not managed. */
  outside: UnmanagedChild[]
}

/** Why a table is not managed that the script of an extension made. */
export const ofExtension = 'belongs to an extension'

/** Whether values of a type are made of others', which a domain among them may refuse. */
const isMadeOfOthers = (type: string) => `(${type}.typtype IN ('c', 'd') OR ${type}.typcategory = 'A')`

const tablesQuery = `
SELECT ${plainName('n.nspname', 'c.relname')} AS name, n.nspname AS schema, c.relname AS "table", c.oid::bigint AS oid, c.relkind AS kind,
  pg_relation_size(c.oid) / current_setting('block_size')::int AS pages,
  pg_table_size(c.oid) AS bytes,
  pg_has_role(c.relowner, 'USAGE') AS owned,
  has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS may_read,
  has_table_privilege(c.oid, 'TRUNCATE') AS may_truncate,
  EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS of_extension,
  (SELECT coalesce(json_agg(${plainName('pn.nspname', 'p.relname')}), '[]') FROM pg_inherits i
    JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
    WHERE i.inhrelid = c.oid) AS parents,
  (SELECT coalesce(json_agg(${plainName('pn.nspname', 'p.relname')}), '[]') FROM pg_inherits i
    JOIN pg_class p ON p.oid = i.inhrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
    WHERE c.relkind = 'p' AND i.inhparent = c.oid) AS partitions,
  (SELECT coalesce(json_agg(json_build_object(
      'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'notNull', a.attnotnull,
      'asText', ${isMadeOfOthers('y')} OR y.typname IN ('json', 'jsonb') OR EXISTS (
        SELECT FROM pg_cast k WHERE k.castsource = y.oid AND k.casttarget = 'json'::regtype) OR EXISTS (
        SELECT FROM pg_range g JOIN pg_type s ON s.oid = g.rngsubtype WHERE y.oid IN (g.rngtypid, g.rngmultitypid) AND ${isMadeOfOthers('s')}),
      'hasDefault', a.atthasdef, 'generated', a.attgenerated, 'identity', a.attidentity) ORDER BY a.attnum), '[]')
    FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND c.relnamespace <> 'pg_catalog'::regnamespace AND c.relpersistence <> 't' AND n.nspname = ANY($1)
  AND ${waitingFor('$2')}
ORDER BY n.nspname, c.relname`

/** Milliseconds that a table is waited for, where the connection has no limit of its own. */
const lockWaitMs = 15_000

/** The part of the catalog that says what the tables are. @throws InvalidConfiguration, DatabaseBusy as readCatalog does */
export async function readTables(
  connection: Connection,
  schemas: readonly string[],
  waitMs = lockWaitMs,
): Promise<Tables> {
  const serverVersion = await checkSchemas(connection, schemas)
  const busy = (error: unknown) => {
    throw databaseError(error)
  }
  const found = (await connection.query(tablesQuery, [schemas, waitMs]).catch(busy)).rows
  const tables = found.filter((row) => reasonToLeave(row) === undefined).map(toTable)
  return {
    serverVersion,
    tables,
    unmanaged: found.flatMap((row) => {
      const reason = reasonToLeave(row)
      return reason === undefined ? [] : [{ name: row.name, reason }]
    }),
    outside: await readUnmanagedChildren(connection, tables, waitMs).catch(busy),
  }
}

/** @returns the server's version, by the way */
async function checkSchemas(connection: Connection, schemas: readonly string[]): Promise<string> {
  const answer = await connection.query(
    `SELECT nspname AS name, current_setting('server_version') AS version FROM pg_namespace WHERE nspname = ANY($1)`,
    [schemas],
  )
  const missing = schemas.filter((schema) => !answer.rows.some(({ name }) => name === schema))
  if (missing.length === 0) return answer.rows[0]?.version
  throw new InvalidConfiguration(
    `DATABASE_SCHEMAS names ${missing.join(', ')}, which the database does not have. Correct it, for example public,story`,
  )
}

function reasonToLeave(row: Row): string | undefined {
  if (row.schema === ledgerSchema.schemaName) return 'the ledger of the resets'
  if (row.kind === 'f') return 'a foreign table'
  if (row.of_extension) return ofExtension
  if (isBookkeeping(row.table)) return 'keeps the migrations'
  return undefined
}

// biome-ignore lint/suspicious/noExplicitAny: the driver types rows as any; the schema checks what is made of them
type Row = any

function toTable(row: Row): Table {
  return Table.parse({
    name: row.name,
    schema: row.schema,
    table: row.table,
    oid: Number(row.oid),
    partitioned: row.kind === 'p',
    parents: row.parents,
    partitions: row.partitions,
    columns: row.columns,
    pages: Number(row.pages),
    bytes: Number(row.bytes),
    owned: row.owned,
    mayRead: row.may_read,
    mayTruncate: row.may_truncate,
  })
}
