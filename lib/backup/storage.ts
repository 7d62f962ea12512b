import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import type { z } from 'zod'
import { messageOf, NotFound, NotPermitted, StoreUnavailable } from '../errors.ts'

/** A bucket and the client to reach it. */
export type Storage = { s3: S3Client; bucket: string }

/** How something is written: `signal` ends the request, `once` has it refused when the key exists (`If-None-Match: *`). */
export type WriteOptions = { once?: boolean; signal?: AbortSignal }

/** Writes `value` as JSON. */
export async function putJson(
  storage: Storage,
  key: string,
  value: unknown,
  options?: WriteOptions,
): Promise<void> {
  await putText(storage, key, `${JSON.stringify(value)}\n`, 'application/json', options)
}

/**
 * Writes a step's result as JSON, unless an earlier try left one: what later steps have read stays what it was, also when
 * an invocation that was given up comes to its end late.
 */
export async function putFirst(storage: Storage, key: string, value: unknown): Promise<void> {
  try {
    await putJson(storage, key, value, { once: true })
  } catch (error) {
    if (!isPreconditionFailure(error)) throw error
    await getText(storage, key) // a refusal may also mean that another write failed: then there is none
  }
}

/** Writes one JSON document per line. */
export async function putJsonLines(
  storage: Storage,
  key: string,
  values: readonly unknown[],
  options?: WriteOptions,
): Promise<void> {
  const text = values.map((value) => `${JSON.stringify(value)}\n`).join('')
  await putText(storage, key, text, 'application/jsonl', options)
}

/** Reads and parses a JSON object. @throws NotFound when the key does not exist */
export async function getJson<Schema extends z.ZodType>(
  storage: Storage,
  key: string,
  schema: Schema,
): Promise<z.output<Schema>> {
  return schema.parse(JSON.parse(await getText(storage, key)))
}

/** Reads and parses a JSON object, or gives undefined when the key does not exist. */
export async function findJson<Schema extends z.ZodType>(
  storage: Storage,
  key: string,
  schema: Schema,
): Promise<z.output<Schema> | undefined> {
  try {
    return await getJson(storage, key, schema)
  } catch (error) {
    if (error instanceof NotFound) return undefined
    throw error
  }
}

/** Reads what putJsonLines wrote. @throws NotFound when the key does not exist */
export async function getJsonLines<Schema extends z.ZodType>(
  storage: Storage,
  key: string,
  schema: Schema,
): Promise<z.output<Schema>[]> {
  const text = await getText(storage, key)
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => schema.parse(JSON.parse(line)))
}

/**
 * Proves that the prefix can be written to, by beginning an upload and giving it up: no object is made.
 * @throws NotPermitted, StoreUnavailable
 */
export async function checkWritable(storage: Storage, key: string): Promise<void> {
  const target = { Bucket: storage.bucket, Key: key }
  try {
    const upload = await storage.s3.send(new CreateMultipartUploadCommand(target))
    await storage.s3.send(new AbortMultipartUploadCommand({ ...target, UploadId: upload.UploadId }))
  } catch (cause) {
    throw storageError(storage, 'write', key, cause)
  }
}

/** S3's answer as one of our errors: what failed, on which object, and what to do. */
export function storageError(storage: Storage, action: string, key: string, cause: unknown): Error {
  const object = `s3://${storage.bucket}/${key}`
  if (nameOf(cause) === 'NoSuchBucket') {
    return new StoreUnavailable(
      `The bucket ${storage.bucket} does not exist. Create it or correct its name`,
      { cause },
    )
  }
  if (isMissing(cause)) return new NotFound(`${object} does not exist`, { cause })
  if (statusOf(cause) === 403) {
    return new NotPermitted(
      `S3 refuses to ${action} ${object}: ${messageOf(cause)}. Grant it to the function's role`,
      { cause },
    )
  }
  return new StoreUnavailable(
    `S3 failed to ${action} ${object}: ${messageOf(cause)}. Start again when it is back`,
    { cause },
  )
}

/** True when the object (or, for a HEAD, its bucket) does not exist. */
export function isMissing(error: unknown): boolean {
  return statusOf(error) === 404
}

/** True when a conditional write found the key taken, or lost a race for it. */
export function isPreconditionFailure(error: unknown): boolean {
  return (
    statusOf(error) === 412 || (statusOf(error) === 409 && nameOf(error) === 'ConditionalRequestConflict')
  )
}

async function putText(
  storage: Storage,
  key: string,
  text: string,
  contentType: string,
  options?: WriteOptions,
): Promise<void> {
  const condition = options?.once ? { IfNoneMatch: '*' } : {}
  const put = new PutObjectCommand({
    Bucket: storage.bucket,
    Key: key,
    Body: text,
    ContentType: contentType,
    ...condition,
  })
  try {
    await storage.s3.send(put, options?.signal && { abortSignal: options.signal })
  } catch (cause) {
    options?.signal?.throwIfAborted() // then S3 is not the reason
    if (options?.once && isPreconditionFailure(cause)) throw cause // the caller knows what a taken key means
    throw storageError(storage, 'write', key, cause)
  }
}

async function getText(storage: Storage, key: string): Promise<string> {
  try {
    const answer = await storage.s3.send(new GetObjectCommand({ Bucket: storage.bucket, Key: key }))
    return (await answer.Body?.transformToString('utf8')) ?? ''
  } catch (cause) {
    throw storageError(storage, 'read', key, cause)
  }
}

function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined
}

function nameOf(error: unknown): string | undefined {
  return error instanceof Error ? error.name : undefined
}
