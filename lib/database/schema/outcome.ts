import * as z from 'zod'

const count = z.number().int().nonnegative()

/**
 * What an outcome counts of the database: the rows of all tables, and of each, that were backed up, wiped or put back.
 * `takenOver` is of the backup that the run made, whatever was done behind it: how many of its rows were copied from an
 * earlier one, because they had not changed, with their bytes as stored, and how many were exported; absent: none was copied.
 */
export const DatabaseCounts = z.strictObject({
  rows: count,
  tables: z.record(z.string(), count),
  takenOver: z.strictObject({ backupId: z.string(), rows: count, exported: count, bytes: count }).optional(),
})
export type DatabaseCounts = z.output<typeof DatabaseCounts>
