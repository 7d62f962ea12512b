import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { workKeys } from '../backup/layout.ts'
import { Warning } from '../backup/manifest.ts'
import { findJson, putJson, type Storage } from '../backup/storage.ts'
import type { Clients } from '../clients.ts'
import { InvalidConfiguration } from '../errors.ts'
import { CacheResult } from './export.ts'
import { Found } from './findings.ts'
import { environmentKey, keyScope } from './keys.ts'
import { settleExtras } from './restore-extras.ts'
import { writeKeys } from './restore-keys.ts'
import { type Part, readLines } from './restore-lines.ts'

type Tools = Pick<Clients, 'backups' | 'cache' | 'config'>
type Run = { runId: string; attempt: number }

type CacheToRestore = {
  run: Run
  /** The manifest's `cache.parts`. */
  parts: readonly Part[]
  /** Keys that are not in the backup are deleted. */
  exact: boolean
  /** The manifest's `cache.prefix`: keys outside were never meant to be in the backup, so they are no extra ones. */
  prefix?: string
}

const count = z.number().int().nonnegative()

/**
 * `restored-cache`: `keys` that are as in the backup. `expired`: their time was up, so they were left out. `extra`: not in
 * the backup (or expired there), and still there; `deleted`: not in the backup, and deleted by this try of the step.
 */
export const CacheRestored = z.strictObject({
  keys: count,
  expired: count,
  extra: count,
  deleted: count,
  warnings: z.array(Warning),
})
export type CacheRestored = z.output<typeof CacheRestored>

/**
 * Bytes of one request's JSON, roughly (Upstash takes 10 MB); keys of one request, and elements of one command; keys
 * asked for per SCAN; and lines that are looked at together.
 */
export const restoreLimits = {
  requestBytes: 2 ** 20,
  pageKeys: 1_000,
  commandItems: 1_000,
  scanKeys: 5_000,
  lines: 500,
  linesBytes: 4 * 2 ** 20,
}

/** Where the result lies among the run's work. */
export function cacheRestoredKey(run: Run): string {
  return `${workKeys(run).root}results/restored-cache.json`
}

/**
 * Puts every key of a backup back, with its type, value and the time that it has left. All parts are read and checked
 * before the first key is written. A live key of the same name is replaced in one piece. Keys that are not in the backup
 * stay and are counted; with `exact` they are deleted. The environment's key is never touched, nor keys of types that the
 * run's own backup could not hold. Repeating it gives the same keys; a repeat that finds the result writes nothing.
 *
 * Not restored, because a backup does not hold them: consumer groups, the last id of a stream whose newest entries were
 * deleted, and expiry times of single hash fields. Memory: about 20 bytes per key, a part's line, and some MB.
 * @param progress is told the keys that were dealt with and those of the backup
 * @throws BackupDamaged naming the part, InvalidConfiguration when the backup holds keys outside CACHE_PREFIX
 * @throws StoreUnavailable, NotPermitted
 */
export async function restoreCache(
  { backups: storage, cache, config }: Tools,
  { run, parts, exact, prefix = config.CACHE_PREFIX }: CacheToRestore,
  progress: (done: number, total: number) => Promise<void>,
  limits = restoreLimits,
): Promise<CacheRestored> {
  const earlier = await findJson(storage, cacheRestoredKey(run), CacheRestored)
  if (earlier !== undefined) return earlier

  const scope = keyScope(config.CACHE_PREFIX)
  await checkParts(storage, parts, config.CACHE_PREFIX)
  const keptTypes = (await findJson(storage, workKeys(run).cacheResult, CacheResult))?.unsupported ?? []

  const temporary = `${config.CACHE_PREFIX === '*' ? '' : config.CACHE_PREFIX}taskmaster:restoring:`
  const isLeftover = (key: Buffer) => key.indexOf(temporary) === 0
  const includes = (key: Buffer) => scope.includes(key) && !isLeftover(key)
  const total = parts.reduce((sum, { keys }) => sum + keys, 0)
  const spared = new Found()
  const { known, keys, expired } = await writeKeys(
    { storage, cache },
    { parts, includes, temporary: `${temporary}${randomUUID()}`, keptTypes, spared },
    (done) => progress(done, total),
    limits,
  )
  const backedUp = keyScope(prefix)
  const { extra, deleted } = await settleExtras(cache, {
    match: scope.match,
    includes: (key) => includes(key) && backedUp.includes(key),
    isLeftover,
    known,
    exact,
    keptTypes,
    spared,
    pageKeys: limits.scanKeys,
  })
  const warnings = spared.count === 0 ? [] : [sparedWarning(spared, keptTypes)]
  const result: CacheRestored = { keys, expired, extra, deleted, warnings }
  await putJson(storage, cacheRestoredKey(run), result)
  await progress(total, total)
  return result
}

/** Reads all parts to their ends before anything is made of them. */
async function checkParts(storage: Storage, parts: readonly Part[], prefix: string): Promise<void> {
  const scope = keyScope(prefix)
  const outside = new Found()
  for await (const { key, part } of readLines(storage, parts)) {
    if (part === 1 && !scope.includes(key) && key.toString() !== environmentKey) outside.add(key)
  }
  if (outside.count === 0) return
  throw new InvalidConfiguration(
    `The backup holds ${outside.count} cache keys that do not begin with CACHE_PREFIX, "${prefix}": ${outside.names()}. Nothing was restored. Set CACHE_PREFIX to what it was when the backup was made`,
  )
}

function sparedWarning(spared: Found, types: readonly string[]): Warning {
  return {
    code: 'KeysNotReplaced',
    message: `${spared.count} cache keys stay as they are, because they are of a type (${types.join(', ')}) that no backup holds: ${spared.names()}. Delete them and restore again to have them replaced`,
  }
}
