import { z } from 'zod'
import type { Connection } from '../clients.ts'
import { readSequences, type Sequence } from './sequences.ts'

const Column = z.strictObject({
  name: z.string(),
  type: z.string(),
  notNull: z.boolean(),
  hasDefault: z.boolean(),
  /** '' no, 's' stored, 'v' virtual. */
  generated: z.string(),
  /** '' no, 'a' always, 'd' by default. */
  identity: z.string(),
})

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
  /** A `json` value may hold raw line ends; such rows are written with them encoded (see rows.ts). */
  mayHoldLineEnds: z.boolean(),
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
  to: string
  /** The same two as SQL writes them. */
  fromSql: string
  toSql: string
  /** Columns of `from`, and those of `to` they point at, in the same order. */
  columns: string[]
  referenced: string[]
}

/** What the database holds, read live. Foreign keys and sequences are those of the whole database. */
export type Catalog = {
  serverVersion: string
  tables: Table[]
  /** Tables of the managed schemas that are not managed, with the reason. */
  unmanaged: { name: string; reason: string }[]
  foreignKeys: ForeignKey[]
  sequences: Sequence[]
}

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

const tablesQuery = `
SELECT n.nspname AS schema, c.relname AS "table", c.oid::bigint AS oid, c.relkind AS kind,
  pg_relation_size(c.oid) / current_setting('block_size')::int AS pages,
  pg_table_size(c.oid) AS bytes,
  pg_has_role(c.relowner, 'USAGE') AS owned,
  has_table_privilege(c.oid, 'SELECT') AS may_read,
  has_table_privilege(c.oid, 'TRUNCATE') AS may_truncate,
  EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS of_extension,
  (SELECT coalesce(json_agg(pn.nspname || '.' || p.relname), '[]') FROM pg_inherits i
    JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
    WHERE i.inhrelid = c.oid) AS parents,
  (SELECT coalesce(json_agg(pn.nspname || '.' || p.relname), '[]') FROM pg_inherits i
    JOIN pg_class p ON p.oid = i.inhrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
    WHERE c.relkind = 'p' AND i.inhparent = c.oid) AS partitions,
  (SELECT coalesce(json_agg(json_build_object(
      'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'notNull', a.attnotnull,
      'hasDefault', a.atthasdef, 'generated', a.attgenerated, 'identity', a.attidentity) ORDER BY a.attnum), '[]')
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
  EXISTS (SELECT FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND (y.typname IN ('json', '_json') OR y.typtype <> 'b' OR y.typnamespace <> 'pg_catalog'::regnamespace)) AS may_hold_line_ends
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND c.relnamespace <> 'pg_catalog'::regnamespace AND c.relpersistence <> 't' AND n.nspname = ANY($1)
ORDER BY 1, 2`

const foreignKeysQuery = `
SELECT k.conname AS name, fn.nspname || '.' || f.relname AS "from", tn.nspname || '.' || t.relname AS "to",
  quote_ident(fn.nspname) || '.' || quote_ident(f.relname) AS "fromSql",
  quote_ident(tn.nspname) || '.' || quote_ident(t.relname) AS "toSql",
  (SELECT json_agg(a.attname ORDER BY o.n) FROM unnest(k.conkey) WITH ORDINALITY o(num, n)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.num) AS columns,
  (SELECT json_agg(a.attname ORDER BY o.n) FROM unnest(k.confkey) WITH ORDINALITY o(num, n)
    JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.num) AS referenced
FROM pg_constraint k
JOIN pg_class f ON f.oid = k.conrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
JOIN pg_class t ON t.oid = k.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE k.contype = 'f' ORDER BY 2, 3, 1`

/** Reads the live catalog of the managed `schemas`. */
export async function readCatalog(connection: Connection, schemas: readonly string[]): Promise<Catalog> {
  const tables = (await connection.query(tablesQuery, [schemas])).rows
  const foreignKeys = (await connection.query(foreignKeysQuery)).rows
  const version = (await connection.query(`SELECT current_setting('server_version') AS version`)).rows
  return {
    serverVersion: version[0]?.version,
    tables: tables.filter((row) => reasonToLeave(row) === undefined).map(toTable),
    unmanaged: tables.flatMap((row) => {
      const reason = reasonToLeave(row)
      return reason === undefined ? [] : [{ name: `${row.schema}.${row.table}`, reason }]
    }),
    foreignKeys: foreignKeys as ForeignKey[],
    sequences: await readSequences(connection, schemas),
  }
}

function reasonToLeave(row: { kind: string; table: string; of_extension: boolean }): string | undefined {
  if (row.kind === 'f') return 'a foreign table'
  if (row.of_extension) return 'belongs to an extension'
  if (bookkeeping.has(row.table.toLowerCase())) return 'keeps the migrations'
  return undefined
}

// biome-ignore lint/suspicious/noExplicitAny: the driver types rows as any; the schema checks what is made of them
function toTable(row: any): Table {
  return Table.parse({
    name: `${row.schema}.${row.table}`,
    schema: row.schema,
    table: row.table,
    oid: Number(row.oid),
    partitioned: row.kind === 'p',
    parents: row.parents,
    partitions: row.partitions,
    columns: row.columns,
    mayHoldLineEnds: row.may_hold_line_ends,
    pages: Number(row.pages),
    bytes: Number(row.bytes),
    owned: row.owned,
    mayRead: row.may_read,
    mayTruncate: row.may_truncate,
  })
}
