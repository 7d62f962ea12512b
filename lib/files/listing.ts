import { type _Object, ListObjectsV2Command, type ListObjectsV2CommandOutput } from '@aws-sdk/client-s3'
import { type Storage, storageError } from '../backup/storage.ts'
import { InvalidConfiguration, StoreUnavailable } from '../errors.ts'

/** An object as a listing shows it: its full key, bytes, ETag with its quotes, and the ISO time of its last change. */
export type ListedObject = { key: string; size: number; etag: string; modified: string }

/** A stretch of a listing: the keys below `prefix` that come after `after` and not after `through`. */
export type KeyRange = { prefix: string; after?: string | undefined; through?: string | undefined }

/**
 * The objects of a range in pages of at most 1,000, in S3's order (UTF-8 bytes). A folder's own object (zero bytes, key
 * ending in "/") is an object like any other.
 * @throws StoreUnavailable or NotPermitted when any page fails: an incomplete listing is never taken for a complete one
 */
export async function* listRange(storage: Storage, range: KeyRange): AsyncGenerator<ListedObject[]> {
  refuseDirectoryBucket(storage.bucket)
  let token: string | undefined
  do {
    const page = await listPage(storage, range, token)
    const objects = (page.Contents ?? []).map((object) => read(storage, object, page.EncodingType === 'url'))
    yield objects.filter(({ key }) => isWithin(key, range.through))
    const last = objects.at(-1)
    if (last !== undefined && !isWithin(last.key, range.through)) return
    if (!page.IsTruncated) return
    if (page.NextContinuationToken === undefined || page.NextContinuationToken === token) {
      throw new StoreUnavailable(
        `S3 said that the listing of s3://${storage.bucket}/${range.prefix} goes on, but not where. Start again`,
      )
    }
    token = page.NextContinuationToken
  } while (true)
}

async function listPage(
  storage: Storage,
  range: KeyRange,
  token: string | undefined,
): Promise<ListObjectsV2CommandOutput> {
  const list = new ListObjectsV2Command({
    Bucket: storage.bucket,
    Prefix: range.prefix,
    EncodingType: 'url', // control characters in a key would not survive the XML of the answer
    ...(range.after === undefined ? {} : { StartAfter: range.after }),
    ...(token === undefined ? {} : { ContinuationToken: token }),
  })
  try {
    return await storage.s3.send(list)
  } catch (cause) {
    throw storageError(storage, 'list', range.prefix, cause)
  }
}

function read(storage: Storage, object: _Object, encoded: boolean): ListedObject {
  const { Key, Size, ETag, LastModified } = object
  if (Key === undefined || Size === undefined || !ETag || LastModified === undefined) {
    throw new StoreUnavailable(
      `S3 listed an object of ${storage.bucket} without key, size, ETag or time: ${JSON.stringify(object)}. Without them it cannot be copied safely`,
    )
  }
  return { key: encoded ? decodeKey(Key) : Key, size: Size, etag: ETag, modified: LastModified.toISOString() }
}

/** S3 encodes the keys of a listing as forms are encoded: a space is "+". */
function decodeKey(key: string): string {
  return decodeURIComponent(key.replaceAll('+', '%20'))
}

/** S3 lists by the bytes of UTF-8; JavaScript compares UTF-16 units, which differs above U+FFFF. */
function isWithin(key: string, through: string | undefined): boolean {
  return through === undefined || Buffer.compare(Buffer.from(key), Buffer.from(through)) <= 0
}

/** Directory buckets (S3 Express) list in no order and know no StartAfter: ranges of keys mean nothing there. */
function refuseDirectoryBucket(bucket: string): void {
  if (!bucket.endsWith('--x-s3')) return
  throw new InvalidConfiguration(
    `${bucket} is a directory bucket (S3 Express), which lists its objects in no order. Use a general purpose bucket`,
  )
}
