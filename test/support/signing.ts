import type { SigningKey } from '../../lib/signature.ts'

const key = (id: string): SigningKey => ({ id, secret: Buffer.alloc(32, id) })

/** What storages that a test makes by hand sign and verify with. */
export const signing = [key('test')] as const

/** A key that signs as well, but that nobody else knows. */
export const strange = [key('strange')] as const

/** As the variable SIGNING_KEYS holds them. */
export function variableOf(keys: readonly SigningKey[]): string {
  return JSON.stringify(keys.map(({ id, secret }) => ({ id, secret: secret.toString('base64') })))
}
