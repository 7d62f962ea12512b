import { createHash } from 'node:crypto'
import type * as z from 'zod'
import { NotFound } from '../../errors.ts'
import { type Bucket, readObject } from '../../s3/bucket.ts'
import { type DocumentBounds, documentBounds, parseJson, TooMuch } from './json.ts'
import { checkWork, isWork, parseWork, workDamaged } from './signed-work.ts'

/**
 * Reads and parses a JSON object.
 * @throws NotFound when the key does not exist
 * @throws WorkDamaged when it belongs to a run's work and is not what a step of ours wrote
 * @throws TooMuch, SyntaxError, an error of the schema, when it is anything else: the caller says what that means
 */
export async function getJson<Schema extends z.ZodType>(
  bucket: Bucket,
  key: string,
  schema: Schema,
  bounds: DocumentBounds = documentBounds,
): Promise<z.output<Schema>> {
  const { text } = await readText(bucket, key, bounds)
  if (isWork(key)) return parseWork(bucket, key, () => schema.parse(parseJson(text, bounds)))
  return schema.parse(parseJson(text, bounds))
}

/** Reads and parses a JSON object, or gives undefined when the key does not exist. */
export async function findJson<Schema extends z.ZodType>(
  bucket: Bucket,
  key: string,
  schema: Schema,
  bounds: DocumentBounds = documentBounds,
): Promise<z.output<Schema> | undefined> {
  return ifThere(getJson(bucket, key, schema, bounds))
}

/** undefined: the key does not exist. */
export async function ifThere<Found>(reading: Promise<Found>): Promise<Found | undefined> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof NotFound) return undefined
    throw error
  }
}

/** Reads what putJsonLines wrote: a run's work list. @throws NotFound when the key does not exist; WorkDamaged */
export async function getJsonLines<Schema extends z.ZodType>(
  bucket: Bucket,
  key: string,
  schema: Schema,
): Promise<z.output<Schema>[]> {
  const { text } = await readText(bucket, key, documentBounds)
  return parseWork(bucket, key, () =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => schema.parse(parseJson(line, documentBounds))),
  )
}

/** Reads what putJsonLines wrote, or gives undefined when the key does not exist. */
export async function findJsonLines<Schema extends z.ZodType>(
  bucket: Bucket,
  key: string,
  schema: Schema,
): Promise<z.output<Schema>[] | undefined> {
  return ifThere(getJsonLines(bucket, key, schema))
}

/**
 * The whole text of an object, and the SHA-256 of its bytes. Reading stops at the bound, whatever S3 says about the size.
 * @throws NotFound, NotPermitted, StoreUnavailable
 * @throws TooMuch when it is larger; WorkDamaged in its place, and when the signature is not ours, for a run's work
 */
export async function readText(
  bucket: Bucket,
  key: string,
  { bytes }: DocumentBounds,
): Promise<{ text: string; sha256: string }> {
  const { body, metadata } = await readObject(bucket, key, bytes)
  if (body === null) {
    const reason = `it has more than the ${bytes} bytes that are read of such an object`
    throw isWork(key) ? workDamaged(bucket, key, reason) : new TooMuch(reason)
  }
  if (isWork(key)) checkWork(bucket, key, { body, metadata })
  return { text: body.toString('utf8'), sha256: createHash('sha256').update(body).digest('hex') }
}
