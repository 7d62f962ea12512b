import * as z from 'zod'
import type { BackupKeys } from '../layout.ts'

// What the sections of a manifest are made of and are asked, whatever store they are of.

export const count = z.number().int().nonnegative()
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/)

/** What a part holds once it is decompressed, in bytes, and its longest line: no reader takes more. */
export const plain = { plain: count.optional(), longest: count.optional() }

/** A part of which another object holds the ranges, see ranges/sidecar.ts. */
export type Ranged = {
  key: string
  rows: number
  bytes: number
  fingerprint: string
  ranges: { count: number; bytes: number; sha256: string }
}

/** One object of a backup as a section names it: how many rows, files or keys it holds, with its size and SHA-256. */
export type SectionObject = {
  key: string
  bytes: number
  sha256: string
  /** As a finding says it. */
  what: string
  count: number
  plain?: number | undefined
  longest?: number | undefined
  /** The part that has ranges, when the object is it, or holds them. */
  ranged?: Ranged
}

/** What does not fit together in a section, a sentence each. */
export type Problems<Section> = (section: Section, keys: BackupKeys) => Iterable<string>

/** Where the parts of a late file may lie. */
export type AttemptKeys = {
  keys: BackupKeys
  /** A late file repeats the parts of those before it, which lie where their own attempt put them. */
  writtenBy(key: string | null): number
}

/** What late files, which list what changed after the export, mean for a section. */
export type LateSection<Section, Late> = {
  /** What does not fit the section; null: the manifest has none. */
  problems(late: Late, section: Section | null, keys: AttemptKeys): Iterable<string>
  /** The section with all of it in place. */
  merge(section: Section, late: Late): Section
}

/** What a list of backups says of a section; null: the backup has none. */
export type Totals<Section> = {
  listed(section: Section | null): object
  /** As stored. */
  bytes(section: Section): number
}

export function* twice(what: string, named: readonly { name: string }[]): Generator<string> {
  const seen = new Set<string>()
  for (const { name } of named) {
    if (seen.has(name)) yield `the ${what} ${name} is there twice`
    seen.add(name)
  }
}

export function* differs<Value>(what: string, said: Value, found: Value): Generator<string> {
  if (said !== found) yield `${what}: ${said} is said, but the parts make ${found}`
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
