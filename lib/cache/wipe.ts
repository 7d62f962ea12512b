import { z } from 'zod'
import { workKeys } from '../backup/layout.ts'
import { Warning } from '../backup/manifest.ts'
import { findJson, putJson } from '../backup/storage.ts'
import type { Clients } from '../clients.ts'
import { keyScope, preservedBy } from './keys.ts'
import { countDoomed, wipeOnce } from './wipe-pass.ts'

type Tools = Pick<Clients, 'backups' | 'cache' | 'config'>
type Run = { runId: string; attempt: number }

const count = z.number().int().nonnegative()

/**
 * `cacheWiped`: `keys` that were deleted, by Redis' own answers, over all tries of the step; it can be short of the
 * truth when an answer was lost, never above it. `left`: keys that should have gone and are still there.
 */
export const CacheWiped = z.strictObject({ keys: count, left: count, warnings: z.array(Warning) })
export type CacheWiped = z.output<typeof CacheWiped>

/** Keys asked for per SCAN; passes over the whole database; and pages between two notes of how far it is. */
export const wipeLimits = { pageKeys: 5_000, passes: 100, noteEvery: 20 }

/**
 * Deletes the keys below CACHE_PREFIX by name, and nothing else: not the environment's key, nor what matches a preserved
 * pattern, nor keys of `unsupportedTypes` (those that the backup could not hold). Passes are repeated until one finds
 * nothing, because a scan need not show keys that come during it. What is written while it runs goes too, and is in no
 * backup. A repeat finds the result and deletes nothing again.
 * @param progress is told the keys deleted and `expected`, which is only passed on
 * @throws StoreUnavailable, NotPermitted. Keys that stay do not throw: see `left`
 */
export async function wipeCache(
  { backups: storage, cache, config }: Tools,
  {
    run,
    preserve,
    unsupportedTypes,
    expected = 0,
  }: { run: Run; preserve: readonly string[]; unsupportedTypes: readonly string[]; expected?: number },
  progress: (done: number, total: number) => Promise<void>,
  limits = wipeLimits,
): Promise<CacheWiped> {
  const earlier = await findJson(storage, workKeys(run).cacheWiped, CacheWiped)
  if (earlier?.left === 0) return earlier

  // A try that was cut off has left its count, so that the sum stays honest.
  const noteKey = `${workKeys(run).root}results/wiped-cache-so-far.json`
  let deleted = earlier?.keys ?? (await findJson(storage, noteKey, Note))?.keys ?? 0
  let pages = 0
  const note = () => putJson(storage, noteKey, { keys: deleted })
  async function onPage(number: number): Promise<void> {
    deleted += number
    if (++pages % limits.noteEvery === 0) await note()
    await progress(deleted, expected)
  }

  const scope = keyScope(config.CACHE_PREFIX)
  const patternsOf = preservedBy(preserve)
  const goes = (key: Buffer) => scope.includes(key) && patternsOf(key).length === 0
  const selection = { match: scope.match, goes, unsupportedTypes, pageKeys: limits.pageKeys }
  let left = 0
  try {
    for (let pass = 1, idle = 0; pass <= limits.passes; pass++) {
      const { found, gone } = await wipeOnce(cache, selection, onPage)
      left = found - gone
      if (found === 0) break
      // Names that Redis does not delete twice in a row are not going to be deleted.
      idle = gone === 0 ? idle + 1 : 0
      if (idle === 2) break
      if (pass === limits.passes) left = await countDoomed(cache, selection)
    }
  } catch (error) {
    await note().catch(() => {}) // the error is what counts; without the note the sum is only smaller
    throw error
  }
  const result: CacheWiped = {
    keys: deleted,
    left,
    warnings: left === 0 ? [] : [leftWarning(left, limits.passes)],
  }
  await putJson(storage, workKeys(run).cacheWiped, result)
  await progress(deleted, deleted)
  return result
}

const Note = z.strictObject({ keys: count })

function leftWarning(left: number, passes: number): Warning {
  return {
    code: 'KeysLeft',
    message: `${left} cache keys were still there after up to ${passes} passes: the application writes them faster than they are deleted, or Redis does not delete them. Pause it and run again`,
  }
}
