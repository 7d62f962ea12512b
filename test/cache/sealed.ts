import { sealed } from '../../lib/backup/digest.ts'
import { putJson } from '../../lib/backup/documents/write.ts'
import { backupIdOf, backupKeys } from '../../lib/backup/layout.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import { exportCache, exportLimits } from '../../lib/cache/export/export.ts'
import type { Clients } from '../../lib/clients.ts'
import type { Fence } from '../../lib/ledger/fence.ts'
import type { BinaryRedis } from '../../lib/redis/binary-redis.ts'
import { noProgress } from './cache-stack.ts'

type Run = { runId: string; attempt: number }

/** Exports the cache and seals the backup, as the steps of a run on the cache alone do. @returns the backup's id */
export async function sealBackup(
  tools: Pick<Clients, 'backups' | 'config'> & { cache: BinaryRedis },
  { run, fence }: { run: Run; fence: Fence },
  limits = exportLimits,
  more: Partial<Manifest> = {},
): Promise<string> {
  const now = new Date().toISOString()
  const backupId = backupIdOf({ ...run, startedAt: now })
  const { exportedAt, keys, parts, warnings } = await exportCache(
    tools,
    { run, backupId, fence },
    noProgress,
    limits,
  )
  const manifest: Manifest = {
    version: 2,
    backupId,
    runId: run.runId,
    environment: 'local',
    strategy: 'cache-only',
    toolVersion: '0.1.0',
    startedAt: now,
    sealedAt: now,
    readBackAt: now,
    rehearsedAt: null,
    database: null,
    files: null,
    cache: { prefix: tools.config.CACHE_PREFIX, keys, parts, ...(exportedAt && { exportedAt }) },
    preserved: { tables: [], rows: {}, files: [], keys: [] },
    warnings,
    ...more,
  }
  const { manifest: key } = backupKeys(tools.config.BACKUP_PREFIX, backupId)
  await putJson(tools.backups, key, sealed(tools.backups.signing, manifest), { once: true })
  return backupId
}
