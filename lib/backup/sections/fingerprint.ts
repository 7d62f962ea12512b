import * as z from 'zod'

/** A 64-bit number as decimal text, which hashing begins with. Only a number of this range may come near SQL. */
export const Seed = z
  .string()
  .regex(/^(0|-?[1-9]\d{0,18})$/, { abort: true })
  .refine((text) => BigInt.asIntN(64, BigInt(text)) === BigInt(text), 'not a number of 64 bits')

/**
 * What the fingerprints of a backup were made of, see database/rows.ts: of the rows' JSON in version 1 of the format, of
 * the records' text from version 2 on. Two fingerprints can be compared only when both were made in the same way.
 * @see docs/decisions.md#fingerprints-are-made-of-the-records-text-with-a-secret-seed
 */
export const FingerprintFormat = z.discriminatedUnion('version', [
  z.strictObject({ version: z.literal(1) }),
  z.strictObject({ version: z.literal(2), seed: Seed }),
])
export type FingerprintFormat = z.output<typeof FingerprintFormat>

/** How the fingerprints in a manifest's section were made: those of version 1 have no seed. */
export function fingerprintFormatOf({ seed }: { seed?: string | undefined }): FingerprintFormat {
  return seed === undefined ? { version: 1 } : { version: 2, seed }
}

/** Adds fingerprints, which are decimal integers that may exceed 64 bits. */
export function addFingerprints(fingerprints: readonly string[]): string {
  return fingerprints.reduce((sum, fingerprint) => sum + BigInt(fingerprint), 0n).toString()
}
