import { escapeGlob, globMatcher } from './glob.ts'

/** Holds the environment's name. It is never exported, counted or wiped. */
export const environmentKey = 'taskmaster:environment'

const environmentBytes = Buffer.from(environmentKey)

export type KeyScope = {
  /** The MATCH of a SCAN; undefined: the whole database. */
  match: string | undefined
  /** Whether a key is ours to deal with. Asked in addition to MATCH: a glob of another dialect must cost nobody a key. */
  includes(key: Buffer): boolean
}

/** The keys that begin with CACHE_PREFIX, taken literally; `*` alone is every key of the database. */
export function keyScope(prefix: string): KeyScope {
  const start = Buffer.from(prefix === '*' ? '' : prefix)
  return {
    match: prefix === '*' ? undefined : `${escapeGlob(prefix)}*`,
    includes: (key) => key.subarray(0, start.length).equals(start) && !key.equals(environmentBytes),
  }
}

/** Which of the patterns match a key, as indexes. Patterns are Redis globs over the whole key, prefix included. */
export function preservedBy(patterns: readonly string[]): (key: Buffer) => number[] {
  const matchers = patterns.map(globMatcher)
  return (key) => matchers.flatMap((matches, index) => (matches(key) ? [index] : []))
}
