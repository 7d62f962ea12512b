import type { Warning } from '../../backup/manifest.ts'
import { isRanged } from '../../backup/ranges/range.ts'
import { type Backup, readBackup } from '../../backup/read.ts'
import { checkOwn, checkSigned } from '../../backup/trust.ts'
import type { Clients } from '../../clients.ts'
import { schemaDifferences } from '../../database/catalog/schema-differences.ts'
import { readTables } from '../../database/catalog/tables.ts'
import { checkLockNeed, readLockNeed } from '../../database/locks/need.ts'
import { leaveOut, warnOfLaterColumns } from '../../database/plan/exclusions.ts'
import { checkLooking, checkLookingHeld } from '../../database/plan/single-works.ts'
import { NotComparable } from '../../errors.ts'
import { readLateNoted } from '../../ledger/documents.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import type { Connection } from '../../postgres/connection.ts'
import { majorOf } from '../../postgres/version.ts'
import { type Target, targets } from '../../store.ts'
import type { MaintenancePlan } from '../planning/plan.ts'
import type { SubjectSummary } from '../planning/plan-summary.ts'
import { tableToTell } from './diff-rows.ts'
import type { MaintenancePlanner, RequestTo, StartCheck, SubjectEnd } from './operation.ts'

/** @throws NotFound, BackupDamaged, BackupTooNew, NotComparable, InvalidRequest; ForeignBackup, BackupUnsigned unless that is what was said */
export const checkDiff: StartCheck<'diff'> = async (clients, connection, request) => {
  await readCompared(clients, connection, request)
}

/** @throws as checkDiff, and planComparison */
export const planDiff: MaintenancePlanner<'diff'> = async (clients, connection, { run, request }) => {
  const { backupId, to } = request
  const { backup, other, rows } = await readCompared(clients, connection, request)
  const subject = { backupId, to, rows: rows?.table, rehearse: false, objects: 0, bytes: 0 }
  if (other === null) {
    const { plan, warnings } = await planComparison(clients, connection, { run, backup })
    return { plan: { ...plan, rows }, subject, warnings }
  }
  const seen = { seen: backup.seen, to: { backupId: other.backupId, seen: other.seen } }
  const plan = { ...run, operation: request.operation, backupId, ...seen, rows, reads: 0, batches: 0 }
  return { plan, subject, warnings: await checkBoth(connection, backup, other) }
}

async function checkBoth(
  connection: Connection,
  { database: before }: Backup,
  { database: after }: Backup,
): Promise<Warning[]> {
  return before && after ? checkLookingHeld(connection, before.tables, after.tables) : []
}

/** What a restore does of the backup, and with it: of what it leaves alone nothing is told. */
type Narrowed = Pick<MaintenancePlan, 'without' | 'countsKeys' | 'touchedFiles' | 'touchedKeys' | 'ttl'>

/**
 * What the states that compare are told, for a diff as for the dry run of a restore.
 * @param asked.targets the stores that it is about; absent: all that the backup holds
 * @throws NotComparable; NotPermitted; LimitExceeded for more rows than one invocation could read, or more tables than it could lock
 */
export async function planComparison(
  { config }: Pick<Clients, 'config'>,
  connection: Connection,
  {
    run,
    backup,
    targets: asked,
    ...narrowed
  }: { run: RunRef; backup: Backup; targets?: Target[] } & Narrowed,
): Promise<{ plan: MaintenancePlan; warnings: Warning[] }> {
  const { backupId, seen, database } = leaveOut(backup, narrowed.without ?? [])
  const about = { backupId, seen, targets: asked, ...narrowed }
  const plan = { ...run, operation: 'diff' as const, ...about, reads: 0, batches: 0 }
  if (database === null || asked?.includes('database') === false) return { plan, warnings: [] }
  checkComparable(backupId, database)
  const names = new Set(database.tables.map(({ name }) => name))
  const { tables } = await readTables(connection, config.DATABASE_SCHEMAS)
  const bytes = tables.reduce((sum, table) => sum + (names.has(table.name) ? table.bytes : 0), 0)
  const looking = await checkLooking(connection, bytes)
  const locked = { oids: tables.map(({ oid }) => oid), sequences: 0, reads: false }
  const { need, settings } = await readLockNeed(connection, locked)
  const { tolerated } = schemaDifferences(database, { tables, sequences: [] })
  return {
    plan,
    warnings: [
      ...looking,
      ...checkLockNeed({ does: 'The comparison', reads: true }, need, settings),
      ...warnOfLaterColumns(tolerated),
    ],
  }
}

/** The backup, the other one that it is compared with (null: that is what is there now), and of which table rows are wanted. */
async function readCompared(
  clients: Clients,
  connection: Connection,
  request: RequestTo<'diff'>,
): Promise<{ backup: Backup; other: Backup | null; rows: MaintenancePlan['rows'] }> {
  const { to, rows } = request
  const backup = await readComparable(clients, connection, request)
  const other =
    to === undefined ? null : await readComparable(clients, connection, { ...request, backupId: to })
  if (other !== null) checkPair(backup, other)
  const wanted = rows && (await tableToTell(clients, connection, { rows, backup, other }))
  return { backup, other, rows: wanted }
}

/** Its rows come into the database for a moment, so it is believed as one that is restored. */
async function readComparable(
  { backups, config }: Clients,
  connection: Connection,
  request: RequestTo<'diff'>,
): Promise<Backup> {
  const late = await readLateNoted(connection, request.backupId)
  const backup = await readBackup(backups, config.BACKUP_PREFIX, request.backupId, { late })
  checkOwn(backup, config, request)
  if (backup.database === null) return backup
  checkSigned(backup, request)
  checkComparable(backup.backupId, backup.database)
  return backup
}

/** @see docs/decisions.md#two-backups-are-compared-without-their-parts */
function checkPair(backup: Backup, other: Backup): void {
  const names = `The backups ${backup.backupId} and ${other.backupId}`
  if (targets.every((target) => backup[target] === null || other[target] === null))
    throw new NotComparable(
      `${names} hold nothing in common: the first is of ${backup.strategy}, the other of ${other.strategy}. Name two that hold the same stores`,
    )
  const [one, another] = [backup.database, other.database]
  if (one === null || another === null) return
  if (one.seed !== another.seed)
    throw new NotComparable(
      `${names} cannot be compared: the hashes of their rows begin with different seeds, as in backups of two environments, or of before and after an environment was claimed anew. Compare two of one environment, or each with what is there now`,
    )
  if (majorOf(one.serverVersion) === majorOf(another.serverVersion)) return
  throw new NotComparable(
    `${names} cannot be compared: Postgres ${one.serverVersion} wrote the first and ${another.serverVersion} the other, and may write values differently. Compare each with what is there now`,
  )
}

function checkComparable(backupId: string, { tables }: NonNullable<Backup['database']>): void {
  const parts = tables.flatMap((table) => table.parts)
  if (parts.every((part) => part.rows === 0 || isRanged(part))) return
  throw new NotComparable(
    `The backup ${backupId} was made before backups kept the hashes of their rows, so its rows cannot be compared with others. Take a backup now, and compare with that one from then on`,
  )
}

/** A backup that is compared stays what it is. */
export function endOfDiff(_summary: SubjectSummary, _found: object, error: object | null): SubjectEnd {
  return { state: error === null ? 'compared' : 'kept', objects: 0, bytes: 0 }
}
