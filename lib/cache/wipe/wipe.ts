import * as z from 'zod'
import { agreeing, counted } from '../../amounts.ts'
import { findJson } from '../../backup/documents/read.ts'
import { findResult, putResult } from '../../backup/documents/results.ts'
import { putJson } from '../../backup/documents/write.ts'
import { workKeys } from '../../backup/layout.ts'
import { Warning } from '../../backup/manifest.ts'
import type { Clients } from '../../clients.ts'
import type { Fence } from '../../ledger/fence.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import type { KeyFate } from '../compare-and-unlink.ts'
import { openOwnBackup } from '../export/own-backup.ts'
import { KeyTally } from '../findings.ts'
import { KeySet } from '../key-set.ts'
import { keyScope, preservedBy } from '../keys.ts'
import { quarantineBelow, releaseAll } from '../quarantine.ts'
import { keysOfTypes } from '../restore/extras.ts'
import { findDoomed, type KeySelection, wipeOnce } from './pass.ts'
import { Rewrites } from './rewrites.ts'

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
  const rewrites = new Rewrites(quarantine, held?.digests ?? null)
  await note() // before the first key goes: from then on a repeat cannot tell what changed before from what came after
  const scope = keyScope(config.CACHE_PREFIX)
  const patternsOf = preservedBy(preserve)
  const keptTypes = new Set(unsupportedTypes)
  const selection = (quarantines: boolean): KeySelection => ({
    match: scope.match,
    expected: (key) => {
      if (!scope.includes(key) || patternsOf(quarantine.nameOf(key)).length > 0) return null
      if (held === null) return '*'
      const digest = held.digests.get(key) ?? ''
      if (rewrites.includes(key, digest)) return null
      return begun !== undefined && digest !== '' ? `!${digest}` : digest
    },
    quarantine: quarantines ? quarantine.prefix : null,
    keptTypes: [...keptTypes],
    pageKeys: limits.pageKeys,
  })
  let pages = 0
  async function onPage(fates: ReadonlyMap<Buffer, KeyFate>): Promise<void> {
    const found = Map.groupBy(fates.keys(), (key) => fates.get(key))
    const [deleted = [], absent = []] = [found.get('deleted'), found.get('absent')]
    tally.keys += deleted.length
    for (const key of deleted) rewrites.dealtWith(key)
    for (const key of absent) rewrites.dealtWith(key)
    const { aside = [], rewritten = [] } = Object.groupBy(found.get('unclear') ?? [], (key) =>
      quarantine.holds(key) ? 'aside' : 'rewritten',
    )
    for (const key of rewritten) rewrites.add(key)
    const changed = [...(found.get('changed') ?? []), ...aside]
    const renamed = found.get('renamed') ?? []
    await held?.late.add([...changed, ...renamed.map(quarantine.keyOf)])
    for (const key of renamed) rewrites.dealtWith(key) // whoever writes to its name now writes a new key
    if (++pages % limits.noteEvery === 0) await note()
    await progress(tally.keys, expected)
  }

  let found = 1
  try {
    for (let pass = 1, idle = 0; pass <= limits.passes && found > 0 && idle < 2; pass++) {
      const before = tally.keys
      found = await wipeOnce({ cache, fence }, selection(pass >= limits.quarantineFrom), onPage)
      const late = (await held?.late.commit()) ?? 0
      tally.late += late
      for (const type of held?.late.findings.unsupported.keys() ?? []) keptTypes.add(type)
      // Names that Redis does not delete twice in a row are not going to be deleted.
      idle = tally.keys === before && late === 0 ? idle + 1 : 0
    }
  } catch (error) {
    await note().catch(() => {}) // the error is what counts; without the note the sums are only smaller
    // Whose value is in no backup yet is not to be missing because a step failed; what stays is put back by the next run.
    await releaseAll(cache, fence, quarantine).catch(() => {})
    throw error
  }
  const left = found === 0 ? new KeyTally() : await findLeft(tools, selection(false))
  if (left.count > 0) await releaseAll(cache, fence, quarantine)
  const result: CacheWiped = {
    ...tally,
    left: left.count,
    warnings: [
      ...(held?.late.findings.warnings() ?? []),
      ...(left.count === 0 ? [] : [leftWarning(left, limits.passes)]),
      ...rewrites.warnings(),
    ],
  }
  await fence.check() // the result is that of the latest invocation
  const complete = result.left === 0
  const counts = await putResult(bucket, workKeys(run).cacheWiped, CacheWiped, { result, complete })
  await progress(tally.keys, tally.keys)
  return counts
}

const Note = z.object({ keys: count, late: count.default(0) })

/** The keys that should have gone and are there, each once. */
async function findLeft({ cache }: Tools, selection: KeySelection): Promise<KeyTally> {
  const left = new KeyTally()
  const seen = new KeySet()
  for await (const keys of findDoomed(cache, selection)) {
    const kept = await keysOfTypes(cache, keys, selection.keptTypes)
    for (const key of keys) if (!kept.includes(key) && seen.add(key)) left.add(key)
  }
  return left
}

function leftWarning(left: KeyTally, passes: number): Warning {
  return {
    code: 'KeysLeft',
    message: `${counted(left.count, 'cache key')} ${agreeing(left.count, 'is', 'are')} still there after up to ${counted(passes, 'pass', 'passes')}: the application writes faster than keys are deleted, Redis does not delete, or a key is too large to be compared with the backup: ${left.names()}. Pause the application and run again`,
  }
}
