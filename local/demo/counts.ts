import { type Target, targets } from '../../lib/store.ts'
import type { Demonstration, DirectAccess } from '../store.ts'
import { type Shapes, stores } from '../stores.ts'

export type CountsOfStores = { [T in Target]: Shapes[T]['count'] }
export type Demonstrations = { [T in Target]: Demonstration<CountsOfStores[T]> }

export async function demonstrationsOfStores(): Promise<Demonstrations> {
  const loaded = targets.map(async (store) => [store, await stores[store].demonstration()])
  return Object.fromEntries(await Promise.all(loaded)) as Demonstrations
}

/** What the stores hold, asked past the product. */
export async function countStores(
  demonstrations: Demonstrations,
  asked: DirectAccess,
): Promise<CountsOfStores> {
  const counted = targets.map(async (store) => [store, await demonstrations[store].count(asked)])
  return Object.fromEntries(await Promise.all(counted)) as CountsOfStores
}

/** How much they hold, of each store. */
export function countsInWords(demonstrations: Demonstrations, counts: CountsOfStores): string[] {
  const wordsOf = <T extends Target>(store: T) => demonstrations[store].words(counts[store])
  return targets.map(wordsOf)
}
