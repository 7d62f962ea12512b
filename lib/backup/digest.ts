import { createHash } from 'node:crypto'
import { type Authenticity, checkSignature, type Signature, type SigningKey, sign } from '../signature.ts'

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

/** The digest of a document as it was parsed, without digest and signature; the order of its fields counts. */
export function digestOf(document: object): string {
  return sha256(textOf(document))
}

/** Whose a document is by the signature in it; `forged`: that is of a known key, but not of this document. */
export function authenticityOf(
  keys: readonly SigningKey[],
  document: object,
  signature: Signature | undefined,
): Authenticity | 'forged' {
  if (signature === undefined) return 'unsigned'
  const checked = checkSignature(keys, 'document', textOf(document), signature)
  return checked === 'right' ? 'signed' : checked === 'wrong' ? 'forged' : 'unknown key'
}

function textOf(document: object): string {
  const { digest: _, signature: __, ...rest } = document as { digest?: unknown; signature?: unknown }
  return JSON.stringify(rest)
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
