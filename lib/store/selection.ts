import * as z from 'zod'
import { isStorable } from '../postgres/storable.ts'
import { isText } from './preserve.ts'

/** What of a backup's tables and sequences a restore puts back, as its request says it: without these fields, all. */
export const selection = {
  without: z
    .array(z.string().min(1).max(1024))
    .max(1000)
    .optional()
    .describe(
      'Tables and sequences of the backup that were dropped since, as `schema.table`: the others are put back without them',
    ),
}
export type Selection = z.output<z.ZodObject<typeof selection>>

/** Of which table a diff tells rows, and how many. Without it, none. */
export const telling = {
  rows: z
    .strictObject({
      table: z.string().min(1).max(1024).refine(isStorable, isText).describe('As `schema.table` or `table`'),
      limit: z.number().int().min(1).max(100).default(20).describe('So many of each kind'),
    })
    .optional()
    .describe(
      'Keep the first rows of this table that a restore would remove, bring back or change, for who may restore',
    ),
}
