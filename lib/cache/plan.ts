import type { Warning } from '../backup/manifest.ts'
import { operations } from '../operations.ts'
import type { Limit, Planner } from '../store.ts'
import { countCache } from './count.ts'
import { probeCache, refuseReservedKeys } from './probe.ts'
import { type CacheInRestore, type CachePlan, keysToWipe } from './schema/plan.ts'

/** Tries what the steps rely on, and counts the keys. @throws as probeCache does */
export const planCache: Planner<CachePlan, CacheInRestore> = async (
  clients,
  _connection,
  { operation, dryRun, preserve },
) => {
  const warnings: Warning[] = []
  if (dryRun) await refuseReservedKeys(clients)
  else
    warnings.push(...(await probeCache(clients, { needsRoom: operations[operation].changes === 'replaced' })))
  const { keys, preservedKeys, unmatched } = await countCache(clients, { preserve: preserve.keys })
  for (const pattern of unmatched) {
    warnings.push({
      code: 'PreserveMatchedNothing',
      message: `No cache key matches ${pattern}, which was to be preserved`,
    })
  }
  return { planned: { keys, preservedKeys }, restore: null, warnings }
}

/** How many keys the plan wipes, and how many a reset may. */
export const cacheLimit: Limit<CachePlan> = (planned, { MAX_KEYS }) => ({
  ...{ name: 'MAX_KEYS', limit: MAX_KEYS, count: keysToWipe(planned), what: 'cache key' },
})
