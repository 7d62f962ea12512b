import { createHash } from 'node:crypto'
import type { FrameAt } from '../../backup/ranges/read-frames.ts'
import type { BackedUpTable, Column, TableDefinition } from '../../backup/sections/database.ts'
import { qualified, quote } from '../../postgres/identifiers.ts'
import type { Table } from '../catalog/table.ts'
import type { Rows } from '../rows.ts'

/** Where a run loads a backup to look at it: a schema of its own, dropped by the step that compared or restored. */
export const scratchPrefix = 'taskmaster_scratch_'

export function scratchSchemaOf(runId: string): string {
  return `${scratchPrefix}${createHash('sha256').update(runId).digest('hex').slice(0, 16)}`
}

/** The copy of a table there. Named by number: a name made of schema and table could exceed Postgres' 63 bytes. */
export function scratchTableOf(runId: string, table: Pick<TableDefinition, 'oid' | 'columns'>): Rows {
  return { schema: scratchSchemaOf(runId), table: `t${table.oid}`, columns: table.columns }
}

/** By which `loaded` knows a part, or some frames of one. */
export function noteOf({ key, frames }: { key: string; frames?: readonly FrameAt[] | undefined }): string {
  if (frames === undefined) return key
  return `${key} ${createHash('sha256').update(JSON.stringify(frames)).digest('hex')}`
}

/**
 * Values of the application's own types (domains, composite types, arrays of them) are kept there as the text that was
 * backed up: a domain may refuse what its rows have held for long, when its constraint is NOT VALID or asks a function.
 * @see docs/decisions.md#scratch-tables-hold-nothing-that-could-refuse-a-row
 */
export function isHeldAsText({ type, asText }: Pick<Column, 'type' | 'asText'>): boolean {
  return asText && type.includes('.')
}

/** A value that is held as text, read by its type's input function: a cast of the application's, of text, might read otherwise. */
export function typedValue(value: string, type: string | undefined): string {
  return `${value}::pg_catalog.varchar::${type}`
}

/**
 * For FROM: the rows of a table there, with the types that the live table has. Under the live table's name its own
 * expressions (checks, generated columns) can be asked of them.
 */
export function typedRows(runId: string, table: BackedUpTable, live: Table, alias = table.table): string {
  const typeOf = new Map(live.columns.map(({ name, type }) => [name, type]))
  const values = table.columns.map((column) =>
    isHeldAsText(column)
      ? `${typedValue(`r.${quote(column.name)}`, typeOf.get(column.name))} AS ${quote(column.name)}`
      : `r.${quote(column.name)}`,
  )
  return `(SELECT ${values.join(', ')} FROM ${qualified(scratchTableOf(runId, table))} AS r) AS ${quote(alias)}`
}
