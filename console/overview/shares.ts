import type { Options } from '../../lib/http/answers/options.ts'
import { type Strategy, scopeOf } from '../../lib/run/strategy.ts'
import type { Total } from '../../lib/store/words.ts'
import { type Target, targets } from '../../lib/store.ts'
import { words } from '../../lib/stores/words.ts'
import type { CountedStore, Share } from '../stores/store.ts'
import { stores } from '../stores/stores.ts'

/** Of each store how many things; null for one that is left alone, or that cannot be counted. */
export type Amounts = Record<Total, number | null>
export type EstimatedAmounts = Amounts & { estimated: boolean }

/** A store as it was counted; null: it cannot be counted now. */
export function foundIn<T extends Target>(options: Options, target: T): CountedStore[T] | null {
  const found: Options[Target] = options[target]
  return found.available ? (found as CountedStore[T]) : null
}

/** What of it goes with a reset of it, and what stays. */
export function shareOf<T extends Target>(options: Options, target: T): Share | null {
  const found = foundIn(options, target)
  return found && stores[target].share(found, options.abridged === true)
}

/** What is in all stores together. */
export function contentsOf(options: Options): EstimatedAmounts {
  return countedBy(options, targets, ({ goes, stays }) => goes + stays)
}

/** What a strategy wipes. */
export function wipedBy(options: Options, strategy: Strategy): EstimatedAmounts {
  return countedBy(options, scopeOf(strategy).clears, ({ goes }) => goes)
}

function countedBy(
  options: Options,
  wanted: readonly Target[],
  pick: (share: Share) => number,
): EstimatedAmounts {
  const shares = targets.map((target) => ({
    total: words[target].total,
    share: wanted.includes(target) ? shareOf(options, target) : null,
  }))
  const counts = shares.map(({ total, share }) => [total, share && pick(share)])
  return {
    ...(Object.fromEntries(counts) as Amounts),
    estimated: shares.some(({ share }) => share?.estimated),
  }
}
