import type { Manifest } from '../../backup/manifest.ts'
import type { CacheWiped } from '../../cache/wipe/wipe.ts'
import { stateOfDatabase } from '../../database/outcome.ts'
import type { FilesWiped } from '../../files/wipe.ts'
import { changing, type RunRow } from '../../ledger/runs.ts'
import { hasBegun, type Target, type TargetState } from '../../store.ts'

/** What tells how far a run got: first the ledger, which is never wrong, then what the steps left behind in S3. */
export type Facts = {
  row: RunRow
  clears: readonly Target[]
  dryRun: boolean
  /** Batches of files that are to be wiped; null: the plan cannot be understood. */
  batches: number | null
  /** The machine came to its end without an error. */
  succeeded: boolean
  manifest: Manifest | null
  files: readonly FilesWiped[]
  cache: CacheWiped | null
  /** Why what lies in S3 could not be read; null: it was read, and what is missing was not written. */
  unread: string | null
}

/**
 * What a backup or a reset did to each target, and what a restore did before it put anything back. The ledger says of the
 * database what was committed; of files and cache it says only whether their turn has come: where the steps' results
 * cannot be read, such a target is `unknown`, never `untouched`.
 * @see docs/decisions.md#an-outcome-says-what-is-known-and-where-it-ends
 */
export function statesOf(facts: Facts): Record<Target, TargetState> {
  return {
    database: stateOfDatabase(facts.row, facts.manifest?.database),
    files: stateOfFiles(facts),
    cache: stateOfCache(facts),
  }
}

/** The same from the ledger alone: for a run that left no outcome. */
export function statesInLedger(row: RunRow): Record<Target, TargetState> {
  const committed = row.restored !== null ? 'restored' : row.wiped !== null ? 'wiped' : null
  const isOpen = row.status === 'running'
  const stateOf = (target: Target): TargetState => (hasBegun(row, target) ? 'unknown' : 'untouched')
  return {
    // Its transaction holds the run's row: once the run is over, what it did not record it did not do.
    database: committed ?? (isOpen ? stateOf('database') : 'untouched'),
    files: stateOf('files'),
    cache: stateOf('cache'),
  }
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

function stateOfFiles(facts: Facts): TargetState {
  const { row, clears, dryRun, batches, manifest, files, unread, succeeded } = facts
  const otherwise = manifest?.files ? 'backed_up' : 'untouched'
  if (dryRun || !clears.includes('files')) return otherwise
  if (unread !== null && hasBegun(row, 'files')) return 'unknown'
  if (row.operation !== 'reset' || batches === null) return otherwise
  // Without files there is no batch to leave a result; the folder is empty all the same once its turn has come.
  if (batches === 0) return succeeded || row.wiped !== null || hasBegun(row, 'files') ? 'wiped' : otherwise
  if (files.length === batches && files.every(({ failures }) => failures === 0)) return 'wiped'
  return files.length > 0 || hasBegun(row, 'files') ? 'partly_wiped' : otherwise
}

function stateOfCache({ row, clears, manifest, cache, unread }: Facts): TargetState {
  if (cache !== null) return cache.left === 0 ? 'wiped' : 'partly_wiped'
  const otherwise = manifest?.cache ? 'backed_up' : 'untouched'
  if (!clears.includes('cache') || !hasBegun(row, 'cache')) return otherwise
  if (unread !== null) return 'unknown'
  return row.operation === 'restore' ? otherwise : 'partly_wiped'
}
