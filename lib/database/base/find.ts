import { agreeing, counted } from '../../amounts.ts'
import { isBackupId } from '../../backup/backup-id.ts'
import { backupKeys } from '../../backup/layout.ts'
import type { Warning } from '../../backup/manifest.ts'
import { isRanged } from '../../backup/ranges/range.ts'
import { type Backup, findBackup, isAboutOne } from '../../backup/read.ts'
import type { BackedUpTable, Column, DatabaseSection } from '../../backup/sections/database.ts'
import { type FingerprintFormat, fingerprintFormatOf } from '../../backup/sections/fingerprint.ts'
import type { Clients } from '../../clients.ts'
import { majorOf } from '../../postgres/version.ts'
import { type Bucket, exists } from '../../s3/bucket.ts'
import { listFolders } from '../../s3/list.ts'
import type { Table } from '../catalog/table.ts'

/** The earlier backup from which a run takes over what did not change. */
export type Base = {
  backupId: string
  startedAt: string
  serverVersion: string
  tables: readonly BackedUpTable[]
}

/**
 * Backups of this environment that are what was written, but of another seed or server, or without rows: behind so many of them none fits
 * either. What anybody may have put into the bucket does not count, so that it cannot end the search.
 */
const most = 5
/** Milliseconds: a folder that holds no backup takes some ten of them, so that is hundreds. */
const patience = 30_000

/**
 * The newest backup of this environment that is signed and whose rows this server writes, and hashes, in the same way.
 * What is wrong with one that was passed over is told when none is left, or the time for looking is over.
 * @param here how this run makes fingerprints, and the server's version
 * @throws StoreUnavailable, NotPermitted when S3 does not list the backups
 * @see docs/decisions.md#a-base-is-signed-and-of-the-same-environment
 */
export async function findBase(
  { backups, config }: Pick<Clients, 'backups' | 'config'>,
  here: { fingerprints: FingerprintFormat; serverVersion: string },
  within = patience,
): Promise<{ base: Base | null; warnings: Warning[] }> {
  const until = performance.now() + within
  const folders = (await listFolders(backups, config.BACKUP_PREFIX)).filter(isBackupId).sort().reverse()
  const problems: string[] = []
  let others = 0
  for (const [passed, backupId] of folders.entries()) {
    if (performance.now() > until) {
      problems.unshift(
        `the newest ${counted(passed, 'folder')} of s3://${backups.name}/${config.BACKUP_PREFIX} ${agreeing(passed, 'holds', 'hold')} none that counts, and no more were looked at within ${within / 1000} s. Delete what is no backup`,
      )
      break
    }
    const backup = await findBackup(backups, config.BACKUP_PREFIX, backupId).catch((error: unknown) => {
      if (!isAboutOne(error)) throw error
      problems.push(error.message)
      return null
    })
    if (backup?.database == null || backup.environment !== config.ENVIRONMENT) continue
    if (backup.imported !== undefined) continue // no run has read its rows here
    const problem = await problemOf(backups, config.BACKUP_PREFIX, backup)
    if (problem !== null) {
      problems.push(`${backupId} ${problem}`)
      continue
    }
    const { database, startedAt } = backup
    if (isBase(database, here)) {
      const { serverVersion, tables } = database
      return { base: { backupId, startedAt, serverVersion, tables }, warnings: [] }
    }
    if (++others === most) break
  }
  return { base: null, warnings: problems.length === 0 ? [] : [noBase(problems)] }
}

/** Why nothing is taken over from it, whatever it holds. @throws StoreUnavailable */
async function problemOf(
  bucket: Bucket,
  prefix: string,
  { backupId, authentic, signature }: Backup,
): Promise<string | null> {
  if (authentic === 'unknown key')
    return `is signed with the key "${signature?.keyId}", which SIGNING_KEYS does not hold`
  if (authentic === 'unsigned') return 'is not signed'
  try {
    const isRetired = await exists(bucket, backupKeys(prefix, backupId).tombstone)
    return isRetired ? 'is being deleted: a prune has begun to, or somebody put its mark there' : null
  } catch (error) {
    // S3 does not say it of a mark that somebody encrypted with a key of their own, which must fail no backup.
    if (isAboutOne(error)) return `may be being deleted: ${error.message}`
    throw error
  }
}

/** What the base holds of these tables, by name, where all of it has ranges, and rows are written now as they were then. */
export function tablesOf(
  base: Pick<Base, 'tables'> | null,
  tables: readonly Table[],
): Map<string, BackedUpTable> {
  const live = new Map(tables.map((table) => [table.name, table]))
  const fitting = (base?.tables ?? []).filter(({ name, columns, parts }) => {
    const now = live.get(name)
    return now && areEqual(columns, now.columns) && parts.every((part) => part.rows === 0 || isRanged(part))
  })
  return new Map(fitting.map((table) => [table.name, table]))
}

/** Whether values are written in the same way, in the same order. */
function areEqual(former: readonly Column[], now: readonly Column[]): boolean {
  const textOf = (columns: readonly Column[]) =>
    JSON.stringify(columns.map(({ name, type, asText }) => [name, type, asText]))
  return textOf(former) === textOf(now)
}

function isBase(
  database: DatabaseSection,
  { fingerprints, serverVersion }: { fingerprints: FingerprintFormat; serverVersion: string },
): boolean {
  const format = fingerprintFormatOf(database)
  return (
    format.version === 2 &&
    fingerprints.version === 2 &&
    format.seed === fingerprints.seed &&
    majorOf(database.serverVersion) === majorOf(serverVersion) &&
    database.tables.some(({ parts }) => parts.some(isRanged))
  )
}

function noBase(problems: readonly string[]): Warning {
  const more = problems.length === 1 ? '' : ` (and ${problems.length - 1} more)`
  const message = `Nothing is taken over from an earlier backup, so all rows are exported: ${problems[0]}${more}`
  return { code: 'NoBase', message }
}
