import * as z from 'zod'
import { TableDifference } from './difference.ts'

const count = z.number().int().nonnegative()

/** Of each column the value as Postgres writes it, or its beginning; null is NULL. */
const values = z.array(z.string().nullable())

/** A row that a restore would remove (`extra`), bring back (`missing`) or change back (`changed`), as it was and as it is now. */
export const DifferingRow = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('extra'), now: values }),
  z.strictObject({ kind: z.literal('missing'), before: values }),
  z.strictObject({ kind: z.literal('changed'), before: values, now: values }),
])
export type DifferingRow = z.output<typeof DifferingRow>

/** What was found of the table of which rows are told. */
export const ToldTable = TableDifference.extend({
  /** Those of the backup, in the order of the values of each row. */
  columns: z.array(z.string()),
  /** The columns of the primary key, by which rows that changed are known; empty when none did. */
  key: z.array(z.string()),
  /** So many rows were asked for of each kind. */
  limit: count,
  /** Of these so many are not told, because all would be too long. */
  leftOut: count,
})
export type ToldTable = z.output<typeof ToldTable>

export const ToldRows = ToldTable.extend({
  rows: z
    .array(DifferingRow)
    .describe(
      'Those that a restore would remove (`extra`), bring back (`missing`) or change back (`changed`): values in the order of `columns`, as Postgres writes them, of long ones the beginning; null is NULL',
    ),
})
export type ToldRows = z.output<typeof ToldRows>
