import * as z from 'zod'
import { agreeing, counted } from '../../amounts.ts'
import { findJson } from '../../backup/documents/read.ts'
import { findResult } from '../../backup/documents/results.ts'
import { workKeys } from '../../backup/layout.ts'
import type { Warning } from '../../backup/manifest.ts'
import { CacheRestored } from '../../cache/restore/restore.ts'
import { DatabaseRestored } from '../../database/restore/restore.ts'
import { FilesRestored } from '../../files/restore/results.ts'
import type { RunRow } from '../../ledger/runs.ts'
import type { Storage } from '../../s3/bucket.ts'
import { type TargetState, toldOf } from '../../store.ts'
import type { Outcome } from '../outcome.ts'

/** What the steps of a restore left behind. */
export type Restored = {
  database: DatabaseRestored | null
  files: FilesRestored[]
  /** How many batches of files there are. */
  batches: number
  cache: CacheRestored | null
  /** What the backup does not hold was to be removed. */
  exact: boolean
}

/** What the ledger's summary of a plan says of a restore. */
export const RestoreSummary = z.object({
  backupId: z.string(),
  files: z.object({ batches: z.number() }).nullable(),
  exact: z.boolean().default(false),
})

/** What the ledger alone says of a restore, when the rest cannot be read. */
export function restoredInLedger(row: RunRow, { files, exact }: z.output<typeof RestoreSummary>): Restored {
  const database = row.restored === null ? null : DatabaseRestored.parse(row.restored)
  return { database, files: [], batches: files?.batches ?? 0, cache: null, exact }
}

/** Reads the results of a restore's steps. */
export async function findRestored(
  storage: Storage,
  row: RunRow,
  summary: z.output<typeof RestoreSummary>,
): Promise<Restored> {
  const batches = summary.files?.batches ?? 0
  const files: FilesRestored[] = []
  for (let batch = 0; batch < batches; batch++) {
    const found = await findResult(storage, workKeys(row).filesRestored(batch), FilesRestored)
    if (found !== undefined) files.push(found.result)
  }
  return {
    ...restoredInLedger(row, summary),
    files,
    cache: (await findJson(storage, workKeys(row).cacheRestored, CacheRestored)) ?? null,
  }
}

/**
 * What a restore did to each target; `before` is how the steps before it left them. Of files and cache only what was read
 * is known: see statesOf.
 */
export function describeRestored(
  { database, files, batches, cache }: Restored,
  row: RunRow,
  before: Outcome['targets'],
): Outcome['targets'] {
  const sum = (pick: (result: FilesRestored) => number) =>
    files.reduce((total, result) => total + pick(result), 0)
  const allThere =
    files.length === batches && sum(({ failures, changedMeanwhile }) => failures + changedMeanwhile) === 0
  const begun = files.length > 0 || row.phase === 'Restore files'
  const stateOfFiles: TargetState | null =
    batches > 0 && allThere ? 'restored' : begun ? 'partly_restored' : null
  const isCacheThere = cache !== null && cache.changedMeanwhile === 0
  const hasCacheBegun = cache !== null || row.phase === 'Restore cache'
  const stateOfCache: TargetState | null = isCacheThere
    ? 'restored'
    : hasCacheBegun
      ? 'partly_restored'
      : null
  const isUnknown = ({ state }: { state: TargetState }) => state === 'unknown'
  return {
    database:
      database === null
        ? before.database
        : { state: 'restored', rows: database.rows, tables: database.tables },
    files:
      stateOfFiles === null || isUnknown(before.files)
        ? before.files
        : {
            state: stateOfFiles,
            objects: sum(({ objects, unchanged }) => objects + unchanged),
            bytes: sum(({ bytes, unchangedBytes }) => bytes + unchangedBytes),
          },
    cache:
      stateOfCache === null || isUnknown(before.cache)
        ? before.cache
        : { state: stateOfCache, keys: cache?.keys ?? toldOf(row, 'Restore cache') },
  }
}

/** What a restore left undone, in the words of an error; null: nothing. What others changed meanwhile is not its failure. */
export function shortfallOfRestore({ files }: Restored): string | null {
  const failures = files.reduce((sum, result) => sum + result.failures, 0)
  if (failures === 0) return null
  const [first] = files.flatMap(({ failed }) => failed)
  return `${counted(failures, 'file')} could not be put back or removed${first === undefined ? '' : ` (for example ${first.key}: ${first.code})`}`
}

export function warningsOfRestored({ database, files, cache, exact }: Restored): Warning[] {
  const sum = (pick: (result: FilesRestored) => number) =>
    files.reduce((total, result) => total + pick(result), 0)
  const counts: [code: string, count: number, what: string, one: string, many: string][] = [
    [
      'FilesNotInBackup',
      sum(({ extra }) => extra),
      'file',
      'is not in the backup and was left; "exact": true removes it',
      'are not in the backup and were left; "exact": true removes them',
    ],
    [
      'FilesChangedMeanwhile',
      sum(({ changedMeanwhile }) => changedMeanwhile),
      'file',
      'changed after the safety backup, so it was left as it is',
      'changed after the safety backup, so they were left as they are',
    ],
    [
      'FilesNotRestored',
      sum(({ failures }) => failures),
      'file',
      'could not be put back or removed',
      'could not be put back or removed',
    ],
    [
      'KeysNotInBackup',
      cache?.extra ?? 0,
      'cache key',
      ...(exact
        ? ([
            'is not in the backup and could not be removed: it is of a type that no backup holds, changed again and again, or is too large to be compared',
            'are not in the backup and could not be removed: they are of a type that no backup holds, changed again and again, or are too large to be compared',
          ] as const)
        : ([
            'is not in the backup and was left; "exact": true removes it',
            'are not in the backup and were left; "exact": true removes them',
          ] as const)),
    ],
    [
      'KeysExpired',
      cache?.expired ?? 0,
      'cache key',
      'had outlived its time and was left out',
      'had outlived their time and were left out',
    ],
  ]
  return [
    ...(database?.warnings ?? []),
    ...counts
      .filter(([, count]) => count > 0)
      .map(([code, count, what, one, many]) => ({
        code,
        message: `${counted(count, what)} ${agreeing(count, one, many)}`,
      })),
    ...(cache?.warnings ?? []),
  ]
}
