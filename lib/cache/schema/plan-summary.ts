import * as z from 'zod'
import type { Manifest } from '../../backup/manifest.ts'
import type { Summarizer } from '../../store/sections.ts'
import type { CachePlan } from './plan.ts'

/** What the ledger keeps of it. */
export const CacheSummary = z.object({ keys: z.number().default(0), preservedKeys: z.number().default(0) })
export type CacheSummary = z.output<typeof CacheSummary>

export const CacheInLedger = CacheSummary.nullable()

/** Of what a restore puts back: the keys that the backup holds. */
export const CacheRestoreInLedger = z.object({ keys: z.number().default(0) })

export const cacheSummary: Summarizer<CachePlan, CacheSummary, NonNullable<Manifest['cache']>> = {
  section: (planned) => planned,
  restored: (held) => ({ keys: held?.keys ?? 0 }),
}
