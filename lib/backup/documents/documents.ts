import { createHash } from 'node:crypto'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import type * as z from 'zod'
import { messageOf, NotFound, TooLargeToRead } from '../../errors.ts'
import { isPreconditionFailure, readObject, type Storage, storageError } from '../../s3/bucket.ts'
import { checkShape, type DocumentBounds, documentBounds, parseJson, TooMuch } from './json.ts'
import { checkWork, isWork, parseWork, signWork, workDamaged } from './signed-work.ts'

/**
 * How something is written: `signal` ends the request, `once` has it refused when the key exists (`If-None-Match: *`);
 * `bounds` are its readers'.
 */
export type WriteOptions = { once?: boolean; signal?: AbortSignal; bounds?: DocumentBounds }

/**
 * Writes `value` as JSON. What belongs to a run's work is signed, see signed-work.ts.
 * @throws TooLargeToRead when a reader would refuse it: then nothing is written, and nobody relies on it
 */
export async function putJson(
  storage: Storage,
  key: string,
  value: unknown,
  options: WriteOptions = {},
): Promise<void> {
  const text = jsonOf(value)
  refuseUnreadable(storage, key, text, options.bounds ?? documentBounds)
  await putText(storage, key, text, 'application/json', options)
}

/**
 * Writes a step's result as JSON, unless an earlier try left one: what later steps have read stays what it was, also when
 * an invocation that was given up comes to its end late.
 * @throws WorkDamaged when what is there was not left by a step of ours
 */
export async function putFirst(storage: Storage, key: string, value: unknown): Promise<void> {
  await unlessThere(storage, key, () => putJson(storage, key, value, { once: true }))
}

/** The same with one JSON document per line, as putJsonLines writes it. */
export async function putLinesFirst(
  storage: Storage,
  key: string,
  values: readonly unknown[],
): Promise<void> {
  await unlessThere(storage, key, () => putJsonLines(storage, key, values, { once: true }))
}

async function unlessThere(storage: Storage, key: string, write: () => Promise<void>): Promise<void> {
  try {
    await write()
  } catch (error) {
    if (!isPreconditionFailure(error)) throw error
    await readText(storage, key, documentBounds) // a refusal may also mean that another write failed: then there is none
  }
}

/** The text of a document as putJson writes it. */
export function jsonOf(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}

/** Writes one JSON document per line. @throws TooLargeToRead as putJson does */
export async function putJsonLines(
  storage: Storage,
  key: string,
  values: readonly unknown[],
  options: WriteOptions = {},
): Promise<void> {
  const text = values.map(jsonOf).join('')
  if (Buffer.byteLength(text) > documentBounds.bytes) refuseUnreadable(storage, key, text, documentBounds)
  await putText(storage, key, text, 'application/jsonl', options)
}

/**
 * Reads and parses a JSON object.
 * @throws NotFound when the key does not exist
 * @throws WorkDamaged when it belongs to a run's work and is not what a step of ours wrote
 * @throws TooMuch, SyntaxError, an error of the schema, when it is anything else: the caller says what that means
 */
export async function getJson<Schema extends z.ZodType>(
  storage: Storage,
  key: string,
  schema: Schema,
  bounds: DocumentBounds = documentBounds,
): Promise<z.output<Schema>> {
  const { text } = await readText(storage, key, bounds)
  if (isWork(key)) return parseWork(storage, key, () => schema.parse(parseJson(text, bounds)))
  return schema.parse(parseJson(text, bounds))
}

/** Reads and parses a JSON object, or gives undefined when the key does not exist. */
export async function findJson<Schema extends z.ZodType>(
  storage: Storage,
  key: string,
  schema: Schema,
  bounds: DocumentBounds = documentBounds,
): Promise<z.output<Schema> | undefined> {
  try {
    return await getJson(storage, key, schema, bounds)
  } catch (error) {
    if (error instanceof NotFound) return undefined
    throw error
  }
}

/** Reads what putJsonLines wrote: a run's work list. @throws NotFound when the key does not exist; WorkDamaged */
export async function getJsonLines<Schema extends z.ZodType>(
  storage: Storage,
  key: string,
  schema: Schema,
): Promise<z.output<Schema>[]> {
  const { text } = await readText(storage, key, documentBounds)
  return parseWork(storage, key, () =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => schema.parse(parseJson(line, documentBounds))),
  )
}

/**
 * The whole text of an object, and the SHA-256 of its bytes. Reading stops at the bound, whatever S3 says about the size.
 * @throws NotFound, NotPermitted, StoreUnavailable
 * @throws TooMuch when it is larger; WorkDamaged in its place, and when the signature is not ours, for a run's work
 */
export async function readText(
  storage: Storage,
  key: string,
  { bytes }: DocumentBounds,
): Promise<{ text: string; sha256: string }> {
  const { body, metadata } = await readObject(storage, key, bytes)
  if (body === null) {
    const reason = `it has more than the ${bytes} bytes that are read of such an object`
    throw isWork(key) ? workDamaged(storage, key, reason) : new TooMuch(reason)
  }
  if (isWork(key)) checkWork(storage, key, { body, metadata })
  return { text: body.toString('utf8'), sha256: createHash('sha256').update(body).digest('hex') }
}

async function putText(
  storage: Storage,
  key: string,
  text: string,
  contentType: string,
  { once = false, signal }: WriteOptions,
): Promise<void> {
  const put = new PutObjectCommand({
    Bucket: storage.bucket,
    Key: key,
    Body: text,
    ContentType: contentType,
    ...(isWork(key) ? { Metadata: signWork(storage, key, text) } : {}),
    ...(once ? { IfNoneMatch: '*' } : {}),
  })
  try {
    await storage.s3.send(put, signal && { abortSignal: signal })
  } catch (cause) {
    signal?.throwIfAborted() // then S3 is not the reason
    if (once && isPreconditionFailure(cause)) throw cause // the caller knows what a taken key means
    throw storageError(storage, 'write', key, cause)
  }
}

function refuseUnreadable(storage: Storage, key: string, text: string, bounds: DocumentBounds): void {
  const bytes = Buffer.byteLength(text)
  try {
    if (bytes > bounds.bytes) throw new TooMuch(`it has ${bytes} bytes, and ${bounds.bytes} are read`)
    checkShape(text, bounds)
  } catch (cause) {
    throw new TooLargeToRead(
      `s3://${storage.bucket}/${key} was not written, because no step could read it: ${messageOf(cause)}. Manage fewer tables in one environment, or raise the bounds in lib/backup/documents/json.ts`,
      { cause },
    )
  }
}
