import { type Target, targets } from '../store.ts'

export const strategies = ['full', 'database-only', 'files-only', 'cache-only'] as const satisfies (
  | 'full'
  | `${Target}-only`
)[]
export type Strategy = (typeof strategies)[number]

/** What a strategy clears, and what it leaves as it is. */
export function scopeOf(strategy: Strategy): { clears: Target[]; preserves: Target[] } {
  const isCleared = (target: Target) => strategy === 'full' || strategy === `${target}-only`
  return {
    clears: targets.filter(isCleared),
    preserves: targets.filter((target) => !isCleared(target)),
  }
}
