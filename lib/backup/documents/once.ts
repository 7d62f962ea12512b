import type * as z from 'zod'
import { messageOf, NotFound, StoreUnavailable } from '../../errors.ts'
import { isPreconditionFailure, type Storage } from '../../s3/bucket.ts'
import { getJsonLines } from './documents.ts'

/**
 * Writes what a step leaves behind, once. A step may be repeated while its first invocation is still alive: the second to
 * write finds what the first wrote, and gives that.
 * @param write is to write with `If-None-Match: *`, as `once` does
 * @throws StoreUnavailable when S3 refuses, and nothing is there all the same: two were at it at this moment
 * @see docs/decisions.md#what-a-backup-is-made-of-is-written-once
 */
export async function writeOnce<Result>(
  mine: Result,
  write: (options: { once: true }) => Promise<void>,
  find: () => Promise<Result | undefined>,
): Promise<Result> {
  try {
    await write({ once: true })
    return mine
  } catch (cause) {
    if (!isPreconditionFailure(cause)) throw cause
    const first = await find()
    if (first !== undefined) return first
    throw new StoreUnavailable(
      `S3 refused to write a step's result, because another invocation was writing it: ${messageOf(cause)}. Start again`,
      { cause },
    )
  }
}

/** Reads what putJsonLines wrote, or gives undefined when the key does not exist. */
export async function findJsonLines<Schema extends z.ZodType>(
  storage: Storage,
  key: string,
  schema: Schema,
): Promise<z.output<Schema>[] | undefined> {
  try {
    return await getJsonLines(storage, key, schema)
  } catch (error) {
    if (error instanceof NotFound) return undefined
    throw error
  }
}
