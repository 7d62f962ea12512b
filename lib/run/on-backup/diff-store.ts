import { putOnce } from '../../backup/documents/write-once.ts'
import { workKeys } from '../../backup/layout.ts'
import type { Seen } from '../../backup/manifest.ts'
import { type Backup, readBackup } from '../../backup/read.ts'
import { diffCache, diffHeldCaches } from '../../cache/restore/difference.ts'
import { aliveFromOf } from '../../cache/value/time-to-live.ts'
import type { Clients } from '../../clients.ts'
import { diffDatabase } from '../../database/difference/difference.ts'
import type { FoundRows, WantedRows } from '../../database/difference/differing-rows.ts'
import { diffHeldDatabases } from '../../database/difference/held-difference.ts'
import { keysToCount } from '../../database/plan/actions/keys-to-count.ts'
import { leaveOut } from '../../database/plan/exclusions.ts'
import { diffFiles, diffHeldFiles } from '../../files/difference.ts'
import { exists } from '../../s3/bucket.ts'
import type { Target } from '../../store.ts'
import type { Differences } from '../../stores.ts'
import type { MaintenancePlan } from '../planning/plan.ts'
import { keepRows } from './diff-rows.ts'

type Report = (done: number, total: number) => Promise<void>

/**
 * States "Diff database", "Diff files" and "Diff cache": what became of one store since the backup, or from it to another, which is left in S3. A repeat
 * finds it. It is null of a store that the backup, or one of the two, does not hold, or that nobody asked about.
 * @param asked.signal ends it where a store can be left in the middle
 * @throws what the store's comparison does
 */
export async function diffStore(
  clients: Clients,
  { target, plan, signal }: { target: Target; plan: MaintenancePlan; signal: AbortSignal },
  report: Report,
): Promise<void> {
  const { backups: bucket, config } = clients
  const key = workKeys(plan).difference(target)
  if (await exists(bucket, key)) return
  if (plan.targets?.includes(target) === false) return await putOnce(bucket, key, null)
  const read = (backupId: string, seen: Seen) => readBackup(bucket, config.BACKUP_PREFIX, backupId, seen)
  const before = await read(plan.backupId, plan.seen)
  const after = plan.to && (await read(plan.to.backupId, plan.to.seen))
  const found: FoundRows[] = []
  const rows = plan.rows && { ...plan.rows, take: (one: FoundRows) => void found.push(one) }
  const asked = { signal, report, rows }
  const differ = after
    ? betweenBackups(clients, { before, after }, asked)
    : sinceBackup(clients, leaveOut(before, plan.without ?? []), { ...asked, plan })
  const difference = await differ[target]()
  // Before what says that the store was compared: a repeat that finds that finds these.
  if (difference !== null && 'tables' in difference) {
    const held = before.database?.tables ?? []
    await keepRows(clients, { plan, held, difference }, found[0])
  }
  await putOnce(bucket, key, difference)
}

type Differ = { [T in Target]: () => Promise<Differences[T]> | null }
type Asked = { signal: AbortSignal; report: Report; rows: WantedRows | undefined }

function sinceBackup(
  clients: Clients,
  { database, files, cache, startedAt }: Backup,
  { signal, report, rows, plan }: Asked & { plan: MaintenancePlan },
): Differ {
  const aliveFrom = aliveFromOf({ cache, startedAt }, plan.ttl)
  return {
    database: () => {
      const { without: untold = [], countsKeys = false } = plan
      const held = database && { ...database, untold, ...(countsKeys && { keysToCount }) }
      return held && diffDatabase(clients, held, report, rows)
    },
    files: () => files && diffFiles(clients, { held: files, touched: plan.touchedFiles, signal }, report),
    cache: () =>
      cache && diffCache(clients, { held: cache, touched: plan.touchedKeys, aliveFrom, signal }, report),
  }
}

/** What only one of them holds is not compared. */
function betweenBackups(
  clients: Clients,
  { before, after }: { before: Backup; after: Backup },
  { signal, report, rows }: Asked,
): Differ {
  const pairOf = <Section>(one: Section | null, other: Section | null) =>
    one && other && { before: one, after: other, signal }
  return {
    database: () => {
      const pair = pairOf(before.database, after.database)
      return pair && diffHeldDatabases(clients, pair, report, rows)
    },
    files: () => {
      const pair = pairOf(before.files, after.files)
      return pair && diffHeldFiles(clients, pair, report)
    },
    cache: () => {
      const pair = pairOf(before.cache, after.cache)
      return pair && diffHeldCaches(clients, pair, report)
    },
  }
}
