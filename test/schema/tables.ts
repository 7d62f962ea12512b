import { is, SQL } from 'drizzle-orm'
import {
  getTableConfig,
  type IndexedColumn,
  type PgColumn,
  PgDialect,
  type PgTable,
} from 'drizzle-orm/pg-core'
import type pg from 'pg'

/** A table as both a drizzle schema and a live catalog can tell it. */
export type TableShape = {
  name: string
  columns: { name: string; type: string; notNull: boolean; default: string | null; identity: string }[]
  primaryKey: string[]
  foreignKeys: string[]
  checks: string[]
  /** Also those that stand behind UNIQUE; not those of primary keys. */
  indexes: string[]
}

const dialect = new PgDialect()

export function declaredShape(table: PgTable): TableShape {
  const { name, schema, columns, primaryKeys, foreignKeys, checks, indexes } = getTableConfig(table)
  const names = (columns: readonly PgColumn[]) => columns.map((column) => column.name)
  const primary = columns.filter((column) => column.primary)
  return {
    name: `${schema ?? 'public'}.${name}`,
    columns: columns.map((column) => ({
      name: column.name,
      type: column.getSQLType().replace('bigserial', 'bigint').replace(', ', ','),
      notNull: column.notNull || primaryKeys.some((key) => names(key.columns).includes(column.name)),
      default: declaredDefault(column, name),
      identity:
        column.generatedIdentity === undefined ? '' : column.generatedIdentity.type === 'always' ? 'a' : 'd',
    })),
    primaryKey: primaryKeys.length > 0 ? primaryKeys.flatMap((key) => names(key.columns)) : names(primary),
    foreignKeys: foreignKeys
      .map((key) => {
        const { columns, foreignTable, foreignColumns } = key.reference()
        return `${names(columns)} -> ${getTableConfig(foreignTable).name}(${names(foreignColumns)}) ${key.onDelete ?? 'no action'}`
      })
      .sort(),
    checks: checks.map((check) => `${check.name} ${plain(textOf(check.value))}`).sort(),
    indexes: [
      ...columns
        .filter((column) => column.isUnique)
        .map((column) => `${column.uniqueName} unique (${column.name})`),
      ...indexes.map(({ config }) => {
        const columns = config.columns.map((column) =>
          is(column, SQL) ? textOf(column) : (column as IndexedColumn).name,
        )
        const where = config.where === undefined ? '' : ` where ${plain(textOf(config.where))}`
        return `${config.name}${config.unique ? ' unique' : ''} (${columns.join(', ')})${where}`
      }),
    ].sort(),
  }
}

export async function liveShapes(client: pg.Client, schema: string): Promise<TableShape[]> {
  const answer = await client.query(
    `SELECT n.nspname || '.' || c.relname AS name,
      (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'notNull', a.attnotnull,
          'default', pg_get_expr(d.adbin, d.adrelid), 'identity', a.attidentity) ORDER BY a.attnum)
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
      (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_constraint k
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY(k.conkey)
        WHERE k.conrelid = c.oid AND k.contype = 'p') AS "primaryKey",
      (SELECT coalesce(json_agg(pg_get_constraintdef(k.oid)), '[]') FROM pg_constraint k
        WHERE k.conrelid = c.oid AND k.contype = 'f') AS "foreignKeys",
      (SELECT coalesce(json_agg(k.conname || ' ' || pg_get_expr(k.conbin, k.conrelid)), '[]') FROM pg_constraint k
        WHERE k.conrelid = c.oid AND k.contype = 'c') AS checks,
      (SELECT coalesce(json_agg(json_build_object('name', i.relname, 'unique', x.indisunique, 'where', pg_get_expr(x.indpred, x.indrelid),
          'definition', pg_get_indexdef(x.indexrelid))), '[]')
        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid AND NOT x.indisprimary) AS indexes
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname = $1 ORDER BY 1`,
    [schema],
  )
  return answer.rows.map((row) => ({
    ...row,
    columns: row.columns.map((column: TableShape['columns'][number]) => ({
      ...column,
      default: column.default === null ? null : plain(column.default),
    })),
    foreignKeys: row.foreignKeys.map(readForeignKey).sort(),
    checks: row.checks.map(plain).sort(),
    indexes: row.indexes.map(readIndex).sort(),
  }))
}

function readForeignKey(definition: string): string {
  const [, columns, to, referenced, action] =
    /^FOREIGN KEY \((.+)\) REFERENCES (\w+)\((.+)\)(?: ON DELETE (.+))?$/.exec(definition) ?? []
  return `${columns} -> ${to}(${referenced}) ${action?.toLowerCase() ?? 'no action'}`
}

function readIndex(index: {
  name: string
  unique: boolean
  where: string | null
  definition: string
}): string {
  const columns = /USING btree (\([^)]*\))/.exec(index.definition)?.[1]?.replaceAll('"', '')
  return `${index.name}${index.unique ? ' unique' : ''} ${columns}${index.where === null ? '' : ` where ${plain(index.where)}`}`
}

function declaredDefault(column: PgColumn, table: string): string | null {
  if (column.getSQLType() === 'bigserial') return `nextval(${table}_${column.name}_seq)`
  if (column.default === undefined) return null
  if (is(column.default, SQL)) return plain(textOf(column.default))
  return typeof column.default === 'object' ? JSON.stringify(column.default) : String(column.default)
}

function textOf(expression: SQL): string {
  return dialect.sqlToQuery(expression.inlineParams()).sql
}

/** An expression without what Postgres adds when it writes one back: casts, quotes, parentheses, other words for IN. */
function plain(expression: string): string {
  return expression
    .replaceAll(/::[a-z]+(\[\])?/g, '')
    .replaceAll(/"\w+"\.|["']|[()[\]]/g, '')
    .replace(/ = ANY ARRAY/, ' IN ')
    .replace(/^nextval(.*)$/, 'nextval($1)')
}
