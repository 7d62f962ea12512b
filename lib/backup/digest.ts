import { createHash } from 'node:crypto'
import * as z from 'zod'
import { type Authenticity, checkSignature, Signature, type SigningKey, sign } from '../signature.ts'

/** A document of a backup as it is written: with its own digest and, where there are keys, a signature. */
export type Sealed<Document> = Document & { digest: string; signature?: Signature }

/**
 * A document with the SHA-256 of its own JSON, so that a flipped bit anywhere in it is noticed, and the signature of the
 * same JSON, so that an edit is: who may write to the bucket can make the digest anew, but not the signature.
 * @see docs/decisions.md#a-manifest-carries-a-digest-of-itself
 */
export function sealed<Document extends object>(
  keys: readonly SigningKey[],
  document: Document,
): Sealed<Document> {
  const text = textOf(document)
  return { ...document, digest: sha256(text), signature: sign(keys, 'document', text) }
}

/** What a document says of itself, also when nothing else of it is known to be right. */
const Said = z.object({
  digest: z.string().optional().catch(undefined),
  signature: Signature.optional().catch(undefined),
})

/** `forged`: the signature is that of a known key, but not of this document. */
type Seal = { digest: 'right' | 'wrong' | 'none'; authentic: Authenticity | 'forged' }

/** Compares digest and signature of a document, as it was parsed, with what else it says; the order of its fields counts. */
export function checkSeal(keys: readonly SigningKey[], document: unknown): Seal {
  const { digest, signature } = Said.safeParse(document).data ?? {}
  if (digest === undefined && signature === undefined) return { digest: 'none', authentic: 'unsigned' }
  const text = textOf(document as object)
  return {
    digest: digest === undefined ? 'none' : sha256(text) === digest ? 'right' : 'wrong',
    authentic: authenticityOf(keys, text, signature),
  }
}

function authenticityOf(
  keys: readonly SigningKey[],
  text: string,
  signature: Signature | undefined,
): Seal['authentic'] {
  if (signature === undefined) return 'unsigned'
  const checked = checkSignature(keys, 'document', text, signature)
  return checked === 'right' ? 'signed' : checked === 'wrong' ? 'forged' : 'unknown key'
}

function textOf(document: object): string {
  const { digest: _, signature: __, ...rest } = document as { digest?: unknown; signature?: unknown }
  return JSON.stringify(rest)
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
