import * as z from 'zod'
import { isStorable } from '../postgres/storable.ts'
import { isText } from './preserve.ts'

const list = z.array(z.string().min(1).max(1024).refine(isStorable, isText)).min(1).max(1000).optional()

/** What of a backup a restore puts back, as its request says it: without these fields, all. */
export const selection = {
  without: z
    .array(z.string().min(1).max(1024))
    .max(1000)
    .optional()
    .describe(
      'Tables and sequences of the backup that were dropped since, as `schema.table`: the others are put back without them',
    ),
  tables: list.describe('Only these tables, as `schema.table` or `table`'),
  includeParents: z
    .boolean()
    .optional()
    .describe('With `tables`: also the tables that their foreign keys point to, and those of these'),
  files: list.describe('Only files below these prefixes of FILES_PREFIX'),
  keys: list.describe('Only cache keys that match one of these patterns (glob)'),
}
export type Selection = z.output<z.ZodObject<typeof selection>>

/** The fields of which each is about one store. */
export const listsOfSelection = {
  database: ['tables', 'without'],
  files: ['files'],
  cache: ['keys'],
} as const satisfies Record<string, readonly (keyof Selection)[]>

/** Of a store's entries, those that a restore touches: below or like one of `only`, and none of `kept`. */
export const Touched = z.strictObject({
  /** null: all of them. */
  only: z.array(z.string()).nullable(),
  kept: z.array(z.string()),
})
export type Touched = z.output<typeof Touched>

export const everything: Touched = { only: null, kept: [] }

export function isEverything({ only, kept }: Touched): boolean {
  return only === null && kept.length === 0
}

/** The stores that lists are about which name some of their entries; undefined: there is no such list. */
export function selectedStores(said: Partial<Selection>): (keyof typeof naming)[] | undefined {
  const named = Object.entries(naming).filter(([, field]) => said[field] !== undefined)
  return named.length === 0 ? undefined : named.map(([store]) => store as keyof typeof naming)
}

const naming = { database: 'tables', files: 'files', cache: 'keys' } as const

/** Of which table a diff tells rows, and how many. Without it, none. */
export const telling = {
  rows: z
    .strictObject({
      table: z.string().min(1).max(1024).refine(isStorable, isText).describe('As `schema.table` or `table`'),
      limit: z.number().int().min(1).max(100).default(20).describe('So many of each kind'),
    })
    .optional()
    .describe(
      'Keep the first rows of this table that a restore would remove, bring back or change, for who may restore',
    ),
}
