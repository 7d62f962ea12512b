import { setTimeout } from 'node:timers/promises'
import { DeleteObjectCommand, DeleteObjectsCommand, S3ServiceException } from '@aws-sdk/client-s3'
import { StoreUnavailable } from '../errors.ts'
import { atOnce } from './at-once.ts'
import { type Bucket, bucketError } from './bucket.ts'
import { type Check, sharedCheck } from './fence-check.ts'

/** A version of an object: it is deleted only while it has this ETag. */
export type Version = { key: string; etag: string }

/**
 * S3's limit of keys per request; requests, and single deletions, that run at the same time. S3 counts each key as one
 * write, of which it takes 3,500 per second below a prefix, and the state machine has 8 batches at work.
 */
const keysPerRequest = 1_000
const requests = 1
const singles = 32

/** Per-key codes that mean "not now". Waits before the tries after the first, in milliseconds. */
const transient = new Set([
  'InternalError',
  'SlowDown',
  'ServiceUnavailable',
  'OperationAborted',
  'RequestTimeout',
])
const waits = [200, 500, 1_000, 2_000]
/** Of these, those that are about all keys: the step is repeated later, rather than its keys reported as left. */
const busy = new Set(['SlowDown', 'ServiceUnavailable'])

/**
 * Deletes versions of objects, and gives the error code of each key that S3 refused; a key that does not exist is
 * none. An answer of 200 says nothing by itself: each key's error stands inside.
 * @param fence is asked before each request; null: for what belongs to no store any more, a backup that was retired
 * @throws StoreUnavailable or NotPermitted when a whole request fails; StoreUnavailable when S3 asked to slow down at every
 *   try; RunLost, OutOfTime as the fence does
 */
export async function deleteObjects(
  bucket: Bucket,
  versions: readonly Version[],
  fence: Asking | null,
): Promise<Map<string, string>> {
  const signal = fence?.signal ?? new AbortController().signal
  const check = fence === null ? async () => {} : sharedCheck(fence)
  const refused = new Map<string, string>()
  let pending = versions
  for (const wait of [0, ...waits]) {
    await setTimeout(wait, undefined, { signal })
    for (const { key } of pending) refused.delete(key)
    for (const [key, code] of await deleteOnce(bucket, pending, { check, signal })) refused.set(key, code)
    pending = pending.filter(({ key }) => transient.has(refused.get(key) ?? ''))
    if (pending.length === 0) break
  }
  const [first] = pending.filter(({ key }) => busy.has(refused.get(key) ?? ''))
  if (first === undefined) return refused
  throw new StoreUnavailable(
    `S3 asked ${waits.length + 1} times to slow down (${refused.get(first.key)}) when s3://${bucket.name}/${first.key} was to be deleted; ${pending.length} of ${versions.length} objects are left. Start again when it is back`,
  )
}

/** What is asked before each request; `signal` ends the request under way. */
type Asking = { check: Check; signal: AbortSignal }

async function deleteOnce(
  bucket: Bucket,
  versions: readonly Version[],
  { check, signal }: Asking,
): Promise<Map<string, string>> {
  const nameable = versions.filter(({ key }) => isXmlText(key))
  const others = versions.filter(({ key }) => !isXmlText(key))
  const chunks = Array.from({ length: Math.ceil(nameable.length / keysPerRequest) }, (_, chunk) =>
    nameable.slice(chunk * keysPerRequest, (chunk + 1) * keysPerRequest),
  )
  const refused = await atOnce(
    chunks,
    async (chunk, abortSignal) => {
      await check()
      return deleteTogether(bucket, chunk, abortSignal)
    },
    { concurrency: requests, signal },
  )
  const alone = await atOnce(
    others,
    async (version, abortSignal) => {
      await check()
      return deleteAlone(bucket, version, abortSignal)
    },
    { concurrency: singles, signal },
  )
  return new Map([...refused.flat(), ...alone.flat()])
}

async function deleteTogether(
  bucket: Bucket,
  versions: readonly Version[],
  abortSignal: AbortSignal,
): Promise<[string, string][]> {
  const Objects = versions.map(({ key, etag }) => ({ Key: key, ETag: etag }))
  try {
    const answer = await bucket.s3.send(
      new DeleteObjectsCommand({ Bucket: bucket.name, Delete: { Objects, Quiet: true } }),
      { abortSignal },
    )
    return (answer.Errors ?? []).map(({ Key = '', Code = 'Unknown' }) => [Key, Code])
  } catch (cause) {
    throw bucketError(bucket, 'delete', `${versions[0]?.key} and ${versions.length - 1} more`, cause)
  }
}

async function deleteAlone(
  bucket: Bucket,
  { key, etag }: Version,
  abortSignal: AbortSignal,
): Promise<[string, string][]> {
  try {
    const request = new DeleteObjectCommand({ Bucket: bucket.name, Key: key, IfMatch: etag })
    await bucket.s3.send(request, { abortSignal })
    return []
  } catch (cause) {
    const isOfThisKey = cause instanceof S3ServiceException && cause.name !== 'NoSuchBucket'
    if (!isOfThisKey) throw bucketError(bucket, 'delete', key, cause)
    return cause.$metadata.httpStatusCode === 412 ? [[key, 'PreconditionFailed']] : [[key, cause.name]]
  }
}

/**
 * Whether XML 1.0 can hold the key as it is: the SDK would send control characters raw, and the request would be
 * refused or name another key.
 */
function isXmlText(key: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return !/[\u0000-\u001f\u007f\ufffe\uffff]/.test(key)
}
