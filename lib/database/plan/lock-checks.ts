import type { Backup } from '../../backup/read.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import { operations, type StoreOperation } from '../../operations.ts'
import type { Connection } from '../../postgres/connection.ts'
import { bytesHeld, type LockedWork } from '../locks/duration.ts'
import { checkLockNeed, readLockNeed } from '../locks/need.ts'
import type { TableActions } from './actions/table-actions.ts'

type Locking = {
  operation: StoreOperation
  /** What the run removes or replaces is backed up before. */
  takesBackup: boolean
}

/** What is done under locks, now or when the backup is restored. */
export function lockedWorks({
  operation,
  takesBackup,
  bytes,
  backedUp,
}: Locking & { bytes: number; backedUp: readonly BackedUpTable[] }): {
  work: LockedWork
  bytes: number
  later: boolean
}[] {
  const { changes } = operations[operation]
  if (changes === null) return []
  if (changes === 'replaced')
    return [{ work: 'restore', bytes: Math.max(bytes, bytesHeld(backedUp)), later: false }]
  const wipe = { work: 'wipe', bytes, later: false } as const
  return takesBackup ? [wipe, { work: 'restore', bytes, later: true }] : [wipe]
}

/**
 * A wipe that is covered by a backup needs what its restore needs: else the backup could not come back.
 * @throws LimitExceeded
 */
export async function checkLocks(
  connection: Connection,
  { operation, takesBackup, chosen, backup }: Locking & { chosen: TableActions; backup: Backup | null },
): Promise<void> {
  const going = chosen.tables.filter(({ action }) => action !== 'keep')
  const isRestore = operations[operation].changes === 'replaced'
  const isRestorable = isRestore || takesBackup
  const tables = isRestorable ? chosen.tables : going
  const oids = tables.map(({ table }) => table.oid)
  const asked = {
    oids,
    sequences: backup?.database?.sequences.length ?? chosen.restart.length,
    reads: isRestorable,
  }
  const { need, settings } = await readLockNeed(connection, asked)
  const does = isRestore ? 'The restore' : isRestorable ? "The backup's restore" : 'The wipe'
  checkLockNeed(does, need, settings)
}
