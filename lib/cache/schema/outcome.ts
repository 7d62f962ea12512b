import * as z from 'zod'

/** What an outcome counts of the cache. */
export const CacheCounts = z.strictObject({ keys: z.number().int().nonnegative() })
export type CacheCounts = z.output<typeof CacheCounts>
