import { createHmac, timingSafeEqual } from 'node:crypto'
import * as z from 'zod'

/** A key that signs and verifies, at least 32 random bytes; `id` is what a signature says it was made with. */
export type SigningKey = { id: string; secret: Buffer }

/** HMAC-SHA-256, in hexadecimal. */
export const Signature = z.strictObject({
  keyId: z.string().min(1).max(64),
  hmac: z.string().regex(/^[0-9a-f]{64}$/),
})
export type Signature = z.output<typeof Signature>

/** `unknown key`: signed, but with a key that is not configured here, so that nothing can be said about it. */
export type Authenticity = 'signed' | 'unsigned' | 'unknown key'

/**
 * Signs a text with the first of the keys.
 * @param purpose what the text is, so that a signature of one kind of text is none of another
 * @see docs/decisions.md#who-may-write-to-the-bucket-decides-nothing
 */
export function sign(keys: readonly SigningKey[], purpose: string, text: string | Buffer): Signature {
  const [key] = keys
  if (key === undefined)
    throw new Error('There is no key to sign with, although SIGNING_KEYS holds at least one')
  return { keyId: key.id, hmac: hmacOf(key, purpose, text).toString('hex') }
}

/** Whether the signature is that of the text; `wrong`: made with a known key, but not of this text. */
export function checkSignature(
  keys: readonly SigningKey[],
  purpose: string,
  text: string | Buffer,
  { keyId, hmac }: Signature,
): 'right' | 'wrong' | 'unknown key' {
  const key = keys.find(({ id }) => id === keyId)
  if (key === undefined) return 'unknown key'
  return timingSafeEqual(hmacOf(key, purpose, text), Buffer.from(hmac, 'hex')) ? 'right' : 'wrong'
}

function hmacOf({ secret }: SigningKey, purpose: string, text: string | Buffer): Buffer {
  return createHmac('sha256', secret).update(`taskmaster-reset ${purpose}\n`).update(text).digest()
}
