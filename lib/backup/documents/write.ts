import { PutObjectCommand } from '@aws-sdk/client-s3'
import { messageOf, TooLargeToRead } from '../../errors.ts'
import { type Bucket, bucketError, isPreconditionFailure } from '../../s3/bucket.ts'
import { checkShape, type DocumentBounds, documentBounds, TooMuch } from './json.ts'
import { isWork, signWork } from './signed-work.ts'

/**
 * How something is written: `signal` ends the request, `once` has it refused when the key exists (`If-None-Match: *`);
 * `bounds` are its readers'.
 */
type WriteOptions = { once?: boolean; signal?: AbortSignal; bounds?: DocumentBounds }

/**
 * Writes `value` as JSON. What belongs to a run's work is signed, see signed-work.ts.
 * @throws TooLargeToRead when a reader would refuse it: then nothing is written, and nobody relies on it
 */
export async function putJson(
  bucket: Bucket,
  key: string,
  value: unknown,
  options: WriteOptions = {},
): Promise<void> {
  const text = jsonOf(value)
  refuseUnreadable(bucket, key, text, options.bounds ?? documentBounds)
  await putText(bucket, key, text, 'application/json', options)
}

/** The text of a document as putJson writes it. */
export function jsonOf(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}

/** Writes one JSON document per line. @throws TooLargeToRead as putJson does */
export async function putJsonLines(
  bucket: Bucket,
  key: string,
  values: readonly unknown[],
  options: WriteOptions = {},
): Promise<void> {
  const text = values.map(jsonOf).join('')
  if (Buffer.byteLength(text) > documentBounds.bytes) refuseUnreadable(bucket, key, text, documentBounds)
  await putText(bucket, key, text, 'application/jsonl', options)
}

async function putText(
  bucket: Bucket,
  key: string,
  text: string,
  contentType: string,
  { once = false, signal }: WriteOptions,
): Promise<void> {
  const put = new PutObjectCommand({
    Bucket: bucket.name,
    Key: key,
    Body: text,
    ContentType: contentType,
    ...(isWork(key) ? { Metadata: signWork(bucket, key, text) } : {}),
    ...(once ? { IfNoneMatch: '*' } : {}),
  })
  try {
    await bucket.s3.send(put, signal && { abortSignal: signal })
  } catch (cause) {
    signal?.throwIfAborted() // then S3 is not the reason
    if (once && isPreconditionFailure(cause)) throw cause // the caller knows what a taken key means
    throw bucketError(bucket, 'write', key, cause)
  }
}

function refuseUnreadable(bucket: Bucket, key: string, text: string, bounds: DocumentBounds): void {
  const bytes = Buffer.byteLength(text)
  try {
    if (bytes > bounds.bytes) throw new TooMuch(`it has ${bytes} bytes, and ${bounds.bytes} are read`)
    checkShape(text, bounds)
  } catch (cause) {
    throw new TooLargeToRead(
      `s3://${bucket.name}/${key} was not written, because no step could read it: ${messageOf(cause)}. Manage fewer tables in one environment, or raise the bounds in lib/backup/documents/json.ts`,
      { cause },
    )
  }
}
