import {
  type _Object,
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3'
import { InvalidConfiguration, ListingUnreliable, StoreUnavailable } from '../errors.ts'
import { type Bucket, bucketError } from './bucket.ts'
import { compareKeys } from './key-order.ts'

/**
 * An object as a listing shows it: its full key, bytes, ETag with its quotes, the ISO time of its last change, and its
 * storage class unless that is STANDARD.
 */
export type ListedObject = {
  key: string
  size: number
  etag: string
  modified: string
  storageClass?: string
}

/** A stretch of a listing: the keys below `prefix` that come after `after` and not after `through`. */
export type KeyRange = { prefix: string; after?: string | undefined; through?: string | undefined }

/** Pages without a key, one after the other, after which a listing is taken for one that never ends. */
const emptyPagesMax = 100

/**
 * The objects of a range in pages of at most 1,000, in S3's order (UTF-8 bytes). A folder's own object (zero bytes, key
 * ending in "/") is an object like any other.
 * @throws StoreUnavailable or NotPermitted when any page fails: an incomplete listing is never taken for a complete one
 * @throws ListingUnreliable for a key that comes twice, in no order, or from elsewhere, and for a listing without an end
 */
export async function* listRange(bucket: Bucket, range: KeyRange): AsyncGenerator<ListedObject[]> {
  const after = range.after === undefined ? {} : { StartAfter: range.after }
  const objectsOf = (page: ListObjectsV2CommandOutput) =>
    (page.Contents ?? []).map((object) => read(bucket, object, isEncoded(page)))
  for await (const objects of list(bucket, range, after, objectsOf)) {
    yield objects.filter(({ key }) => isWithin(key, range.through))
    const last = objects.at(-1)
    if (last !== undefined && !isWithin(last.key, range.through)) return
  }
}

/** Keys and sizes in bytes of all objects below the prefixes. @throws as listRange does */
export async function* listSizes(
  bucket: Bucket,
  prefixes: readonly string[],
): AsyncGenerator<{ key: string; size: number }> {
  for (const prefix of prefixes) for await (const page of listRange(bucket, { prefix })) yield* page
}

/** The names of the folders right below `prefix`, which ends in "/". @throws as listRange does */
export async function listFolders(bucket: Bucket, prefix: string): Promise<string[]> {
  const foldersOf = (page: ListObjectsV2CommandOutput) =>
    (page.CommonPrefixes ?? []).flatMap(({ Prefix: key }) =>
      key === undefined ? [] : [{ key: isEncoded(page) ? decodeKey(bucket, key) : key }],
    )
  const names: string[] = []
  for await (const folders of list(bucket, { prefix }, { Delimiter: '/' }, foldersOf))
    names.push(...folders.map(({ key }) => key.slice(prefix.length, -1)))
  return names
}

/** What stands on the pages of a listing, each once and in the order of the keys. */
async function* list<Entry extends { key: string }>(
  bucket: Bucket,
  range: KeyRange,
  parameters: Partial<ListObjectsV2CommandInput>,
  entriesOf: (page: ListObjectsV2CommandOutput) => Entry[],
): AsyncGenerator<Entry[]> {
  refuseDirectoryBucket(bucket.name)
  const problemOf = orderOf(range)
  for await (const page of pagesOf(bucket, { ...parameters, Prefix: range.prefix })) {
    const entries = entriesOf(page)
    for (const { key } of entries) {
      const problem = problemOf(key)
      if (problem !== undefined) throw await unreliable(bucket, range.prefix, problem)
    }
    yield entries
  }
}

/** The pages of a listing to its end. */
async function* pagesOf(
  bucket: Bucket,
  parameters: Partial<ListObjectsV2CommandInput> & { Prefix: string },
): AsyncGenerator<ListObjectsV2CommandOutput> {
  const tokens = new Set<string>()
  let emptyPages = 0
  let token: string | undefined
  for (;;) {
    const page = await listPage(bucket, { ...parameters, ContinuationToken: token })
    yield page
    if (!page.IsTruncated) return
    token = page.NextContinuationToken
    if (token === undefined) {
      throw new StoreUnavailable(
        `S3 said that the listing of s3://${bucket.name}/${parameters.Prefix} goes on, but not where. Start again`,
      )
    }
    emptyPages = page.Contents?.length || page.CommonPrefixes?.length ? 0 : emptyPages + 1
    if (tokens.has(token) || emptyPages === emptyPagesMax) {
      const problem = tokens.has(token)
        ? `came back after ${tokens.size} pages to the token ${JSON.stringify(token.slice(0, 100))}`
        : `gave ${emptyPagesMax} pages without a key, one after the other`
      throw await unreliable(bucket, parameters.Prefix, `${problem}, so it would never end`)
    }
    tokens.add(token)
  }
}

async function listPage(
  bucket: Bucket,
  { ContinuationToken, ...parameters }: Partial<ListObjectsV2CommandInput> & { Prefix: string },
): Promise<ListObjectsV2CommandOutput> {
  const list = new ListObjectsV2Command({
    Bucket: bucket.name,
    EncodingType: 'url', // control characters in a key would not survive the XML of the answer
    ...parameters,
    ...(ContinuationToken === undefined ? {} : { ContinuationToken }),
  })
  const page = await bucket.s3.send(list).catch((cause: unknown) => {
    throw bucketError(bucket, 'list', parameters.Prefix, cause)
  })
  if (page.IsTruncated !== undefined) return page
  throw new StoreUnavailable(
    `S3 answered the listing of s3://${bucket.name}/${parameters.Prefix} with success, but with no listing. Start again`,
  )
}

/**
 * Takes the keys of a listing one after the other, and gives what is wrong with one. Everything that reads a listing
 * relies on their order: pieces are stretches of it, an index is laid beside it, and a key that comes twice would be
 * backed up twice and believed once.
 */
function orderOf({ prefix, after }: KeyRange): (key: string) => string | undefined {
  let last = after
  return (key) => {
    const before = last
    last = key
    if (!key.startsWith(prefix)) return `gave ${JSON.stringify(key)}, which is not below it`
    if (before === undefined || compareKeys(before, key) < 0) return undefined
    const problem = before === key ? 'twice' : `after ${JSON.stringify(before)}`
    return `gave ${JSON.stringify(key)} ${problem}; keys must come once each, ordered by the bytes of their UTF-8`
  }
}

async function unreliable(bucket: Bucket, prefix: string, problem: string): Promise<ListingUnreliable> {
  const endpoint = await bucket.s3.config.endpoint?.()
  const port = endpoint?.port === undefined ? '' : `:${endpoint.port}`
  const server = endpoint === undefined ? 'Amazon S3' : `The S3 server at ${endpoint.hostname}${port}`
  return new ListingUnreliable(
    `${server}, listing s3://${bucket.name}/${prefix}, ${problem}. Nothing can be backed up, wiped or restored by such a listing. Correct or update the server, or use another one`,
  )
}

function read(bucket: Bucket, object: _Object, encoded: boolean): ListedObject {
  const { Key, Size, ETag, LastModified, StorageClass } = object
  if (Key === undefined || Size === undefined || !ETag || LastModified === undefined) {
    throw new StoreUnavailable(
      `S3 listed an object of ${bucket.name} without key, size, ETag or time: ${JSON.stringify(object)}. Without them it cannot be copied safely`,
    )
  }
  const key = encoded ? decodeKey(bucket, Key) : Key
  const storageClass =
    StorageClass === undefined || StorageClass === 'STANDARD' ? {} : { storageClass: StorageClass }
  return { key, size: Size, etag: ETag, modified: LastModified.toISOString(), ...storageClass }
}

function isEncoded(page: ListObjectsV2CommandOutput): boolean {
  return page.EncodingType === 'url'
}

/** S3 encodes the keys of a listing as forms are encoded: a space is "+". */
function decodeKey(bucket: Bucket, key: string): string {
  try {
    return decodeURIComponent(key.replaceAll('+', '%20'))
  } catch (cause) {
    throw new StoreUnavailable(
      `S3 listed a key of ${bucket.name} that is not UTF-8: ${key}. Rename or remove the object`,
      { cause },
    )
  }
}

function isWithin(key: string, through: string | undefined): boolean {
  return through === undefined || compareKeys(key, through) <= 0
}

/** Directory buckets (S3 Express) list in no order and know no StartAfter: ranges of keys mean nothing there. */
function refuseDirectoryBucket(bucket: string): void {
  if (!bucket.endsWith('--x-s3')) return
  throw new InvalidConfiguration(
    `${bucket} is a directory bucket (S3 Express), which lists its objects in no order. Use a general purpose bucket`,
  )
}
