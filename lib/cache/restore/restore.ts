import { randomUUID } from 'node:crypto'
import * as z from 'zod'
import { agreeing, counted } from '../../amounts.ts'
import { findJson } from '../../backup/documents/read.ts'
import { putResult } from '../../backup/documents/results.ts'
import { workKeys } from '../../backup/layout.ts'
import { Warning } from '../../backup/manifest.ts'
import type { Clients } from '../../clients.ts'
import type { Fence } from '../../ledger/fence.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import { everything, type Touched } from '../../store/selection.ts'
import { CacheResult } from '../export/export.ts'
import { KeyTally } from '../findings.ts'
import { keyScope, reservedPrefix, touches } from '../keys.ts'
import { readExpiryKnown } from '../value/expiry.ts'
import type { Part } from '../value/part-lines.ts'
import { shiftOf } from '../value/time-to-live.ts'
import { checkParts } from './check-parts.ts'
import { settleExtras } from './extras.ts'
import { writeKeys } from './keys.ts'
import { SafetyBackup } from './safety-backup.ts'

type Tools = Pick<Clients, 'backups' | 'cache' | 'config' | 'now'>

type CacheToRestore = {
  run: RunRef
  fence: Fence
  /** The backup that this run made of what is there; null: it was told to take none. */
  safetyBackupId: string | null
  /** The manifest's `cache.parts`. */
  parts: readonly Part[]
  /** Keys that are not in the backup are deleted. */
  exact: boolean
  /** What other keys hold stays as it is, and is not counted. */
  touched?: Touched
  /** From when on the time to live of the keys counts again, as ISO 8601; null: each key ends when it would have ended. */
  aliveFrom?: string | null
  /** The manifest's `cache.prefix`: keys outside were never meant to be in the backup, so they are no extra ones. */
  prefix?: string
}

const count = z.number().int().nonnegative()

/**
 * `restored-cache`: `keys` that were written as in the backup. `unchanged`: they were so before, be it by an earlier try of the
 * step. `expired`: their time was up, so they were left out. `extra`: not in the backup (or expired there), and still there;
 * `deleted`: not in the backup, and deleted by this try of the step. `changedMeanwhile`: keys that were left as they are, because they changed again and again after the safety backup.
 */
