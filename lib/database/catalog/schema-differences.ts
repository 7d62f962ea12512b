import type { Manifest } from '../../backup/manifest.ts'
import type { Column, TableDefinition } from '../../backup/sections/database.ts'
import { SchemaChanged } from '../../errors.ts'
import type { Catalog } from './catalog.ts'
import type { Table } from './table.ts'
import type { Tables } from './tables.ts'

type SchemaDifferences = {
  /** Why the backup cannot be put into the live tables, readable, one per table or column. */
  blocking: string[]
  /** Columns that came later and that the backup's rows can do without: nullable, or with a default. */
  tolerated: string[]
  /** Tables and sequences that are no longer there, which `without` may leave out. */
  missing: string[]
}

/** Of a backup's database, what has to fit. */
type BackedUpDatabase = Pick<NonNullable<Manifest['database']>, 'sequences'> & {
  tables: readonly TableDefinition[]
}

/** What differs between the tables of a backup and the live ones: a pure function. */
export function schemaDifferences(
  database: BackedUpDatabase,
  catalog: Pick<Catalog, 'tables' | 'sequences'>,
): SchemaDifferences {
  const blocking: string[] = []
  const tolerated: string[] = []
  const missing: string[] = []
  const live = new Map(catalog.tables.map((table) => [table.name, table]))
  for (const table of database.tables) {
    const now = live.get(table.name)
    if (now === undefined || now.schema !== table.schema || now.table !== table.table) {
      blocking.push(`the table ${table.name} does not exist any more, or is not managed`)
      missing.push(table.name)
    } else if (now.partitioned) {
      blocking.push(`the table ${table.name} is partitioned now, so that it holds no rows of its own`)
    } else compareColumns(table, now, { blocking, tolerated })
  }
  const sequences = new Map(catalog.sequences.map((sequence) => [sequence.name, sequence]))
  for (const { name, schema, sequence } of database.sequences) {
    const now = sequences.get(name)
    if (now?.schema === schema && now.table === sequence) continue
    blocking.push(`the sequence ${name} does not exist any more`)
    missing.push(name)
  }
  return { blocking, tolerated, missing }
}

/**
 * The live tables must be able to take the backup's rows.
 * @returns the columns that came later and keep their default
 * @throws SchemaChanged listing what differs
 */
export function checkSchema(
  database: BackedUpDatabase,
  catalog: Pick<Catalog, 'tables' | 'sequences'>,
): string[] {
  const { blocking, tolerated, missing } = schemaDifferences(database, catalog)
  if (blocking.length === 0) return tolerated
  throw new SchemaChanged(
    `The live tables are no longer those of the backup: ${blocking.join('; ')}. Nothing was touched; bring the schema back to what it was (run the migrations of that time), then restore${
      missing.length === 0
        ? ''
        : `; what was dropped for good a restore can leave out: "without": ${JSON.stringify(missing)}`
    }`,
  )
}

function compareColumns(
  table: TableDefinition,
  now: Table,
  { blocking, tolerated }: Pick<SchemaDifferences, 'blocking' | 'tolerated'>,
): void {
  const columns = new Map(now.columns.map((column) => [column.name, column]))
  for (const { name, type, generated, asText } of table.columns) {
    const column = columns.get(name)
    columns.delete(name)
    const where = `${table.name}.${name}`
    if (column === undefined) blocking.push(`the column ${where} does not exist any more`)
    else if (column.type !== type) blocking.push(`the column ${where} was ${type} and is ${column.type} now`)
    else if (isOtherKind({ type, asText }, column))
      blocking.push(`the type ${type} of the column ${where} is another one now`)
    else if ((column.generated === '') !== (generated === '')) {
      blocking.push(
        `the column ${where} was ${generated === '' ? 'not ' : ''}generated and is ${generated === '' ? '' : 'not '}now`,
      )
    }
  }
  for (const { name, notNull, hasDefault, generated, identity } of columns.values()) {
    const where = `${table.name}.${name}`
    if (notNull && !hasDefault && generated === '' && identity === '') {
      blocking.push(`the column ${where} came later, may not be null and has no default`)
    } else tolerated.push(where)
  }
}

/**
 * Whether a type of the same name writes its values in another way. One of the application's that became text since, as ranges
 * of its domains did, writes the same, which is compared before it counts.
 */
export function isOtherKind(
  { type, asText }: Pick<Column, 'type' | 'asText'>,
  now: Pick<Column, 'asText'>,
): boolean {
  return asText ? !now.asText : now.asText && !type.includes('.')
}

/** The same for tables alone. @throws SchemaChanged listing what differs */
export function checkTables(tables: readonly TableDefinition[], live: Tables): void {
  checkSchema({ tables, sequences: [] }, { ...live, sequences: [] })
}
