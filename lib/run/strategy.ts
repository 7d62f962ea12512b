import { type Target, targets } from '../store.ts'

export const strategies = ['full', 'database-only', 'files-only', 'cache-only'] as const
export type Strategy = (typeof strategies)[number]

const cleared: Record<Strategy, readonly Target[]> = {
  full: ['database', 'files', 'cache'],
  'database-only': ['database'],
  'files-only': ['files'],
  'cache-only': ['cache'],
}

/** What a strategy clears, and what it leaves as it is. */
export function scopeOf(strategy: Strategy): { clears: Target[]; preserves: Target[] } {
  const clears = cleared[strategy]
  return {
    clears: targets.filter((target) => clears.includes(target)),
    preserves: targets.filter((target) => !clears.includes(target)),
  }
}
