import { type Target, targets } from '../store.ts'

export type Strategy = 'full' | `${Target}-only`
export const strategies: readonly Strategy[] = ['full', ...targets.map((target) => `${target}-only` as const)]

/** What a strategy clears, and what it leaves as it is. */
export function scopeOf(strategy: Strategy): { clears: Target[]; preserves: Target[] } {
  const isCleared = (target: Target) => strategy === 'full' || strategy === `${target}-only`
  return {
    clears: targets.filter(isCleared),
    preserves: targets.filter((target) => !isCleared(target)),
  }
}
