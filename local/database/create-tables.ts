import { is, SQL } from 'drizzle-orm'
import {
  getTableConfig,
  type IndexedColumn,
  type PgColumn,
  PgDialect,
  type PgTable,
} from 'drizzle-orm/pg-core'

const dialect = new PgDialect()

/**
 * CREATE TABLE and CREATE INDEX of drizzle tables: what those of lib/database/taskmaster.ts use, and no more. Parents must
 * come first. drizzle-kit could do it too, at the price of a dependency with its own esbuild.
 */
export function createTables(tables: readonly PgTable[]): string {
  return tables.flatMap((table) => [createTable(table), ...createIndexes(table)]).join(';\n')
}

function createTable(table: PgTable): string {
  const { name, columns, foreignKeys, checks } = getTableConfig(table)
  const parts = [
    ...columns.map(columnOf),
    ...foreignKeys.map((key) => {
      const { columns, foreignColumns, foreignTable } = key.reference()
      const action = key.onDelete === undefined ? '' : ` ON DELETE ${key.onDelete}`
      return `FOREIGN KEY (${names(columns)}) REFERENCES ${quote(getTableConfig(foreignTable).name)} (${names(foreignColumns)})${action}`
    }),
    ...checks.map((check) => `CONSTRAINT ${quote(check.name)} CHECK (${textOf(check.value)})`),
  ]
  return `CREATE TABLE ${quote(name)} (\n  ${parts.join(',\n  ')}\n)`
}

function createIndexes(table: PgTable): string[] {
  const { name, indexes } = getTableConfig(table)
  return indexes.map(({ config }) => {
    const columns = config.columns.map((column) =>
      is(column, SQL) ? textOf(column) : quote((column as IndexedColumn).name ?? ''),
    )
    const unique = config.unique ? 'UNIQUE ' : ''
    return `CREATE ${unique}INDEX ${quote(config.name ?? '')} ON ${quote(name)} (${columns.join(', ')})`
  })
}

function columnOf(column: PgColumn): string {
  const parts = [quote(column.name), column.getSQLType()]
  if (column.generatedIdentity !== undefined) {
    const kind = column.generatedIdentity.type === 'always' ? 'ALWAYS' : 'BY DEFAULT'
    parts.push(`GENERATED ${kind} AS IDENTITY`)
  } else if (column.default !== undefined) parts.push(`DEFAULT ${defaultOf(column)}`)
  if (column.primary) parts.push('PRIMARY KEY')
  else if (column.notNull) parts.push('NOT NULL')
  if (column.isUnique) parts.push(`CONSTRAINT ${quote(column.uniqueName ?? '')} UNIQUE`)
  return parts.join(' ')
}

function defaultOf(column: PgColumn): string {
  if (is(column.default, SQL)) return textOf(column.default)
  const value = typeof column.default === 'object' ? JSON.stringify(column.default) : String(column.default)
  return `'${value.replaceAll("'", "''")}'`
}

function textOf(expression: SQL): string {
  const { sql, params } = dialect.sqlToQuery(expression.inlineParams())
  if (params.length > 0) throw new Error(`An expression of the schema has parameters: ${sql}`)
  return sql
}

function names(columns: readonly PgColumn[]): string {
  return columns.map((column) => quote(column.name)).join(', ')
}

function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}
