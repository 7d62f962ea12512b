import * as z from 'zod'

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
