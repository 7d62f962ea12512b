import type * as z from 'zod'
import { BackupIncomplete, NotFound } from '../../errors.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { unfinishedKey } from '../layout.ts'
import { findJson, getJson } from './read.ts'
import { putJson } from './write.ts'
import { writeOnce } from './write-once.ts'

/**
 * What a step that changes a store leaves behind for Finish and for its own repeat. One that is complete is written once:
 * no invocation that comes to its end late, and nobody who kept an earlier one, can put another in its place. One that
 * left something undone has a name of its own, which each further try writes over.
 */

/** @returns the result that counts: another invocation's, when that was complete before */
export async function putResult<Schema extends z.ZodType>(
  bucket: Bucket,
  key: string,
  schema: Schema,
  { result, complete, signal }: { result: z.output<Schema>; complete: boolean; signal?: AbortSignal },
): Promise<z.output<Schema>> {
  const given = signal === undefined ? {} : { signal }
  if (!complete) {
    await putJson(bucket, unfinishedKey(key), result, given)
    return result
  }
  return await writeOnce(
    result,
    (options) => putJson(bucket, key, result, { ...given, ...options }),
    () => findJson(bucket, key, schema),
  )
}

/** The complete result, or else the last one that was not; undefined: the step has left none. */
export async function findResult<Schema extends z.ZodType>(
  bucket: Bucket,
  key: string,
  schema: Schema,
): Promise<{ result: z.output<Schema>; complete: boolean } | undefined> {
  const complete = await findJson(bucket, key, schema)
  if (complete !== undefined) return { result: complete, complete: true }
  const partial = await findJson(bucket, unfinishedKey(key), schema)
  return partial === undefined ? undefined : { result: partial, complete: false }
}

/** A step's result. @throws BackupIncomplete when the step left none */
export async function resultOf<Schema extends z.ZodType>(
  bucket: Bucket,
  key: string,
  schema: Schema,
  what: string,
): Promise<z.output<Schema>> {
  try {
    return await getJson(bucket, key, schema)
  } catch (cause) {
    if (!(cause instanceof NotFound)) throw cause
    throw new BackupIncomplete(
      `There is no result of ${what}, so the backup has a gap. Nothing was wiped; start again`,
      { cause },
    )
  }
}
