import { agreeing, counted } from '../../amounts.ts'
import { resultOf } from '../../backup/documents/results.ts'
import { workKeys } from '../../backup/layout.ts'
import type { Manifest } from '../../backup/manifest.ts'
import { BackupIncomplete } from '../../errors.ts'
import type { Sealer } from '../../store.ts'
import type { CachePlan } from '../schema/plan.ts'
import { CacheResult } from './export.ts'

/** Fewer may really have expired or gone between the count and the export. */
const manyKeys = 100

/**
 * The cache's section of the manifest.
 * @throws BackupIncomplete when the export left no result, or has no key although many were counted
 */
export const sealCache: Sealer<CachePlan, NonNullable<Manifest['cache']>> = async (
  { backups, config },
  { run, planned },
) => {
  const key = workKeys(run).cacheResult
  const { exportedAt, keys, parts, warnings } = await resultOf(backups, key, CacheResult, 'the cache')
  if (keys === 0 && planned.keys >= manyKeys && parts.length === 0) {
    throw new BackupIncomplete(
      `${counted(planned.keys, 'cache key')} ${agreeing(planned.keys, 'was', 'were')} counted, but none exported. Nothing was wiped; start again`,
    )
  }
  const held = { prefix: config.CACHE_PREFIX, keys, parts }
  return { held: exportedAt === undefined ? held : { ...held, exportedAt }, warnings }
}
