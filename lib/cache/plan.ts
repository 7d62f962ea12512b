import { counted } from '../amounts.ts'
import type { Warning } from '../backup/manifest.ts'
import type { Config } from '../config/variables.ts'
import { LimitExceeded } from '../errors.ts'
import { checkInvocation, type Speed } from '../executions/invocation.ts'
import { operations } from '../operations.ts'
import type { Limit, Planner } from '../store.ts'
import { countCache } from './count.ts'
import { probeCache, refuseReservedKeys } from './probe.ts'
import { type CacheInRestore, type CachePlan, keysToWipe } from './schema/plan.ts'

/** Tries what the steps rely on, and counts the keys. @throws LimitExceeded for more than one invocation can do; as probeCache does */
export const planCache: Planner<CachePlan, CacheInRestore> = async (
  clients,
  _connection,
  { operation, takesBackup, dryRun, preserve, backup, selection, signal },
) => {
  const { changes } = operations[operation]
  const warnings: Warning[] = []
  if (dryRun) await refuseReservedKeys(clients)
  else warnings.push(...(await probeCache(clients, { needsRoom: changes === 'replaced' })))
  const { complete, keys, preservedKeys, unmatched } = await countCache(clients, {
    preserve: preserve.keys,
    signal,
  })
  if (!complete) throw notCounted(clients.config, keys)
  warnings.push(
    ...checkKeys('Exporting the cache', takesBackup ? keys : 0, speeds.export),
    ...checkKeys('Wiping the cache', changes === 'wiped' ? keys - preservedKeys : 0, speeds.wipe),
    ...checkKeys('Restoring the cache', backup?.cache?.keys ?? 0, speeds.restore),
  )
  for (const pattern of unmatched) {
    warnings.push({
      code: 'PreserveMatchedNothing',
      message: `No cache key matches ${pattern}, which was to be preserved`,
    })
  }
  const touchedKeys = { only: selection.keys ?? null, kept: preserve.keys }
  return { planned: { keys, preservedKeys }, restore: backup && { touchedKeys }, warnings }
}

/** How many keys the plan wipes, and how many a reset may. */
export const cacheLimit: Limit<CachePlan> = (planned, { MAX_KEYS }) => ({
  ...{ name: 'MAX_KEYS', limit: MAX_KEYS, count: keysToWipe(planned), what: 'cache key' },
})

/** Keys a second. The slower ones are what 10,000 commands a second allow, three for each collection. @see docs/scale.md */
export const speeds = {
  export: { slow: 3_300, fast: 60_000 },
  wipe: { slow: 10_000, fast: 60_000 },
  restore: { slow: 3_300, fast: 22_000 },
} satisfies Record<string, Speed>

/** @throws LimitExceeded */
function checkKeys(does: string, keys: number, speed: Speed): Warning[] {
  const amounts = [{ amount: keys, of: 'key', speed }] as const
  return checkInvocation({ does, amounts, instead: `${leaveOut} a strategy without the cache` })
}

const leaveOut = 'say a narrower CACHE_PREFIX, let the application give its keys a time to live, or choose'

function notCounted({ CACHE_PREFIX }: Config, keys: number): LimitExceeded {
  return new LimitExceeded(
    `The time of one invocation was over when ${counted(keys, 'cache key')} below "${CACHE_PREFIX}" had been counted, and there are more in the database. Nothing was touched; ${leaveOut} a strategy without the cache`,
  )
}
