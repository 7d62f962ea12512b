import type { Clients } from '../../clients.ts'
import { LabelRefused } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'

/**
 * Names a backup: a label moves to it, a note replaces its note; null takes them away, undefined leaves them as they are.
 * @throws LabelRefused, NotFound, StoreUnavailable when the ledger is of an earlier version
 */
export async function setNames(
  _clients: Pick<Clients, 'backups' | 'config'>,
  _connection: Connection,
  { backupId }: { backupId: string; label?: string | null; note?: string | null; by: string | null },
): Promise<void> {
  throw new LabelRefused(`The backup ${backupId} cannot be named: this version cannot do that yet`)
}
