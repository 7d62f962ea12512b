import type { Warning } from '../../backup/manifest.ts'
import type { Backup } from '../../backup/read.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import { operations, type StoreOperation } from '../../operations.ts'
import type { Connection } from '../../postgres/connection.ts'
import { bytesHeld, type LockedWork, leastHeld } from '../locks/duration.ts'
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
  least?: number
  later: boolean
}[] {
  const { changes } = operations[operation]
  if (changes === null) return []
  if (changes === 'replaced') {
    const held = { bytes: bytesHeld(backedUp), least: leastHeld(backedUp) }
    const amounts = { bytes: Math.max(bytes, held.bytes), least: Math.max(bytes, held.least) }
    return [{ work: 'restore', ...amounts, later: false }]
  }
  const wipe = { work: 'wipe', bytes, later: false } as const
  return takesBackup ? [wipe, { work: 'restore', bytes, later: true }] : [wipe]
}

/**
 * What one transaction of the run locks: its tables, to count, export or wipe them, with all that hangs on them; and for
 * what is loaded their copies. A wipe that is covered by a backup needs what its restore needs: else the backup could not
 * come back.
 * @throws LimitExceeded
 */
export async function checkLocks(
  connection: Connection,
  {
    operation,
    takesBackup,
    rehearses,
    chosen,
    backup,
  }: Locking & { rehearses: boolean; chosen: TableActions; backup: Backup | null },
): Promise<Warning[]> {
  const { changes } = operations[operation]
  const isRestorable = changes === 'replaced' || (changes === 'wiped' && takesBackup)
  const restored = backup?.database?.sequences.length ?? chosen.restart.length
  const asked = {
    oids: chosen.tables.map(({ table }) => table.oid),
    sequences: changes === null ? 0 : restored,
    reads: isRestorable || rehearses,
  }
  const { need, settings } = await readLockNeed(connection, asked)
  return checkLockNeed({ does: nameOf(changes, takesBackup), reads: changes === null }, need, settings)
}

function nameOf(changes: (typeof operations)[StoreOperation]['changes'], takesBackup: boolean): string {
  if (changes === null) return 'The backup'
  if (changes === 'replaced') return 'The restore'
  return takesBackup ? "The backup's restore" : 'The wipe'
}
