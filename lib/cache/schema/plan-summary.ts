import * as z from 'zod'

/** What the ledger keeps of it. */
export const CacheSummary = z.object({ keys: z.number().default(0), preservedKeys: z.number().default(0) })
export type CacheSummary = z.output<typeof CacheSummary>
