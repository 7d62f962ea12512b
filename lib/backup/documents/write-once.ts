import { setTimeout } from 'node:timers/promises'
import { messageOf, StoreUnavailable } from '../../errors.ts'
import { type Bucket, isPreconditionFailure } from '../../s3/bucket.ts'
import { documentBounds } from './json.ts'
import { ifThere, readText } from './read.ts'
import { putJson, putJsonLines } from './write.ts'

/** Milliseconds before each further try, when S3 refuses and nothing is there: another write was under way, and failed. */
const pauses = [100, 400]

/**
 * Writes what a step leaves behind, once. A step may be repeated while its first invocation is still alive: the second to
 * write finds what the first wrote, and gives that.
 * @param write is to write with `If-None-Match: *`, as `once` does
 * @throws StoreUnavailable when S3 goes on refusing, and nothing is there all the same
 * @see docs/decisions.md#what-a-backup-is-made-of-is-written-once
 */
export async function writeOnce<Result>(
  mine: Result,
  write: (options: { once: true }) => Promise<void>,
  find: () => Promise<Result | undefined>,
): Promise<Result> {
  for (let tries = 0; ; tries++) {
    try {
      await write({ once: true })
      return mine
    } catch (cause) {
      if (!isPreconditionFailure(cause)) throw cause
      const first = await find()
      if (first !== undefined) return first
      if (tries === pauses.length)
        throw new StoreUnavailable(
          `S3 refused to write a step's result, because another invocation was writing it: ${messageOf(cause)}. Start again`,
          { cause },
        )
      await setTimeout(pauses[tries])
    }
  }
}

/**
 * Writes a step's result as JSON, unless an earlier try left one: what later steps have read stays what it was, also when
 * an invocation that was given up comes to its end late.
 * @throws WorkDamaged when what is there was not left by a step of ours
 */
export async function putOnce(bucket: Bucket, key: string, value: unknown): Promise<void> {
  await unlessThere(bucket, key, (options) => putJson(bucket, key, value, options))
}

/** The same with one JSON document per line, as putJsonLines writes it. */
export async function putLinesOnce(bucket: Bucket, key: string, values: readonly unknown[]): Promise<void> {
  await unlessThere(bucket, key, (options) => putJsonLines(bucket, key, values, options))
}

async function unlessThere(
  bucket: Bucket,
  key: string,
  write: (options: { once: true }) => Promise<void>,
): Promise<void> {
  await writeOnce<unknown>(null, write, () => ifThere(readText(bucket, key, documentBounds)))
}
