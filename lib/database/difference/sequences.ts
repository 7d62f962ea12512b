import type { BackedUpSequence } from '../../backup/sections/database.ts'
import type { DatabaseDifference } from '../schema/difference.ts'

/** The sequences that do not stand where they stood. */
export function diffSequences(
  before: readonly BackedUpSequence[],
  after: readonly BackedUpSequence[],
): DatabaseDifference['sequences'] {
  const [then, now] = [byName(before), byName(after)]
  const positionOf = (of: typeof now, name: string) => {
    const at = of.get(name)
    return at === undefined ? null : { lastValue: at.lastValue, isCalled: at.isCalled }
  }
  return [...new Set([...then.keys(), ...now.keys()])]
    .sort()
    .map((name) => ({ name, before: positionOf(then, name), now: positionOf(now, name) }))
    .filter(
      (one) => one.before?.lastValue !== one.now?.lastValue || one.before?.isCalled !== one.now?.isCalled,
    )
}

function byName(sequences: readonly BackedUpSequence[]): Map<string, BackedUpSequence> {
  return new Map(sequences.map((one) => [one.name, one]))
}
