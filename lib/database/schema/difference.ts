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

/**
 * A foreign key that would not hold after the restore that a dry run stands for, between tables that it puts back and tables that
 * stay: so many rows that come back, and so many that stay, would refer to nothing.
 */
export const BrokenKey = z.strictObject({
  name: z.string(),
  from: z.string(),
  to: z.string(),
  coming: count,
  staying: count,
  /** What stays of the two is a table that the backup does not hold. */
  later: z.boolean(),
})
export type BrokenKey = z.output<typeof BrokenKey>

/** What became of the database since a backup: of the tables and sequences only those that differ. */
export const DatabaseDifference = z.strictObject({
  /** Tables that were compared and hold the same rows. */
  equal: count,
  tables: z.array(TableDifference),
  sequences: z.array(z.strictObject({ name: z.string(), before: position, now: position })),
  broken: z.array(BrokenKey).optional().meta({
    description:
      'Foreign keys between what the restore of a dry run would put back and what stays, that would not hold: so many rows that come back (`coming`) and that stay (`staying`) would refer to nothing; `later`: what stays of the two is a table that the backup does not hold. Absent: nobody asked, or all hold that were counted',
  }),
})
export type DatabaseDifference = z.output<typeof DatabaseDifference>
