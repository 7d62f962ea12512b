import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { BackupDamaged, messageOf } from '../../errors.ts'
import { type Bucket, bucketError } from '../../s3/bucket.ts'
import { TooMuch } from '../documents/json.ts'

/** What the manifest says of the bytes of an object; null: nothing that they could be compared with. */
export type ExpectedBytes = { bytes?: number | undefined; sha256?: string | null | undefined }

/**
 * The bytes as S3 holds them. What is made of them counts only when it ended without an error: their digest is known then.
 * Whoever stops early, or waits no longer, destroys the body.
 * @throws BackupDamaged when they do not have the digest, or are more than expected; without a digest, nothing is compared
 * @throws StoreUnavailable when the connection breaks
 * @see docs/decisions.md#a-connection-that-breaks-is-no-damage
 */
export async function* storedBytes(
  { bucket, key, body }: { bucket: Bucket; key: string; body: Readable },
  { bytes = Number.POSITIVE_INFINITY, sha256 }: ExpectedBytes,
): AsyncGenerator<Buffer, undefined> {
  const hash = createHash('sha256')
  let stored = 0
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      hash.update(chunk)
      stored += chunk.length
      if (stored > bytes) throw new TooMuch(`it has more than the ${bytes} bytes that were written`)
      yield chunk
    }
  } catch (cause) {
    throw isDamage(cause) ? unreadable(bucket, key, cause) : bucketError(bucket, 'read', key, cause)
  }
  const found = hash.digest('hex')
  if (sha256 == null || found === sha256) return
  throw new BackupDamaged(
    `s3://${bucket.name}/${key} has the SHA-256 ${found}, but the manifest says ${sha256}. Use another backup`,
  )
}

export function unreadable(bucket: Bucket, key: string, cause: unknown): BackupDamaged {
  return new BackupDamaged(
    `s3://${bucket.name}/${key} cannot be read: ${messageOf(cause)}. Use another backup`,
    { cause },
  )
}

/** The SDK reports a wrong checksum in the same way as a connection that breaks. */
function isDamage(cause: unknown): boolean {
  return cause instanceof TooMuch || (cause instanceof Error && cause.message.startsWith('Checksum mismatch'))
}
