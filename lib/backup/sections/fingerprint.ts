/** Adds fingerprints, which are decimal integers that may exceed 64 bits. */
export function addFingerprints(fingerprints: readonly string[]): string {
  return fingerprints.reduce((sum, fingerprint) => sum + BigInt(fingerprint), 0n).toString()
}
