import type { Clients } from '../../clients.ts'
import { EnvironmentUnclaimed, LabelRefused } from '../../errors.ts'
import { checkMark, placeOfName, readEnvironment } from '../../ledger/environment.ts'
import { hasNames, keepRoomFor, removeLabels, setLabel } from '../../ledger/labels/labels.ts'
import { removeNote, setNote } from '../../ledger/labels/notes.ts'
import { checkIdle } from '../../ledger/open.ts'
import { ensureLedger, hasLedger } from '../../ledger/tables.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError } from '../../postgres/errors.ts'
import { exists } from '../../s3/bucket.ts'
import { backupKeys } from '../layout.ts'
import { readBackup } from '../read.ts'

type Where = Pick<Clients, 'backups' | 'config'>

/** `label` moves to the backup, `note` replaces its note; null takes its labels, or its note, away; undefined leaves them. */
export type Naming = { backupId: string; label?: string | null; note?: string | null; by: string | null }

/**
 * Names a backup. A label protects it from prune and delete, and is what a reset goes back to: so a backup that a prune has
 * begun to delete gets none, and while it is looked at no prune looks.
 * @throws LabelRefused, NotFound, BackupDamaged, BackupTooNew; DatabaseBusy when the ledger is not to be had in time
 * @throws EnvironmentUnclaimed, EnvironmentMismatch; RunActive while the ledger of an earlier version cannot be brought up to date
 * @see docs/decisions.md#a-label-lies-in-the-ledger
 */
export async function setNames(clients: Where, connection: Connection, naming: Naming): Promise<void> {
  const { backupId, label, note, by } = naming
  await prepareLedger(clients, connection)
  await connection.query('BEGIN')
  try {
    // Of a prune's lock only: runs write their rows under the same one.
    await connection.query(`SET LOCAL lock_timeout = ${clients.config.LOCK_TIMEOUT_MS}`)
    await connection.query('LOCK TABLE taskmaster_reset.runs IN ROW EXCLUSIVE MODE')
    if (label || note) await checkNameable(clients, backupId)
    if (label === null) await removeLabels(connection, backupId)
    if (label) {
      await keepRoomFor(connection, label)
      await setLabel(connection, { label, backupId, by })
    }
    if (note === null) await removeNote(connection, backupId)
    if (note) await setNote(connection, { backupId, note, by })
    await connection.query('COMMIT')
  } catch (error) {
    await connection.query('ROLLBACK').catch(() => {}) // a connection that broke has rolled back by itself
    throw databaseError(error)
  }
}

/** @throws EnvironmentUnclaimed, EnvironmentMismatch; RunActive while it cannot be brought up to date */
async function prepareLedger({ config }: Where, connection: Connection): Promise<void> {
  if (!(await hasLedger(connection)))
    throw new EnvironmentUnclaimed('The database has no ledger yet: claim the environment first')
  const row = await readEnvironment(connection)
  checkMark(placeOfName, row?.name, config)
  if (await hasNames(connection)) return
  await checkIdle(connection)
  await ensureLedger(connection)
}

/** @throws LabelRefused, NotFound, BackupDamaged, BackupTooNew */
async function checkNameable({ backups, config }: Where, backupId: string): Promise<void> {
  const { environment, authentic } = await readBackup(backups, config.BACKUP_PREFIX, backupId)
  const refused = (reason: string) =>
    new LabelRefused(`The backup ${backupId} cannot be named: ${reason}. Its names are what they were`)
  if (environment !== config.ENVIRONMENT)
    throw refused(`it is of the environment "${environment}", and this is "${config.ENVIRONMENT}"`)
  if (authentic !== 'signed') throw refused(`it is not signed by a key that is known here (${authentic})`)
  if (await exists(backups, backupKeys(config.BACKUP_PREFIX, backupId).tombstone))
    throw refused('a prune has begun to delete it')
}
