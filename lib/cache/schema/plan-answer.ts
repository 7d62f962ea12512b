import * as z from 'zod'
import type { PlanTeller } from '../../store/sections.ts'
import type { CacheSummary } from './plan-summary.ts'

const count = z.number().int().nonnegative()

/** What a dry run tells of the keys. */
export const CacheWould = z.strictObject({ keys: count, preservedKeys: count })
export type CacheWould = z.output<typeof CacheWould>

/** Of a dry run of a restore: how many keys the backup holds. */
export const CacheBack = z.object({ keys: count })
export type CacheBack = z.output<typeof CacheBack>

/** What a run's answer tells of its plan. */
export const CachePlanAnswer = z.strictObject({ keys: z.int().nonnegative() })
export type CachePlanAnswer = z.output<typeof CachePlanAnswer>

export const cachePlanTold: PlanTeller<CacheSummary, CachePlanAnswer, CacheWould> = {
  answer: ({ keys }) => ({ keys }),
  would: ({ keys, preservedKeys }) => ({ keys, preservedKeys }),
}
