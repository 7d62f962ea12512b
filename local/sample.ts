import type { Target } from '../lib/store.ts'
import { targets } from '../lib/store.ts'
import type { Reached } from './store.ts'
import { type Shapes, stores } from './stores.ts'

export type Sample = { [T in Target]: Shapes[T]['filled'] }

/**
 * Fills the three stores with a TaskMaster in use: about 5,400 rows in seven tables, 120 stories and 300 keys times
 * `scale`, the same ones every time. The database must not hold the tables yet.
 */
export async function fillSample(reached: Reached, { scale = 1 }: { scale?: number } = {}): Promise<Sample> {
  const filled = targets.map(async (store) => [store, await stores[store].fill(reached, scale)])
  return Object.fromEntries(await Promise.all(filled)) as Sample
}

/** How much it is, of each store: `5,390 rows`. */
export function sampleInWords(sample: Sample): string[] {
  const wordsOf = <T extends Target>(store: T) => stores[store].filledWith(sample[store])
  return targets.map(wordsOf)
}
