import * as z from 'zod'
import { everything, Touched } from '../../store/selection.ts'

/** What the plan says of the cache: how many keys there are, and how many of them stay. */
export const CachePlan = z.strictObject({ keys: z.number(), preservedKeys: z.number() })
export type CachePlan = z.output<typeof CachePlan>

/** Of what a restore puts back: it comes in one batch, and all else stands in the backup. */
export const CacheInRestore = z.strictObject({
  /** The keys that it touches, by patterns (glob). */
  touchedKeys: Touched.default(everything),
})
export type CacheInRestore = z.output<typeof CacheInRestore>

/** How many keys a wipe by the plan deletes. */
export function keysToWipe({ keys, preservedKeys }: CachePlan): number {
  return keys - preservedKeys
}
