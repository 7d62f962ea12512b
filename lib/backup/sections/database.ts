import * as z from 'zod'
import { Seed } from './fingerprint.ts'
import { count, plain, type SectionObject, sha256, type Totals } from './section.ts'

const fingerprint = z.string().regex(/^-?\d+$/)

/** A column of a table, as the catalog says it. */
export const Column = z.strictObject({
  name: z.string(),
  /** As `format_type` writes it. */
  type: z.string(),
  /** Its value goes into the row's JSON as Postgres' own text, see database/rows.ts. */
  asText: z.boolean(),
  notNull: z.boolean(),
  hasDefault: z.boolean(),
  /** '' no, 's' stored, 'v' virtual. */
  generated: z.string(),
  /** '' no, 'a' always, 'd' by default. */
  identity: z.string(),
})
export type Column = z.output<typeof Column>

/** One page range of a table. A range without rows has no object: its key and digest are null. */
export const TablePart = z.strictObject({
  shard: count,
  pages: z.strictObject({ from: count, to: count.nullable() }),
  rows: count,
  fingerprint,
  key: z.string().nullable(),
  bytes: count,
  sha256: sha256.nullable(),
  ...plain,
})
export type TablePart = z.output<typeof TablePart>

export const BackedUpTable = z.strictObject({
  name: z.string(),
  schema: z.string(),
  table: z.string(),
  oid: count,
  columns: z.array(Column),
  rows: count,
  fingerprint,
  parts: z.array(TablePart),
})
export type BackedUpTable = z.output<typeof BackedUpTable>

/** A table of a backup, without its rows. */
export type TableDefinition = Pick<BackedUpTable, 'name' | 'schema' | 'table' | 'oid' | 'columns'>

export const BackedUpSequence = z.strictObject({
  name: z.string(),
  schema: z.string(),
  sequence: z.string(),
  lastValue: z.string(),
  isCalled: z.boolean(),
})
export type BackedUpSequence = z.output<typeof BackedUpSequence>

/** The database's section of a manifest. */
export const DatabaseSection = z.strictObject({
  serverVersion: z.string(),
  /** `snapshot`: all rows are of one moment. `reconciled`: made so by exporting again what had changed meanwhile. */
  consistency: z.enum(['snapshot', 'reconciled']),
  /** What the fingerprints begin with, the environment's secret; those of version 1 have none. */
  seed: Seed.optional(),
  rows: count,
  bytes: count,
  tables: z.array(BackedUpTable),
  sequences: z.array(BackedUpSequence),
})
export type DatabaseSection = z.output<typeof DatabaseSection>

/** Of a late file: the parts that replace the manifest's, because rows had changed when the wipe took its lock. */
export const LateDatabaseSection = z.strictObject({
  tables: z.array(z.strictObject({ name: z.string(), parts: z.array(TablePart) })),
  sequences: z.array(BackedUpSequence),
})
export type LateDatabaseSection = z.output<typeof LateDatabaseSection>

export function objectsOfDatabase({ tables }: Pick<DatabaseSection, 'tables'>): SectionObject[] {
  return tables
    .flatMap(({ parts }) => parts)
    .flatMap(({ key, sha256, rows, bytes, plain, longest }) => {
      if (key === null || sha256 === null) return [] // a range of pages without rows
      return [{ key, sha256, what: 'rows', count: rows, bytes, plain, longest }]
    })
}

/** A function, so that only what lists backups carries it. */
export const listedRows = () => ({
  rows: z.int().nonnegative().nullable().meta({ description: 'null: its strategy left the database out' }),
})

export const databaseTotals: Totals<DatabaseSection> = {
  listed: (section) => ({ rows: section?.rows ?? null }),
  bytes: ({ bytes }) => bytes,
}
