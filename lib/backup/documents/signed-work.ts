import { InvalidConfiguration, messageOf, WorkDamaged } from '../../errors.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { checkSignature, Signature, sign } from '../../signature.ts'
import { workRoot } from '../layout.ts'

/**
 * Plan, work lists and results of a run decide what is copied and what is deleted, and lie in a bucket that others may be
 * able to write to. Each carries a signature of its key and its bytes in its metadata (`x-amz-meta-signature`), so that
 * one that was edited, put there, or moved from another run or another batch is refused by whatever reads it.
 */

/** Whether an object belongs to the work of a run, by its key. */
export function isWork(key: string): boolean {
  return key.startsWith(workRoot)
}

/** The metadata that an object of a run's work is written with. */
export function signWork(bucket: Bucket, key: string, text: string): Record<string, string> {
  const { keyId, hmac } = sign(keysOf(bucket), purposeOf(key), text)
  return { signature: `${keyId} ${hmac}` }
}

/** @throws WorkDamaged when the object is not signed, or not as this key's */
export function checkWork(
  bucket: Bucket,
  key: string,
  { body, metadata }: { body: Buffer; metadata: Record<string, string> },
): void {
  const [keyId, hmac] = (metadata.signature ?? '').split(' ')
  const signature = Signature.safeParse({ keyId, hmac })
  if (!signature.success) throw workDamaged(bucket, key, 'it is not signed')
  const checked = checkSignature(keysOf(bucket), purposeOf(key), body, signature.data)
  if (checked === 'unknown key')
    throw workDamaged(bucket, key, `it is signed with the key "${keyId}", which SIGNING_KEYS does not hold`)
  if (checked === 'wrong')
    throw workDamaged(bucket, key, 'its signature is not that of its bytes and its key')
}

/** What cannot be understood although it is signed: written for another operation, or by another version. */
export function parseWork<Value>(bucket: Bucket, key: string, parse: () => Value): Value {
  try {
    return parse()
  } catch (cause) {
    throw workDamaged(bucket, key, `it cannot be understood: ${messageOf(cause).slice(0, 500)}`, { cause })
  }
}

export function workDamaged(
  { name: bucket }: Bucket,
  key: string,
  problem: string,
  options?: ErrorOptions,
): WorkDamaged {
  return new WorkDamaged(
    `s3://${bucket}/${key} is not what this run's steps wrote: ${problem}. Nothing was done with it; look who else writes there, then start a new run`,
    options,
  )
}

function keysOf({ name: bucket, signing }: Bucket) {
  if (signing !== undefined && signing.length > 0) return signing
  throw new InvalidConfiguration(`Work of a run lies in ${bucket}, for which there are no SIGNING_KEYS`)
}

function purposeOf(key: string): string {
  return `work ${key}`
}
