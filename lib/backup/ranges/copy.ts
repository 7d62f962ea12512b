import { messageOf, NotFound, NotPermitted } from '../../errors.ts'
import { type Bucket, bucketError, isPreconditionFailure } from '../../s3/bucket.ts'
import { copyLimits, copySourceHeader, isGone } from '../../s3/copy-source.ts'
import { sendCopy } from '../../s3/send-copy.ts'
import { rangesKeyOf } from '../layout.ts'
import { digestOfObject } from '../part/read.ts'
import type { Digest } from '../part/upload.ts'
import type { RangedPart } from './range.ts'
import type { WrittenRanged } from './write.ts'

/** A part of the base is not what its manifest says, or not to be had: it is exported anew, and no run fails of it. */
export class BaseDamaged extends Error {
  override readonly name = 'BaseDamaged'
}

/** Where something of the part lies, and where it is to lie. */
type Pair = { from: string; to: string; expected: Digest }

/** Whether S3 copies the part at once. A larger one is read and written again. */
export function isCopyable({ bytes, ranges }: RangedPart): boolean {
  return Math.max(bytes, ranges.bytes) <= copyLimits.single
}

/**
 * Copies a part and its sidecar inside S3, never over an existing object, reads both copies back and compares them with what
 * the manifest of the source says. What lies there and is the same, as a try before has left it, is taken for the copy.
 * @param keys gives the key for try 1, 2, …: the next is tried when that of the part or of its sidecar is taken by something else
 * @throws BaseDamaged when there is no such object, or another, or S3 does not give it (it may be archived)
 * @throws NotPermitted, StoreUnavailable of what was copied
 */
export async function copyPart(
  bucket: Bucket,
  part: RangedPart,
  keys: (copy: number) => string,
): Promise<WrittenRanged> {
  const { bytes, sha256, ranges, plain = 0, longest = 0 } = part
  for (let copy = 1; ; copy++) {
    const key = keys(copy)
    const pairs: Pair[] = [
      { from: part.key, to: key, expected: { bytes, sha256 } },
      { from: rangesKeyOf(part.key), to: rangesKeyOf(key), expected: ranges },
    ]
    const found = await Promise.all(pairs.map((pair) => copyOnce(bucket, pair)))
    if (found.every((one) => one === 'copied')) return { key, bytes, sha256, plain, longest, ranges }
  }
}

async function copyOnce(bucket: Bucket, { from, to, expected }: Pair): Promise<'copied' | 'taken'> {
  const wasThere = (await send(bucket, from, to)) === 'there'
  const { bytes, sha256 } = await digestOfObject(bucket, to).catch((error: unknown) => {
    // S3 refuses as well while another writes it, who may then fail.
    if (wasThere && error instanceof NotFound) return { bytes: -1, sha256: '' }
    throw error
  })
  if (bytes === expected.bytes && sha256 === expected.sha256) return 'copied'
  if (wasThere) return 'taken'
  throw new BaseDamaged(
    `s3://${bucket.name}/${from} has ${bytes} bytes (SHA-256 ${sha256}), its manifest says ${expected.bytes} bytes (SHA-256 ${expected.sha256})`,
  )
}

/** Tags are left behind: whoever may copy need not be allowed to read them. */
async function send(bucket: Bucket, from: string, to: string): Promise<'there' | undefined> {
  const copy = {
    Bucket: bucket.name,
    Key: to,
    CopySource: copySourceHeader({ bucket: bucket.name, key: from }),
    IfNoneMatch: '*',
    TaggingDirective: 'REPLACE' as const,
  }
  try {
    await sendCopy(bucket.s3, copy)
    return undefined
  } catch (cause) {
    if (isPreconditionFailure(cause)) return 'there'
    const error = bucketError(bucket, 'copy', from, cause)
    // Refused because of where it is to lie: then so is what is exported in its place.
    if (isGone(cause) || error instanceof NotPermitted) throw new BaseDamaged(messageOf(error), { cause })
    throw error
  }
}