export const CacheRestored = z.strictObject({
  keys: count,
  unchanged: count.default(0),
  expired: count,
  extra: count,
  deleted: count,
  changedMeanwhile: count.default(0),
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
  lines: 1_000,
  linesBytes: 4 * 2 ** 20,
}

/**
 * Puts every key of a backup back, with its type, value and the time that it has left. All parts are read and checked
 * before the first key is written. A key that is as in the backup is not written. Another live key of the same name is replaced in one piece. Keys that are not in the backup
 * stay and are counted; with `exact` they are deleted. The environment's key is never touched, nor keys of types that the
 * run's own backup could not hold. Repeating it gives the same keys; a repeat that finds the result writes nothing.
 *
 * Not restored, because a backup does not hold them: which entries of streams are pending. Memory: about 20 bytes per key, a part's line, and some MB.
 * @param progress is told the keys that were dealt with and those of the backup
 * @throws BackupDamaged naming the part, InvalidConfiguration when the backup holds keys outside CACHE_PREFIX
 * @throws StoreUnavailable, NotPermitted
 */
export async function restoreCache(
  tools: Tools,
  asked: CacheToRestore,
  progress: (done: number, total: number) => Promise<void>,
  limits = restoreLimits,
): Promise<CacheRestored> {
  const { run, fence, safetyBackupId, parts, exact, touched = everything, aliveFrom = null } = asked
  const { backups: bucket, cache, config } = tools
  const earlier = await findJson(bucket, workKeys(run).cacheRestored, CacheRestored)
  if (earlier !== undefined) return earlier

  const scope = keyScope(config.CACHE_PREFIX)
  const isTouched = touches(touched)
  const isOurs = (key: Buffer) => scope.includes(key) && isTouched(key)
  const expiry = await readExpiryKnown(cache)
  const shift = aliveFrom === null ? 0 : await shiftOf({ bucket, cache }, run, aliveFrom)
  const { repetitions, large, unmatched } = await checkParts({ bucket, cache }, parts, {
    ...{ prefix: config.CACHE_PREFIX, touched, shift, expiry },
  })
  const keptTypes = (await findJson(bucket, workKeys(run).cacheResult, CacheResult))?.unsupported ?? []
  const safety = await SafetyBackup.open(tools, { run, fence, backupId: safetyBackupId })

  const temporary = reservedPrefix(config.CACHE_PREFIX, 'restoring')
  const total = parts.reduce((sum, { keys }) => sum + keys, 0)
  const spared = new KeyTally()
  const replacing = { safety, keptTypes, spared }
  const { known, keys, unchanged, expired, ...fields } = await writeKeys(
    { bucket, cache },
    {
      ...{ parts, repetitions, large, shift, fence, expiry, ...replacing },
      // A value that a restore left unfinished may have been backed up: it has its time to live, and is nobody's.
      includes: (key, expiresAt) => isOurs(key) && (expiresAt === null || key.indexOf(temporary) !== 0),
      temporary: `${temporary}${randomUUID()}`,
    },
    (done) => progress(done, total),
    limits,
  )
  const notReplaced = safety?.left.count ?? 0
  const backedUp = keyScope(asked.prefix ?? config.CACHE_PREFIX)
  const extras = await settleExtras(
    { cache, fence },
    {
      ...{ match: scope.match, known, exact, ...replacing, pageKeys: limits.scanKeys },
      includes: (key) => isOurs(key) && backedUp.includes(key),
      temporary: Buffer.from(temporary),
    },
  )
  const left = safety?.left ?? new KeyTally()
  const warnings = warningsOf({ spared, keptTypes, left, unmatched, ...fields })
  const changed = { keys: keys - notReplaced, changedMeanwhile: left.count }
  const result: CacheRestored = { ...changed, unchanged, expired, ...extras, warnings }
  await fence.check() // the result is that of the latest invocation
  const counts = await putResult(bucket, workKeys(run).cacheRestored, CacheRestored, {
    result,
    complete: true,
  })
  await progress(total, total)
  return counts
}

type Findings = {
  spared: KeyTally
  keptTypes: readonly string[]
  left: KeyTally
  unmatched: readonly string[]
  fieldsExpired: number
  fieldsKept: number
}

function warningsOf({ spared, keptTypes, left, unmatched, ...fields }: Findings): Warning[] {
  return [
    ...(spared.count === 0 ? [] : [sparedWarning(spared, keptTypes)]),
    ...(left.count === 0 ? [] : [leftWarning(left)]),
    ...fieldWarnings(fields),
    ...unmatched.map((pattern) => ({
      code: 'SelectionMatchedNothing',
      message: `No key of the backup matches ${pattern}, which was to be put back`,
    })),
  ]
}

function sparedWarning(spared: KeyTally, types: readonly string[]): Warning {
  return {
    code: 'KeysNotReplaced',
    message: `${counted(spared.count, 'cache key')} of a type (${types.join(', ')}) that no backup holds ${agreeing(spared.count, 'stays', 'stay')} as before: ${spared.names()}. Delete such keys and restore again to have them replaced`,
  }
}

function fieldWarnings(of: { fieldsExpired: number; fieldsKept: number }): Warning[] {
  const warnings: Warning[] = []
  if (of.fieldsExpired > 0) {
    const message = `${counted(of.fieldsExpired, 'field')} of hashes ${agreeing(of.fieldsExpired, 'had outlived its own time and was', 'had outlived their own time and were')} left out`
    warnings.push({ code: 'FieldsExpired', message })
  }
  if (of.fieldsKept > 0) {
    const message = `${counted(of.fieldsKept, 'field')} of hashes would expire, which this server does not know (HPEXPIREAT: Redis 7.4): what was put back stays until it is deleted`
    warnings.push({ code: 'FieldsWithoutExpiry', message })
  }
  return warnings
}

function leftWarning(left: KeyTally): Warning {
  return {
    code: 'KeysChangedMeanwhile',
    message: `${counted(left.count, 'cache key')} changed after the safety backup, again and again or when it was unclear whether the restore had written there, and ${agreeing(left.count, 'was', 'were')} left alone: ${left.names()}. Pause what writes them and restore again`,
  }
}
