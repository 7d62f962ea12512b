import type { Options } from '../../lib/http/answers/options.ts'
import type { Run } from '../../lib/http/answers/run.ts'
import type { Session } from '../../lib/http/answers/session.ts'
import { isUnclaimed } from '../../lib/run/words/claim-state.ts'
import type { Target } from '../../lib/store.ts'
import { stores as known } from '../stores/stores.ts'

type Situation = { session: Session; options: Options; active: Run | undefined }

/** Why each way to begin cannot be taken now; null where it can. */
export function obstaclesTo(stores: readonly Target[], situation: Situation) {
  return {
    reset: obstacleTo({ needs: 'reset', wipes: true, stores }, situation),
    dryRun: obstacleTo({ needs: 'reset', wipes: false, stores }, situation),
    backup: obstacleTo({ needs: 'backup', wipes: false, stores }, situation),
  }
}

/** Those that say something new, each once. */
export function reasonsOf(obstacles: ReturnType<typeof obstaclesTo>): string[] {
  return [...new Set(Object.values(obstacles).filter((reason) => reason !== null))]
}

function obstacleTo(
  { needs, wipes, stores }: { needs: string; wipes: boolean; stores: readonly Target[] },
  { session, options, active }: Situation,
): string | null {
  if (!session.scopes.includes(needs)) {
    return `The token "${session.name}" may not do this: it lacks the scope "${needs}".`
  }
  if (wipes && options.protected)
    return `${options.environment} is protected: nothing is wiped or replaced in it.`
  if (isUnclaimed(options)) return `${options.environment} is not claimed yet.`
  if (active !== undefined) return 'Another run is active; one runs at a time.'
  // The database has the ledger, too, without which nothing begins.
  for (const store of new Set<Target>(['database', ...stores])) {
    const found = options[store]
    if (!found.available) return `${capitalised(known[store].name)} cannot be read: ${found.reason.message}`
  }
  const problem = options.database.available ? options.database.problem : null
  return wipes && stores.includes('database') && problem !== null ? problem.message : null
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
