import type { Warning } from '../../backup/manifest.ts'
import type { Backup } from '../../backup/read.ts'
import { readBackup } from '../../backup/read.ts'
import { checkOwn, checkSigned } from '../../backup/trust.ts'
import type { Clients } from '../../clients.ts'
import type { Config } from '../../config/variables.ts'
import { BackupUnsigned, ForeignBackup, InvalidRequest } from '../../errors.ts'
import { readLateNoted } from '../../ledger/documents.ts'
import { checkLabelsLeft } from '../../ledger/labels/labels.ts'
import type { Connection } from '../../postgres/connection.ts'
import { selectedStores } from '../../store/selection.ts'
import { type Target, targets } from '../../store.ts'
import { checkMarks } from '../guard.ts'
import { isDestructive, type Scoped } from '../request.ts'
import { type Strategy, scopeOf, strategies } from '../strategy.ts'

/**
 * The guards that ask a store, for a request that acts by a plan. Nothing is written.
 * @param target the id of the backup that is put back; null: none is
 * @throws the errors of checkMarks; NotFound, BackupDamaged, ForeignBackup, InvalidRequest about what is to be restored; LabelRefused
 */
export async function checkScoped(
  clients: Clients,
  connection: Connection,
  request: Scoped,
  target: string | null,
): Promise<{ backup: Backup | null; clears: Target[]; warnings: Warning[] }> {
  const backup = target === null ? null : await readRestorable(clients, connection, request, target)
  const clears = clearsOf(request, backup)
  if (request.operation === 'backup' && request.label !== undefined)
    await checkLabelsLeft(connection, request.label)
  const warnings = await checkMarks(clients, connection, {
    wipes: isDestructive(request),
    needs: clears,
  })
  return { backup, clears, warnings: [...warnings, ...warnOfUnproved(request, backup, clears)] }
}

/** A baseline that was never loaded may be refused in the night. */
function warnOfUnproved(request: Scoped, backup: Backup | null, clears: readonly Target[]): Warning[] {
  if (request.operation !== 'reset' || backup === null) return []
  if (backup.rehearsedAt !== null || !clears.includes('database')) return []
  const message = `The backup ${backup.backupId}, which the reset goes back to, was never loaded and compared, so that the database may refuse it; then nothing is touched. Verify it with "rehearse": true, or take it anew`
  return [{ code: 'BaselineNotRehearsed', message }]
}

/** The stores that the run acts on. @throws InvalidRequest when the backup does not hold one that is to be restored */
function clearsOf(request: Scoped, backup: Backup | null): Target[] {
  const held = targets.filter((target) => backup?.[target] !== null)
  if (!('backupId' in request)) return clearedBy(request.strategy, backup, held)
  const asked: readonly Target[] = request.targets ?? selectedStores(request) ?? held
  const missing = asked.filter((target) => !held.includes(target))
  if (missing.length === 0) return held.filter((target) => asked.includes(target))
  throw new InvalidRequest(
    `The backup ${request.backupId} does not hold ${missing.join(' and ')}, only ${held.join(' and ')}. Correct what is to be put back, or say nothing of it to restore all that it holds`,
  )
}

/** @param backup the one that a reset goes back to, which has to hold all that goes. @throws InvalidRequest */
function clearedBy(strategy: Strategy, backup: Backup | null, held: readonly Target[]): Target[] {
  const { clears } = scopeOf(strategy)
  const missing = backup === null ? [] : clears.filter((target) => !held.includes(target))
  if (missing.length === 0) return clears
  const fitting = strategies.filter((one) => scopeOf(one).clears.every((target) => held.includes(target)))
  throw new InvalidRequest(
    `The backup ${backup?.backupId} (${backup?.strategy}) does not hold ${missing.join(' and ')}, which a reset of the strategy ${strategy} puts back. Nothing was touched; say the strategy ${fitting.join(' or ')}, or another backup`,
  )
}

/** @throws NotFound, BackupDamaged; ForeignBackup, BackupUnsigned unless that is what was said */
async function readRestorable(
  { backups, config }: Clients,
  connection: Connection,
  request: Scoped,
  backupId: string,
): Promise<Backup> {
  const late = await readLateNoted(connection, backupId)
  const backup = await readBackup(backups, config.BACKUP_PREFIX, backupId, { late })
  if ('backupId' in request) {
    checkOwn(backup, config, request)
    checkSigned(backup, request)
  } else checkBaseline(backup, config)
  return backup
}

/** What a schedule does every night has no word for an exception. @throws ForeignBackup, BackupUnsigned */
function checkBaseline({ backupId, environment, authentic }: Backup, { ENVIRONMENT }: Config): void {
  const wayOut =
    'Nothing was touched; go back to another one, or restore this one, which can be told that you mean it'
  if (environment !== ENVIRONMENT)
    throw new ForeignBackup(
      `A reset goes back to backups of its own environment, "${ENVIRONMENT}", and ${backupId} is of "${environment}". ${wayOut}`,
    )
  if (authentic !== 'signed')
    throw new BackupUnsigned(
      `A reset goes back to signed backups only, and ${backupId} is not signed by a key that is known here (${authentic}). ${wayOut}`,
    )
}
