import { type Target, targets } from '../../store.ts'
import type { ResetOptions } from '../options.ts'

/**
 * Whether a store lacks the environment's name, as far as they can be read: of one that is down or busy nobody knows, so
 * it is no reason to claim anything.
 */
export function isUnclaimed({ environment, ...stores }: Pick<ResetOptions, 'environment' | Target>): boolean {
  return targets.some((target) => stores[target].available && stores[target].mark !== environment)
}
