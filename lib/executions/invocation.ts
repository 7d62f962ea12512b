import { counted, bytes as inUnits, number } from '../amounts.ts'
import { LimitExceeded } from '../errors.ts'

/** Milliseconds that one invocation has for its work: Lambda's quota of 900 s, less what comes before and after. */
export const invocationMs = 840_000

/** How much is done in a second, as slow and as fast as it was measured. @see docs/scale.md */
export type Speed = { slow: number; fast: number }

/** An amount of what is told as bytes, or by the name of one. */
type Amount = { amount: number; of: 'byte' | 'row' | 'file' | 'key' | 'object'; speed: Speed }

/** What a state does that is one invocation: no Map shares it out. */
export type SingleWork = {
  /** As a sentence begins: "Comparing the batches with one snapshot". */
  does: string
  /** One after the other. */
  amounts: readonly Amount[]
  /** What to do when that is too much, as an imperative; it ends the message. */
  instead: string
}

/**
 * Says beforehand what one invocation could not do in its time, so that no run dies of it after a quarter of an hour.
 * @returns a warning when it could not at the slower speed
 * @throws LimitExceeded when it could not at the faster one either
 * @see docs/decisions.md#what-one-invocation-cannot-do-is-refused-by-count
 */
export function checkInvocation({ does, amounts, instead }: SingleWork): { code: string; message: string }[] {
  const [atBest, atWorst] = [millisecondsOf(amounts, 'fast'), millisecondsOf(amounts, 'slow')]
  if (atWorst <= invocationMs) return []
  const seconds = (milliseconds: number) => number(Math.ceil(milliseconds / 1000))
  const range = atBest === atWorst ? seconds(atBest) : `${seconds(atBest)} to ${seconds(atWorst)}`
  const sentence = `${does} (${amounts.map(told).join(', ')}) would take about ${range} s, and the one invocation that does it has ${seconds(invocationMs)} s`
  if (atBest > invocationMs) throw new LimitExceeded(`${sentence}. Nothing was touched; ${instead}`)
  return [
    {
      code: 'MayTakeTooLong',
      message: `${sentence}: it may be given up then, with nothing changed. If so, ${instead}`,
    },
  ]
}

function millisecondsOf(amounts: readonly Amount[], which: keyof Speed): number {
  return amounts.reduce((sum, { amount, speed }) => sum + (1000 * amount) / speed[which], 0)
}

function told({ amount, of }: Amount): string {
  return of === 'byte' ? inUnits(amount) : counted(amount, of)
}
