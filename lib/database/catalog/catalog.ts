import * as z from 'zod'
import { Column } from '../../backup/manifest.ts'
import { InvalidConfiguration } from '../../errors.ts'
import { ledgerSchema } from '../../ledger/schema.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError } from '../../postgres/errors.ts'
import { plainName } from '../../postgres/identifiers.ts'
import { readSequences, type Sequence } from './sequences.ts'
import { readUnmanagedChildren, type UnmanagedChild, waitingFor } from './unmanaged-children.ts'

/** One table that holds rows, or one partitioned table (which holds none itself). */
export const Table = z.strictObject({
  /** `schema.table`, unquoted: how people, plans and manifests name it. */
  name: z.string(),
  schema: z.string(),
  table: z.string(),
  oid: z.number(),
  partitioned: z.boolean(),
  /** The partitioned table or inheritance parent above it, as `schema.table`. */
  parents: z.array(z.string()),
  /** The tables directly below a partitioned table, in any schema. */
  partitions: z.array(z.string()),
  columns: z.array(Column),
  /** Pages of the main fork, 8 KiB each on a standard build. */
  pages: z.number(),
  /** Bytes with TOAST, without indexes. */
  bytes: z.number(),
  owned: z.boolean(),
  mayRead: z.boolean(),
  mayTruncate: z.boolean(),
})
export type Table = z.output<typeof Table>

export type ForeignKey = {
  name: string
  from: string
  fromOid: number
  to: string
  /** The same as SQL writes it. */
  fromSql: string
  /** What to write after FROM for the rows that reference, and for those that are referenced: all partitions, no inheritance children. */
  fromRows: string
  toRows: string
  /** One that Postgres made for a partition, from the one of the table above it. */
  derived: boolean
  /** Columns of `from`, and those of `to` they point at, in the same order. */
  columns: string[]
  referenced: string[]
  /** The equality operator of each pair, as SQL for `referenced OPERATOR column`: `=` may mean another one. */
  operators: string[]
  /** What happens to the referencing row: 'a' no action, 'r' restrict, 'c' cascade, 'n' set null, 'd' set default. */
  onDelete: string
}

/** The tables of the managed schemas, read live. */
export type Tables = {
  serverVersion: string
  tables: Table[]
  /** Those that are not managed, with the reason. */
  unmanaged: { name: string; reason: string }[]
  /** Those below a managed one, in any schema, that are not managed. */
  outside: UnmanagedChild[]
}

/** What the database holds, read live. Foreign keys and sequences are those of the whole database. */
export type Catalog = Tables & { foreignKeys: ForeignKey[]; sequences: Sequence[] }

/** Migration tools keep these; wiping them would make the application run its migrations again. */
const bookkeeping = new Set([
  '__drizzle_migrations',
  '_prisma_migrations',
  'alembic_version',
  'schema_migrations',
  'ar_internal_metadata',
  'flyway_schema_history',
  'knex_migrations',
  'knex_migrations_lock',
  'databasechangelog',
  'databasechangeloglock',
  'django_migrations',
  'goose_db_version',
  'migrations',
  'typeorm_metadata',
  '_sqlx_migrations',
  'sequelizemeta',
  'doctrine_migration_versions',
  'schema_version',
  'kysely_migration',
  'kysely_migration_lock',
])

/** Why a table is not managed that the script of an extension made. */
export const ofExtension = 'belongs to an extension'

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
      'asText', y.typtype IN ('c', 'd') OR y.typcategory = 'A' OR y.typname IN ('json', 'jsonb') OR EXISTS (
        SELECT FROM pg_cast k WHERE k.castsource = y.oid AND k.casttarget = 'json'::regtype),
      'hasDefault', a.atthasdef, 'generated', a.attgenerated, 'identity', a.attidentity) ORDER BY a.attnum), '[]')
    FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND c.relnamespace <> 'pg_catalog'::regnamespace AND c.relpersistence <> 't' AND n.nspname = ANY($1)
  AND ${waitingFor('$2')}
ORDER BY n.nspname, c.relname`

const rowsOf = (relation: string, schema: string) =>
  `CASE ${relation}.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || quote_ident(${schema}.nspname) || '.' || quote_ident(${relation}.relname)`

const foreignKeysQuery = `
SELECT k.conname AS name, ${plainName('fn.nspname', 'f.relname')} AS "from", ${plainName('tn.nspname', 't.relname')} AS "to",
  k.conrelid::bigint::float8 AS "fromOid", k.confdeltype AS "onDelete", quote_ident(fn.nspname) || '.' || quote_ident(f.relname) AS "fromSql",
  ${rowsOf('f', 'fn')} AS "fromRows", ${rowsOf('t', 'tn')} AS "toRows", k.conparentid <> 0 AS derived,
  (SELECT json_agg(a.attname ORDER BY o.n) FROM unnest(k.conkey) WITH ORDINALITY o(num, n)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.num) AS columns,
  (SELECT json_agg(a.attname ORDER BY o.n) FROM unnest(k.confkey) WITH ORDINALITY o(num, n)
    JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.num) AS referenced,
  (SELECT json_agg('OPERATOR(' || quote_ident(opn.nspname) || '.' || op.oprname || ')' ORDER BY o.n)
    FROM unnest(k.conpfeqop) WITH ORDINALITY o(id, n)
    JOIN pg_operator op ON op.oid = o.id JOIN pg_namespace opn ON opn.oid = op.oprnamespace) AS operators
FROM pg_constraint k
JOIN pg_class f ON f.oid = k.conrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
JOIN pg_class t ON t.oid = k.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE k.contype = 'f' ORDER BY 2, 3, 1`

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
  const foreignKeys = (await connection.query(foreignKeysQuery)).rows as ForeignKey[]
  return { ...tables, foreignKeys, sequences: await readSequences(connection, schemas) }
}

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
  if (bookkeeping.has(row.table.toLowerCase())) return 'keeps the migrations'
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
