import * as z from 'zod'
import { findJson } from '../../backup/documents/read.ts'
import { findResult, putResult } from '../../backup/documents/results.ts'
import { putJson } from '../../backup/documents/write.ts'
import { workKeys } from '../../backup/layout.ts'
import { Warning } from '../../backup/manifest.ts'
import type { Clients } from '../../clients.ts'
import type { Fence } from '../../ledger/fence.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import { openOwnBackup } from '../export/own-backup.ts'
import { quarantineBelow, releaseAll } from '../quarantine.ts'
import { Passes } from './passes.ts'

type Tools = Pick<Clients, 'backups' | 'cache' | 'config' | 'now'>

const count = z.number().int().nonnegative()

/**
 * `cacheWiped`: `keys` that were deleted, by Redis' own answers, over all tries of the step; it can be short of the
 * truth when an answer was lost, never above it. `late`: keys whose value was added to the backup first. `left`: keys that
 * should have gone and are still there.
 */
export const CacheWiped = z.strictObject({
  keys: count,
  late: count.default(0),
  left: count,
  warnings: z.array(Warning),
})
export type CacheWiped = z.output<typeof CacheWiped>

/**
 * Keys asked for per SCAN; passes over the whole database; the pass from which on keys are quarantined that changed again;
 * and pages between two notes of how far it is.
 */
export const wipeLimits = { pageKeys: 5_000, passes: 100, quarantineFrom: 3, noteEvery: 20 }

type CacheToWipe = {
  run: RunRef
  fence: Fence
  /** The backup that this run sealed; null: it was told to take none, so keys go whatever they hold. */
  backupId: string | null
  preserve: readonly string[]
  /** Types of keys that the backup could not hold: they stay. */
  unsupportedTypes: readonly string[]
  expected?: number
}

/**
 * Deletes the keys below CACHE_PREFIX, and nothing else: not our own keys, nor what matches a preserved pattern, nor keys
 * of `unsupportedTypes`. The server compares each key with the backup and deletes it in one piece; one that changed or came
 * since its export is added to the backup first, and compared again in the next pass. A key that changes all the time is
 * renamed, so that nobody writes to it, exported and then deleted. A key that is written again after it was deleted stays:
 * in the backup it would take the place of what it was before. Passes are repeated until one finds nothing, because a scan
 * need not show keys that come during it. A repeat finds the result and deletes nothing again; one that does not find it
 * deletes only what is as in the backup, or not in it at all. Memory: about 40 bytes per key and one part.
 * @param progress is told the keys deleted and `expected`, which is only passed on
 * @throws StoreUnavailable, NotPermitted, BackupDamaged; RunLost, after which nothing is deleted any more. Keys that stay do
 * not throw: see `left`
 */
export async function wipeCache(
  tools: Tools,
  { run, fence, backupId, preserve, unsupportedTypes, expected = 0 }: CacheToWipe,
  progress: (done: number, total: number) => Promise<void>,
  limits = wipeLimits,
): Promise<CacheWiped> {
  const { backups: bucket, cache, config } = tools
  const earlier = await findResult(bucket, workKeys(run).cacheWiped, CacheWiped)
  if (earlier?.complete) return earlier.result

  // A try that was cut off has left its counts, so that the sums stay honest.
  const noteKey = workKeys(run).cacheWipedSoFar
  const begun = earlier?.result ?? (await findJson(bucket, noteKey, Note))
  const tally = { keys: begun?.keys ?? 0, late: begun?.late ?? 0 }
  const note = () => putJson(bucket, noteKey, tally)

  const quarantine = quarantineBelow(config.CACHE_PREFIX)
  const held =
    backupId === null ? null : await openOwnBackup(tools, { run, fence, backupId, nameOf: quarantine.nameOf })
  const isRepeat = begun !== undefined
  const wiping = { prefix: config.CACHE_PREFIX, preserve, quarantine, fence, held, isRepeat }
  const passes = new Passes(cache, { ...wiping, keptTypes: unsupportedTypes }, tally)
  await note() // before the first key goes: from then on a repeat cannot tell what changed before from what came after
  let pages = 0
  const ended = passes.wipe(limits, async () => {
    if (++pages % limits.noteEvery === 0) await note()
    await progress(tally.keys, expected)
  })
  const { left, warnings } = await ended.catch(async (error: unknown) => {
    await note().catch(() => {}) // the error is what counts; without the note the sums are only smaller
    // Whose value is in no backup yet is not to be missing because a step failed; what stays is put back by the next run.
    await releaseAll(cache, fence, quarantine).catch(() => {})
    throw error
  })
  if (left > 0) await releaseAll(cache, fence, quarantine)
  const result = { ...tally, left, warnings }
  await fence.check() // the result is that of the latest invocation
  const complete = left === 0
  const counts = await putResult(bucket, workKeys(run).cacheWiped, CacheWiped, { result, complete })
  await progress(tally.keys, tally.keys)
  return counts
}

const Note = z.object({ keys: count, late: count.default(0) })
