import { agreeing, counted } from '../amounts.ts'
import { findJson } from '../backup/documents/read.ts'
import { findResult } from '../backup/documents/results.ts'
import { workKeys } from '../backup/layout.ts'
import type { Manifest, Warning } from '../backup/manifest.ts'
import type { Clients } from '../clients.ts'
import type { RunRow } from '../ledger/runs.ts'
import { operationOf } from '../operations.ts'
import { isDue } from '../store/due.ts'
import { type Ender, type Ending, hasBegun, type TargetState, toldOf } from '../store.ts'
import { closeFence } from './fence.ts'
import { CacheRestored } from './restore/restore.ts'
import type { CacheCounts } from './schema/outcome.ts'
import { CacheWiped } from './wipe/wipe.ts'

export type CacheLeft = { wiped: CacheWiped | null; restored: CacheRestored | null }

type CacheEnding = Ending<object, object, NonNullable<Manifest['cache']>>

/** Milliseconds that the cache has: the outcome is written, and whoever waits for it should not wait long. */
const patience = 5_000

/** What became of the cache: of it the ledger says only whether its turn has come, and what a step told on its way. */
export const cacheEnd: Ender<object, object, NonNullable<Manifest['cache']>, CacheLeft, CacheCounts> = {
  inLedger: () => ({ wiped: null, restored: null }),
  inBucket: findLeft,
  end: (ending, left) => ({
    counts: countsOf(ending, left),
    warnings: warningsOf(ending, left),
    shortfall: {
      wipe: isDue('wiped', ending) && left.wiped === null ? 'the cache was not wiped' : notWiped(left),
      restore: isDue('replaced', ending) && left.restored === null ? 'the cache was not put back' : null,
    },
  }),
  tidy: {
    otherwise: 'the cache was not closed to the run',
    act: (clients, row) => closeFence(clients.cache, row.fence, AbortSignal.timeout(patience)),
  },
}

async function findLeft(
  { backups }: Pick<Clients, 'backups'>,
  { row, summary }: { row: RunRow; summary: CacheEnding['summary'] },
): Promise<CacheLeft> {
  if (!summary?.planned) return { wiped: null, restored: null }
  const wiped = await findResult(backups, workKeys(row).cacheWiped, CacheWiped)
  const restored =
    operationOf(row.operation)?.changes === 'replaced'
      ? await findJson(backups, workKeys(row).cacheRestored, CacheRestored)
      : undefined
  return { wiped: wiped?.result ?? null, restored: restored ?? null }
}

/** Keys are those of what the state says; of a step that broke off those that it told, never what the backup holds. */
function countsOf(ending: CacheEnding, { wiped, restored }: CacheLeft): { state: TargetState } & CacheCounts {
  const { row, held } = ending
  const before = stateBeforeRestore(ending, wiped)
  const state = (before === 'unknown' ? null : stateOfRestore(row, restored)) ?? before
  if (state === 'restored' || state === 'partly_restored')
    return {
      state,
      keys: restored === null ? toldOf(row, 'Restore cache') : restored.keys + restored.unchanged,
    }
  const backedUp = state === 'backed_up' ? held?.keys : undefined
  return { state, keys: wiped?.keys ?? backedUp ?? toldOf(row, 'Wipe cache') }
}

/** As of the files: see there. */
function stateBeforeRestore(
  { row, clears, held, unread }: CacheEnding,
  wiped: CacheWiped | null,
): TargetState {
  if (wiped !== null) return wiped.left === 0 ? 'wiped' : 'partly_wiped'
  const otherwise = held === null ? 'untouched' : 'backed_up'
  if (!clears || !hasBegun(row, 'cache')) return otherwise
  if (unread) return 'unknown'
  return operationOf(row.operation)?.changes === 'replaced' ? otherwise : 'partly_wiped'
}

/** null: nothing was put back, nor was it tried. */
function stateOfRestore(
  { phase }: RunRow,
  restored: CacheRestored | null,
): 'restored' | 'partly_restored' | null {
  if (restored?.changedMeanwhile === 0) return 'restored'
  return restored !== null || phase === 'Restore cache' ? 'partly_restored' : null
}

function notWiped({ wiped }: CacheLeft): string | null {
  if (wiped === null || wiped.left === 0) return null
  return `${counted(wiped.left, 'cache key')} ${agreeing(wiped.left, 'is', 'are')} still there`
}

function warningsOf({ exact }: CacheEnding, { wiped, restored }: CacheLeft): Warning[] {
  const [extra, expired] = [restored?.extra ?? 0, restored?.expired ?? 0]
  const left = exact
    ? agreeing(
        extra,
        'is not in the backup and could not be removed: it is of a type that no backup holds, changed again and again, or is too large to be compared',
        'are not in the backup and could not be removed: they are of a type that no backup holds, changed again and again, or are too large to be compared',
      )
    : agreeing(
        extra,
        'is not in the backup and was left; "exact": true removes it',
        'are not in the backup and were left; "exact": true removes them',
      )
  const over = agreeing(
    expired,
    'had outlived its time and was left out',
    'had outlived their time and were left out',
  )
  return [
    ...(wiped?.warnings ?? []),
    ...(extra === 0 ? [] : [{ code: 'KeysNotInBackup', message: `${counted(extra, 'cache key')} ${left}` }]),
    ...(expired === 0 ? [] : [{ code: 'KeysExpired', message: `${counted(expired, 'cache key')} ${over}` }]),
    ...(restored?.warnings ?? []),
  ]
}
