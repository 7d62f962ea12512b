import { sealed } from '../../lib/backup/digest.ts'
import type { SigningKey } from '../../lib/signature.ts'

const key = (id: string): SigningKey => ({ id, secret: Buffer.alloc(32, id) })

/** What storages that a test makes by hand sign and verify with. */
export const signing = [key('test')] as const

/** A key that signs as well, but that nobody else knows. */
export const strange = [key('strange')] as const

/** A document with its digest only, as they were written before there were signatures. */
export function withDigest<Document extends object>(document: Document): Document & { digest: string } {
  return { ...document, digest: sealed(strange, document).digest }
}
