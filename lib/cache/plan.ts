import type { Warning } from '../backup/manifest.ts'
import type { Clients } from '../clients.ts'
import type { Config } from '../config.ts'
import { countCache } from './count.ts'
import { type CachePlan, keysToWipe } from './plan-section.ts'
import { probeCache, refuseReservedKeys } from './probe.ts'

type Tools = Pick<Clients, 'cache' | 'config'>

type CacheToPlan = {
  operation: 'backup' | 'reset' | 'restore'
  /** Nothing is written: no key to try the server with. */
  dryRun: boolean
  /** Redis globs over whole keys. */
  preserve: readonly string[]
}

/** Tries what the steps rely on, and counts the keys. @throws as probeCache does */
export async function planCache(
  tools: Tools,
  { operation, dryRun, preserve }: CacheToPlan,
): Promise<{ planned: CachePlan; restore: null; warnings: Warning[] }> {
  const warnings: Warning[] = []
  if (dryRun) await refuseReservedKeys(tools)
  else warnings.push(...(await probeCache(tools, { needsRoom: operation === 'restore' })))
  const { keys, preservedKeys, unmatched } = await countCache(tools, { preserve })
  for (const pattern of unmatched) {
    warnings.push({
      code: 'PreserveMatchedNothing',
      message: `No cache key matches ${pattern}, which was to be preserved`,
    })
  }
  return { planned: { keys, preservedKeys }, restore: null, warnings }
}

/** How many keys the plan wipes, and how many a reset may. */
export function cacheLimit(planned: CachePlan, { MAX_KEYS }: Pick<Config, 'MAX_KEYS'>) {
  return { name: 'MAX_KEYS', limit: MAX_KEYS, count: keysToWipe(planned), what: 'cache key' } as const
}
