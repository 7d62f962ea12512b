import { escapeGlob, globMatcher } from '../redis/glob.ts'
import { isEverything, type Touched } from '../store/selection.ts'

/** Holds the environment's name. It is never exported, counted or wiped. */
export const environmentKey = 'taskmaster:environment'

/** Holds the fencing number of the run that may change keys, see fence.ts. It is never exported, counted or wiped either. */
export const fenceKey = 'taskmaster:environment:fence'

/** The keys of our own that lie outside what a run acts on. */
export const ownKeys = [environmentKey, fenceKey]

const ownBytes = ownKeys.map((key) => Buffer.from(key))

/** Whether a key is one of `ownKeys`. */
export function isOwn(key: Buffer): boolean {
  for (const own of ownBytes) if (own.length === key.length && own.equals(key)) return true
  return false
}

type KeyScope = {
  /** The MATCH of a SCAN; undefined: the whole database. */
  match: string | undefined
  /** Whether a key is ours to deal with. Asked in addition to MATCH: a glob of another dialect must cost nobody a key. */
  includes(key: Buffer): boolean
}

/** The keys that begin with CACHE_PREFIX, taken literally; `*` alone is every key of the database. */
export function keyScope(prefix: string): KeyScope {
  const start = Buffer.from(literal(prefix))
  return {
    match: prefix === '*' ? undefined : `${escapeGlob(prefix)}*`,
    includes: (key) => startsWith(key, start) && !isOwn(key),
  }
}

/** Without a view of its own of the key, of which there are millions, nor a call that takes longer than so few bytes. */
export function startsWith(key: Buffer, start: Buffer): boolean {
  for (let at = 0; at < start.length; at++) if (key[at] !== start[at]) return false
  return true
}

/** Whether a restore touches a key: brings it back, or takes it away. */
export function touches(touched: Touched): (key: Buffer) => boolean {
  if (isEverything(touched)) return () => true
  const { only, kept } = touched
  const [isNamed, isKept] = [matchesAny(only ?? []), matchesAny(kept)]
  return (key) => (only === null || isNamed(key)) && !isKept(key)
}

function matchesAny(patterns: readonly string[]): (key: Buffer) => boolean {
  const matchers = patterns.map(globMatcher)
  return (key) => matchers.some((matches) => matches(key))
}

/** Which of the patterns match a key, as indexes. Patterns are Redis globs over the whole key, prefix included. */
export function preservedBy(patterns: readonly string[]): (key: Buffer) => number[] {
  const matchers = patterns.map(globMatcher)
  if (matchers.length === 0) return () => []
  return (key) => matchers.flatMap((matches, index) => (matches(key) ? [index] : []))
}

/**
 * What the names of keys begin with that a step makes for a while: below CACHE_PREFIX, where the token may write, and with
 * 128 random bits that no application's key has.
 */
export function reservedPrefix(prefix: string, purpose: 'restoring' | 'aside' | 'probe'): string {
  return `${literal(prefix)}taskmaster:${purpose}:8d1f6c0b47e94a2f9b35d07ac61e82f4:`
}

function literal(prefix: string): string {
  return prefix === '*' ? '' : prefix
}
