import type { Manifest } from '../../backup/manifest.ts'
import { changing, type RunRow } from '../../ledger/runs.ts'
import { hasBegun, perStore, type Target, type TargetState } from '../../store.ts'

/** What happened to each store, from the ledger alone: for a run that left no outcome. */
export function statesInLedger(row: RunRow): Record<Target, TargetState> {
  const committed = row.restored !== null ? 'restored' : row.wiped !== null ? 'wiped' : null
  const isOpen = row.status === 'running'
  const stateOf = (target: Target): TargetState => (hasBegun(row, target) ? 'unknown' : 'untouched')
  return perStore((target) => {
    if (target !== 'database') return stateOf(target)
    // Its transaction holds the run's row: once the run is over, what it did not record it did not do.
    return committed ?? (isOpen ? stateOf(target) : 'untouched')
  })
}

/**
 * The backup that the run sealed, by its id: as its manifest says, or as the ledger does, for no run that takes a backup
 * begins to change anything before it is sealed.
 */
export function sealedBackupOf(row: RunRow, manifest: Manifest | null): string | null {
  if (manifest !== null) return manifest.backupId
  const isChanging = changing.test(row.phase) || row.wiped !== null || row.restored !== null
  return isChanging ? row.backupId : null
}
