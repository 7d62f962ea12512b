import * as z from 'zod'
import type { CacheSummary } from './plan-summary.ts'

const count = z.number().int().nonnegative()

/** What a dry run tells of the keys. */
export const CacheWould = z.strictObject({ keys: count, preservedKeys: count })
export type CacheWould = z.output<typeof CacheWould>

/** Of a dry run of a restore: how many keys the backup holds. */
export const CacheBack = z.object({ keys: count })
export type CacheBack = z.output<typeof CacheBack>

export function wouldOfCache({ keys, preservedKeys }: CacheSummary): CacheWould {
  return { keys, preservedKeys }
}
