import type { Clients } from '../clients.ts'
import { messageOf } from '../errors.ts'
import { setLabel } from '../ledger/labels/labels.ts'
import { setNote } from '../ledger/labels/notes.ts'
import { abandonDeadRun, closeRun } from '../ledger/records.ts'
import type { Connection } from '../postgres/connection.ts'
import { sqlStateOf } from '../postgres/errors.ts'
import { type Outcome, reduced } from './outcome.ts'

/**
 * `outcome`: its machine came to an end, with or without success, or EventBridge says that it did; `cancelled`: somebody
 * called it off; `abandoned`: whichever run holds the lock and has given no sign of life for too long.
 */
type End =
  | { outcome: Outcome; named?: Named | null }
  | { cancelled: { runId: string; failure: { error: string; message: string; phase: string } } }
  | 'abandoned'

/** What the run's backup is called from its end on. */
type Named = { label: string | null; note: string | null; backupId: string; by: string | null }

/**
 * Every end of a run is written here, so that what has to know of all of them stands here, behind the COMMIT: an end that
 * was not certain would be told otherwise later.
 * @param connection for an outcome and a cancel in the transaction that holds the row's lock, which is committed
 * @returns the id of the run that this ended; undefined: it was over and keeps its first end, or none is dead
 */
export async function endRun(
  clients: Pick<Clients, 'now'>,
  connection: Connection,
  end: End,
): Promise<string | undefined> {
  if (end === 'abandoned') return abandonDeadRun(connection)
  const ended =
    'outcome' in end
      ? await closeWith(connection, end.outcome)
      : await closeRun(connection, { ...end.cancelled, status: 'cancelled', finishedAt: clients.now() })
  if ('outcome' in end && ended !== undefined && end.named) await nameBackup(connection, end.named)
  await connection.query('COMMIT')
  return ended
}

/** In the transaction of the end, in which the run's row is written: until then the run keeps its backup, then its label does. */
async function nameBackup(connection: Connection, { label, note, ...of }: Named): Promise<void> {
  if (label !== null) await setLabel(connection, { label, ...of })
  if (note !== null) await setNote(connection, { note, ...of })
}

/** Whatever an outcome holds, a run must end, or it would hold the lock: then with what is short and certain of it. */
async function closeWith(connection: Connection, outcome: Outcome): Promise<string | undefined> {
  const close = (written: Outcome) =>
    closeRun(connection, {
      runId: outcome.runId,
      status: written.status,
      outcome: written,
      finishedAt: new Date(written.finishedAt),
    })
  await connection.query('SAVEPOINT before_outcome')
  try {
    return await close(outcome)
  } catch (refused) {
    // Classes 22, 23 and 54: the ledger can be written, but not with this.
    if (!/^(22|23|54)/.test(sqlStateOf(refused) ?? '')) throw refused
    await connection.query('ROLLBACK TO before_outcome')
    return close(reduced(outcome, messageOf(refused)))
  }
}
