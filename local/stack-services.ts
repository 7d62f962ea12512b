import type { Target } from '../lib/store.ts'
import type { StackPlan } from './stack-plan.ts'
import type { Provision, Starting } from './store.ts'
import { type Shapes, storeNames, stores } from './stores.ts'

type StartedStores = { [T in Target]: Shapes[T]['started'] }

/**
 * Sees to it that this machine has the programs of what is to be embedded. To be called before anything is started; without
 * it, what is there is taken.
 */
export async function provideServices(plan: StackPlan, provision: Provision): Promise<void> {
  for (const store of storeNames) if (plan[store].embedded) await stores[store].provide?.(provision)
}

/** Starts the services of all stores at once, or what has to stand in front of those that are given. */
export async function startServices(plan: StackPlan, starting: Starting): Promise<StartedStores> {
  const start = async <T extends Target>(store: T) => [
    store,
    await stores[store].start(plan[store], starting),
  ]
  const starts = storeNames.map(start)
  // Waits for all of them even when one fails: what starts late must be known before it can be torn down.
  await Promise.allSettled(starts)
  return Object.fromEntries(await Promise.all(starts)) as StartedStores
}
