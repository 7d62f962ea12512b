import * as z from 'zod'

const count = z.number().int().nonnegative()

/** What an outcome counts of the database: the rows of all tables, and of each. */
export const DatabaseCounts = z.strictObject({ rows: count, tables: z.record(z.string(), count) })
export type DatabaseCounts = z.output<typeof DatabaseCounts>
