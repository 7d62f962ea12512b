import type { Warning } from '../../backup/manifest.ts'
import { type Definition, definitionLimits } from '../../backup/sections/definition.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError, sqlStateOf } from '../../postgres/errors.ts'
import { quote } from '../../postgres/identifiers.ts'
import { type Sequence, sequencesOf } from '../catalog/sequences.ts'
import type { Table } from '../catalog/table.ts'
import { beginSnapshot } from '../snapshot.ts'
import { readComments } from './comments.ts'
import { readIndexes, readKeys } from './constraints.ts'
import { leftOut, readLeftOut } from './left-out.ts'
import { findBookkeeping, readMigrations } from './migrations.ts'
import { readSequences } from './sequences.ts'
import { readTables } from './tables.ts'
import { readTypes } from './types.ts'

/** Of more tables it would be longer, so nothing is read for it. */
const mostTables = 800

export type Defined = {
  /** The tables of the backup, and those above them. */
  tables: readonly Table[]
  /** The names of tables of these schemas that it leaves out. */
  excluded: readonly string[]
  sequences: readonly Sequence[]
  schemas: readonly string[]
  /** Milliseconds that a table is waited for which somebody has locked. */
  waitMs: number
}

type Told = { definition: Definition | null; warnings: Warning[] }

export const nothingTold: Told = { definition: null, warnings: [] }

/**
 * What makes the tables of a backup in an empty database, as SQL from the catalog, and the rows of migration tools. It is for
 * reading, and for want of migrations: what it does not say is named in it.
 * @see docs/decisions.md#a-backup-tells-how-its-tables-are-made
 */
export async function readDefinition(connection: Connection, defined: Defined): Promise<Told> {
  if (defined.tables.length > mostTables) return { definition: tooLong, warnings: [] }
  try {
    await connection.query(`${beginSnapshot}; SET LOCAL lock_timeout = ${defined.waitMs}`)
    const definition = await textOf(connection, defined)
    await connection.query('COMMIT')
    return { definition, warnings: [] }
  } catch (error) {
    const state = sqlStateOf(error)
    if (state === undefined || /^(08|57P)/.test(state)) throw databaseError(error)
    await connection.query('ROLLBACK')
    const message = `How the tables are made could not be read (SQLSTATE ${state}): the backup holds all rows, but "--into-empty" cannot make its tables. With the next backup it is tried again`
    return { definition: null, warnings: [{ code: 'DefinitionNotKept', message }] }
  }
}

const tooLong: Definition = {
  sql: '',
  leftOut: [`everything: the text would have more than ${definitionLimits.sql / 1024} KiB`],
  migrations: [],
}

async function textOf(connection: Connection, defined: Defined): Promise<Definition> {
  const bookkeeping = await findBookkeeping(connection, defined.schemas)
  const oids = [...new Set([...defined.tables, ...bookkeeping].map(({ oid }) => oid))]
  const types = await readTypes(connection, oids)
  const held = sequencesOf(defined.sequences, defined.tables)
  const sequences = await readSequences(connection, oids, held)
  const tables = await readTables(connection, oids)
  if (tables.statements.join().length > definitionLimits.sql) return tooLong
  const indexes = await readIndexes(connection, oids)
  const keys = await readKeys(connection, oids)
  const schemas = [...new Set([...types.schemas, ...sequences.schemas, ...tables.schemas])].sort()
  const comments = await readComments(connection, {
    ...{ tables: oids, sequences: held, types: types.oids },
    schemas: schemas.filter((schema) => schema !== 'public'),
  })
  const statements = [
    ...schemas.flatMap((schema) => (schema === 'public' ? [] : makeSchema(schema))),
    ...sequences.statements, // before domains, whose defaults may ask them
    ...types.statements,
    ...tables.statements,
    ...sequences.owned,
    ...tables.attached,
    ...indexes.statements,
    ...indexes.attached,
    ...keys.statements,
    ...comments,
  ]
  const sql = statements.map((statement) => `${statement};\n`).join('\n')
  if (Buffer.byteLength(sql) > definitionLimits.sql) return tooLong
  const migrations = await readMigrations(connection, bookkeeping)
  return {
    sql,
    leftOut: [
      ...leftOut('tables', defined.excluded),
      ...leftOut('types', types.without),
      ...leftOut('foreign keys', keys.without),
      ...(await readLeftOut(connection, oids, defined.schemas)),
      ...(migrations === null
        ? leftOut(
            'rows',
            bookkeeping.map(({ name }) => name),
          )
        : []),
    ],
    migrations: migrations ?? [],
  }
}

function makeSchema(schema: string): string[] {
  return [`CREATE SCHEMA IF NOT EXISTS ${quote(schema)}`]
}
