import type { Warning } from '../../backup/manifest.ts'
import type { Backup } from '../../backup/read.ts'
import { readBackup } from '../../backup/read.ts'
import { checkOwn, checkSigned } from '../../backup/trust.ts'
import type { Clients } from '../../clients.ts'
import { InvalidRequest } from '../../errors.ts'
import { readLateNoted } from '../../ledger/documents.ts'
import { checkLabelsLeft } from '../../ledger/labels/labels.ts'
import type { Connection } from '../../postgres/connection.ts'
import { selectedStores } from '../../store/selection.ts'
import { type Target, targets } from '../../store.ts'
import { checkMarks } from '../guard.ts'
import { isDestructive, type Scoped } from '../request.ts'
import { scopeOf } from '../strategy.ts'

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
  return { backup, clears, warnings }
}

/** The stores that the run acts on. @throws InvalidRequest when the backup does not hold one that is to be restored */
function clearsOf(request: Scoped, backup: Backup | null): Target[] {
  if (!('backupId' in request)) return scopeOf(request.strategy).clears
  const held = targets.filter((target) => backup?.[target] !== null)
  const asked: readonly Target[] = request.targets ?? selectedStores(request) ?? held
  const missing = asked.filter((target) => !held.includes(target))
  if (missing.length === 0) return held.filter((target) => asked.includes(target))
  throw new InvalidRequest(
    `The backup ${request.backupId} does not hold ${missing.join(' and ')}, only ${held.join(' and ')}. Correct what is to be put back, or say nothing of it to restore all that it holds`,
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
  const allowed = 'backupId' in request ? request : {}
  checkOwn(backup, config, allowed)
  checkSigned(backup, allowed)
  return backup
}
