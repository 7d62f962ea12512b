import { createHash } from 'node:crypto'

/**
 * A document with the SHA-256 of its own JSON, so that a flipped bit or a careless edit anywhere in it is noticed. It is
 * no signature: who may write to the bucket can make it anew.
 */
export function withDigest<Document extends object>(document: Document): Document & { digest: string } {
  return { ...document, digest: digestOf(document) }
}

/** The digest of a document as it was parsed, without the one that it carries; the order of its fields counts. */
export function digestOf(document: object): string {
  const { digest: _, ...rest } = document as { digest?: unknown }
  return createHash('sha256').update(JSON.stringify(rest)).digest('hex')
}
