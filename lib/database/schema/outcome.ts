import * as z from 'zod'

const count = z.number().int().nonnegative()

/**
 * What an outcome counts of the database: the rows of all tables, and of each. Of a backup also how many of them were copied
 * from an earlier one, because they had not changed, and their bytes as stored; absent: none.
 */
export const DatabaseCounts = z.strictObject({
  rows: count,
  tables: z.record(z.string(), count),
  takenOver: z.strictObject({ backupId: z.string(), rows: count, bytes: count }).optional(),
})
export type DatabaseCounts = z.output<typeof DatabaseCounts>
