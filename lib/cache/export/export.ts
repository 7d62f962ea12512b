import * as z from 'zod'
import { findJson, getJson } from '../../backup/documents/read.ts'
import { putJson } from '../../backup/documents/write.ts'
import { writeOnce } from '../../backup/documents/write-once.ts'
import { backupKeys, workKeys } from '../../backup/layout.ts'
import { Warning } from '../../backup/manifest.ts'
import { CachePart } from '../../backup/sections/cache.ts'
import type { Clients } from '../../clients.ts'
import type { Fence } from '../../ledger/fence.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { adoptFence } from '../fence.ts'
import { KeyFindings } from '../findings.ts'
import { KeySet } from '../key-set.ts'
import { keyScope } from '../keys.ts'
import { quarantineBelow, release } from '../quarantine.ts'
import { readExpiryKnown, serverTime } from '../value/expiry.ts'
import { readLimits } from '../value/read.ts'
import { PartWriter } from './part-writer.ts'
import { linesOf, readKeys, stringsAsked } from './read-keys.ts'
import { scanPages } from './scan-pages.ts'

type Tools = Pick<Clients, 'backups' | 'cache' | 'config'>

const count = z.number().int().nonnegative()

/**
 * `cacheResult`: what was exported, from when on by the cache's clock. `vanished`: keys that expired or were deleted between scan and reading.
 * `unsupported`: types whose keys are not in the backup, so the wipe has to leave them.
 */
export const CacheResult = z.strictObject({
  exportedAt: z.iso.datetime().optional(), // absent: an earlier version left it
  keys: count,
  parts: z.array(CachePart),
  vanished: count,
  warnings: z.array(Warning),
  unsupported: z.array(z.string()),
})
export type CacheResult = z.output<typeof CacheResult>

/** Keys asked for per SCAN, and bytes of a part before it is compressed. */
export const exportLimits = { ...readLimits, pageKeys: 10_000, partBytes: 32 * 2 ** 20 }

/**
 * Writes every key below CACHE_PREFIX into the backup, preserved ones too, as lines (see keyLine) of parts that are
 * read back, and the result as `cacheResult`. The keys are of no single moment: each is as it was when it was read. A
 * repeat finds the result and exports nothing again. Memory: one part as it is compressed, two answers, and 11 to 22 bytes per
 * key, half as much again for moments.
 * @param progress is told the keys done and `expected`, which is only passed on
 * @throws StoreUnavailable, NotPermitted, ReadBackMismatch
 */
export async function exportCache(
  { backups: bucket, cache, config }: Tools,
  { run, backupId, fence, expected = 0 }: { run: RunRef; backupId: string; fence: Fence; expected?: number },
  progress: (done: number, total: number) => Promise<void>,
  limits = exportLimits,
): Promise<CacheResult> {
  const earlier = await findJson(bucket, workKeys(run).cacheResult, CacheResult)
  if (earlier !== undefined) return earlier

  const exportedAt = new Date(await serverTime(cache)).toISOString()
  // From here on no request of an earlier run is obeyed; what one left quarantined gets its name back.
  await adoptFence(cache, fence)
  const quarantine = quarantineBelow(config.CACHE_PREFIX)
  const expiry = await readExpiryKnown(cache)
  const scope = keyScope(config.CACHE_PREFIX)
  const seen = new KeySet()
  const findings = new KeyFindings()
  const keyOf = backupKeys(config.BACKUP_PREFIX, backupId).cachePart
  const writer = new PartWriter(bucket, { keyOf, partBytes: limits.partBytes })
  let exported = 0
  const isNew = (key: Buffer) => scope.includes(key) && seen.add(key)
  const asked = stringsAsked(limits, expiry)
  for await (const page of scanPages(cache, { match: scope.match, pageKeys: limits.pageKeys, asked })) {
    const unread = [...page.others, ...page.rest]
    const aside = [...page.strings.keysWhere(quarantine.holds), ...unread.filter(quarantine.holds)]
    const back = await release(cache, fence, { quarantine, keys: aside })
    const keys = [...page.rest, ...aside, ...back].filter(isNew)
    const others = page.others.filter(isNew)
    exported += await writer.add(linesOf(page.strings.where(isNew)))
    for await (const lines of readKeys(cache, { keys, others, findings, limits, expiry }))
      exported += await writer.add(lines)
    await progress(exported, expected)
  }
  await writer.end()
  const result: CacheResult = {
    exportedAt,
    keys: exported,
    parts: writer.parts,
    vanished: findings.vanished,
    warnings: findings.warnings(),
    unsupported: [...findings.unsupported.keys()],
  }
  const first = await writeOnce(
    result,
    (options) => putJson(bucket, workKeys(run).cacheResult, result, options),
    () => findJson(bucket, workKeys(run).cacheResult, CacheResult),
  )
  await progress(exported, exported)
  return first
}

/** The types whose keys the run's export could not write. @throws NotFound when there was no export */
export async function unsupportedTypes(bucket: Bucket, run: RunRef): Promise<string[]> {
  const { unsupported } = await getJson(bucket, workKeys(run).cacheResult, CacheResult)
  return unsupported
}
