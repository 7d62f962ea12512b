import type { OrderedBucket } from './ordered-bucket.ts'

type StoredObject = { key: string; etag: string }

type ListOptions = {
  prefix?: string
  delimiter?: string
  maxKeys?: number
  startAfter?: string
  marker?: string
}
type Listing = { objects: StoredObject[]; commonPrefixes: string[]; isTruncated: boolean }

/** The part of fauxqs's store that is used here. */
export type Store = {
  buckets: Map<string, OrderedBucket<StoredObject>>
  createBucket(name: string, ...options: unknown[]): void
  getObject(bucket: string, key: string): StoredObject
  listObjects(bucket: string, options?: ListOptions): Listing
}

/** The object that is there now, if any. */
export function currentObject(store: Store, bucket: string, key: string): StoredObject | undefined {
  return store.buckets.get(bucket)?.get(key)
}

/**
 * One page of a listing. fauxqs itself sorts as a dictionary does and goes on from a page as a computer does: of more
 * than 1,000 objects with capitals in their keys some would never be listed, and so neither be backed up.
 */
export function listAsS3(store: Store, name: string, options: ListOptions = {}): Listing {
  const bucket = store.buckets.get(name)
  if (!bucket) {
    store.getObject(name, '') // Throws S3's own NoSuchBucket.
    return { objects: [], commonPrefixes: [], isTruncated: false }
  }
  const { prefix = '', delimiter, maxKeys = 1_000 } = options
  const after = options.startAfter || options.marker || ''
  const objects: StoredObject[] = []
  const groups = new Set<string>()
  for (const key of keysFrom(bucket, prefix, after)) {
    if (!key.startsWith(prefix)) break
    const group = groupOf(key, prefix, delimiter)
    // The page before ended with this group: all of its keys were told by it.
    if (group !== undefined && (groups.has(group) || (after !== '' && after.startsWith(group)))) continue
    if (objects.length + groups.size >= maxKeys) {
      // fauxqs goes on after the page's last object, also where groups come after it: those are left to the next page.
      const last = objects.at(-1)?.key
      const told = last === undefined ? [...groups] : [...groups].filter((group) => isBefore(group, last))
      return { objects, commonPrefixes: told, isTruncated: true }
    }
    if (group !== undefined) groups.add(group)
    else objects.push(bucket.get(key) as StoredObject)
  }
  return { objects, commonPrefixes: [...groups], isTruncated: false }
}

function* keysFrom(bucket: OrderedBucket<StoredObject>, prefix: string, after: string): Generator<string> {
  if (Buffer.compare(Buffer.from(after), Buffer.from(prefix)) >= 0) return yield* bucket.keysAfter(after)
  // The prefix is itself a possible key, and comes before all that begin with it.
  if (prefix !== '' && bucket.has(prefix)) yield prefix
  yield* bucket.keysAfter(prefix)
}

function groupOf(key: string, prefix: string, delimiter: string | undefined): string | undefined {
  if (!delimiter) return undefined
  const end = key.indexOf(delimiter, prefix.length)
  return end < 0 ? undefined : key.slice(0, end + delimiter.length)
}

function isBefore(a: string, b: string): boolean {
  return Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0
}
