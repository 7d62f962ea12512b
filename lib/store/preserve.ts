import * as z from 'zod'
import type { Config } from '../config/variables.ts'
import { isStorable } from '../postgres/storable.ts'

export const isText = { error: 'holds a NUL character, or half of a surrogate pair, which no name can hold' }
const names = z.array(z.string().min(1).max(1024).refine(isStorable, isText)).max(1000).default([])

/** What a request can keep from a wipe, in addition to what the configuration keeps: a list of each kind. */
export const preservable = {
  tables: names.describe('Tables that are not wiped, as `schema.table` or `table`'),
  files: names.describe('Files below these prefixes of FILES_PREFIX are not wiped'),
  keys: names.describe('Cache keys that match one of these patterns (glob) are not wiped'),
}
type PreserveKind = keyof typeof preservable
export type Preserve = Readonly<Record<PreserveKind, readonly string[]>>

/** The variable that says what of each kind is always kept. */
const variables = { tables: 'PRESERVE_TABLES', files: 'PRESERVE_FILES', keys: 'PRESERVE_KEYS' } as const

/** A list of each kind. */
function lists(listOf: (kind: PreserveKind) => string[]): Record<PreserveKind, string[]> {
  const kinds = Object.keys(preservable) as PreserveKind[]
  return Object.fromEntries(kinds.map((kind) => [kind, listOf(kind)])) as Record<PreserveKind, string[]>
}

export const nothing = (): Record<PreserveKind, string[]> => lists(() => [])

/** What a run keeps, when its request keeps this. */
export function preservedBy(asked: Preserve, config: Config): Record<PreserveKind, string[]> {
  return lists((kind) => [...config[variables[kind]], ...asked[kind]])
}
