import * as z from 'zod'
import { type BackupKeys, isCopyOf, latePartOf } from '../layout.ts'
import {
  type AttemptKeys,
  count,
  differs,
  plain,
  type SectionObject,
  sha256,
  sum,
  type Totals,
  twice,
} from './section.ts'

export const CachePart = z.strictObject({ key: z.string(), keys: count, bytes: count, sha256, ...plain })
export type CachePart = z.output<typeof CachePart>

/** The cache's section of a manifest. */
export const CacheSection = z.strictObject({
  prefix: z.string(),
  keys: count,
  parts: z.array(CachePart),
  /** When the export of the keys began, by the cache's own clock; absent in older backups. */
  exportedAt: z.iso.datetime().optional(),
})
export type CacheSection = z.output<typeof CacheSection>

/**
 * Of a late file: keys that changed or came since their export. The parts are read after the manifest's, so that the last
 * line of a key counts. `added`: how many of the keys the manifest's parts do not hold.
 */
export const LateCacheSection = z.strictObject({
  cache: z.strictObject({ added: count, parts: z.array(CachePart) }).optional(),
})
export type LateCacheSection = z.output<typeof LateCacheSection>

export function* cacheProblems(cache: CacheSection, keys: BackupKeys): Generator<string> {
  yield* differs('cache.keys', cache.keys, sum(cache.parts.map((part) => part.keys)))
  for (const [index, { key }] of cache.parts.entries()) {
    if (!isCopyOf(keys.cachePart(index, 1), key)) yield `part ${index} of the cache cannot lie at ${key}`
  }
}

export function* lateKeyProblems(
  { cache: late }: LateCacheSection,
  cache: CacheSection | null,
  { keys, writtenBy }: AttemptKeys,
): Generator<string> {
  if (late === undefined) return
  const { added, parts } = late
  if (cache === null) yield 'the manifest has no cache whose keys it could replace'
  yield* twice(
    'cache part',
    parts.map(({ key }) => ({ name: key })),
  )
  const held = sum(parts.map((part) => part.keys))
  if (added > held) yield `${added} keys are said to be new, but its parts hold ${held}`
  for (const { key } of parts) {
    const shard = latePartOf(keys, key)?.shard ?? 0
    if (!isCopyOf(keys.lateCachePart(shard, writtenBy(key), 1), key))
      yield `a part of the cache cannot lie at ${key}`
  }
}

/** Late parts come last: of a key that is there twice, the later line counts. */
export function mergeCache(section: CacheSection, { cache }: LateCacheSection): CacheSection {
  if (cache === undefined) return section
  return { ...section, keys: section.keys + cache.added, parts: [...section.parts, ...cache.parts] }
}

export function objectsOfCache({ parts }: CacheSection): SectionObject[] {
  return parts.map(({ keys, ...part }) => ({ what: 'keys', count: keys, ...part }))
}

/** A function, so that only what lists backups carries it. */
export const listedKeys = () => ({ keys: z.int().nonnegative().nullable() })

export const cacheTotals: Totals<CacheSection> = {
  listed: (section) => ({ keys: section?.keys ?? null }),
  bytes: ({ parts }) => sum(parts.map((part) => part.bytes)),
}
