import { appendFileSync } from 'node:fs'

/**
 * Long proofs stand in files named `*.trust.test.ts`. `npm test` runs their short form, `npm run trust` the full one:
 * hundreds of random rounds, every stop point, every forged object.
 * @see docs/decisions.md#what-takes-long-is-in-the-full-form-alone
 */
export const isFull = process.env.TRUST === 'full'

/** How the name of a test ends that only the full form has: `test.runIf(isFull)`. */
export const inFullForm = '(full form)'

/** How many rounds, or whatever else a proof is long by. */
export function rounds({ short, full }: { short: number; full: number }): number {
  return isFull ? full : short
}

/** For a test that draws its rounds itself: what it found in one of them is not to be lost by trying others. */
export const asFound = { tags: ['as-found'] }

/** Tells what a proof has tried, for example `{ schemas: 300, wiped: 212, refused: 88 }`; `npm run trust` prints it at its end. */
export function tried(proof: string, counts: Record<string, number>): void {
  const file = process.env.TRUST_COUNTS
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ proof, counts })}\n`)
}
