import * as z from 'zod'
import { BackedUpSequence } from '../../backup/sections/database.ts'

const count = z.number().int().nonnegative()

/**
 * One table. `before` and `now`: its rows in the backup and in the live table, null where there is no such table. A restore
 * removes the rows that are `extra`, brings back those that are `missing`, and gives back their values to those that are
 * `changed`: rows with the same primary key and other values. Without a primary key (`changed` is null) such a row counts as
 * extra and as missing.
 */
export const TableDifference = z.strictObject({
  name: z.string(),
  before: count.nullable(),
  now: count.nullable(),
  extra: count,
  missing: count,
  changed: count.nullable(),
  /** Why its rows could not be compared; absent: they were. */
  obstacle: z.string().optional(),
})
export type TableDifference = z.output<typeof TableDifference>

/** Where a sequence stands; null: it is not there. */
const position = BackedUpSequence.pick({ lastValue: true, isCalled: true }).nullable()

/** What became of the database since a backup: of the tables and sequences only those that differ. */
export const DatabaseDifference = z.strictObject({
  /** Tables that were compared and hold the same rows. */
  equal: count,
  tables: z.array(TableDifference),
  sequences: z.array(z.strictObject({ name: z.string(), before: position, now: position })),
})
export type DatabaseDifference = z.output<typeof DatabaseDifference>
