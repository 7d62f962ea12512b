import type { ResetOptions } from '../options.ts'

/**
 * Whether a store lacks the environment's name, as far as they can be read: of one that is down or busy nobody knows, so
 * it is no reason to claim anything.
 */
export function isUnclaimed({
  environment,
  database,
  files,
  cache,
}: Pick<ResetOptions, 'environment' | 'database' | 'files' | 'cache'>): boolean {
  return [database, files, cache].some((store) => store.available && store.mark !== environment)
}
