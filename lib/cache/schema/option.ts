import * as z from 'zod'

const count = z.int().nonnegative()

/** What of the cache could be reset. */
export const CacheOption = z.strictObject({
  prefix: z.string(),
  keys: count,
  preservedKeys: count,
  /** Preserved patterns that match no key. */
  unmatched: z.array(z.string()),
  /** There are at least so many: scanning them ended early. */
  approximate: z.boolean(),
})
export type CacheOption = z.output<typeof CacheOption>
