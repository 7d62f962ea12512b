import { type Target, targets } from '../../lib/store.ts'
import type { Asked, Demonstration } from '../store.ts'
import { type Shapes, stores } from '../stores.ts'

export type Counts = { [T in Target]: Shapes[T]['count'] }
export type Demonstrations = { [T in Target]: Demonstration<Counts[T]> }

export async function demonstrationsOfStores(): Promise<Demonstrations> {
  const loaded = targets.map(async (store) => [store, await stores[store].demonstration()])
  return Object.fromEntries(await Promise.all(loaded)) as Demonstrations
}

/** What the stores hold, asked past the product. */
export async function countStores(demonstrations: Demonstrations, asked: Asked): Promise<Counts> {
  const counted = targets.map(async (store) => [store, await demonstrations[store].count(asked)])
  return Object.fromEntries(await Promise.all(counted)) as Counts
}

/** How much they hold, of each store. */
export function countsInWords(demonstrations: Demonstrations, counts: Counts): string[] {
  const wordsOf = <T extends Target>(store: T) => demonstrations[store].words(counts[store])
  return targets.map(wordsOf)
}
