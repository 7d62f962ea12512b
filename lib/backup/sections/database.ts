import * as z from 'zod'
import { rangesKeyOf } from '../layout.ts'
import { Definition } from './definition.ts'
import { Seed } from './fingerprint.ts'
import { count, plain, type SectionObject, sha256, type Totals } from './section.ts'

/** Of 2^63 rows the hashes add up to less. To read a number of millions of digits takes seconds. */
const fingerprint = z.string().regex(/^-?\d{1,39}$/)

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

/**
 * The ranges of a part, small stretches of pages of which each is a frame of its own, lie in an object beside it, with the
 * hashes of its rows. A part of before has none.
 */
export const Ranges = z.strictObject({
  /** Pages of the table in each; the last is open-ended as its part is. */
  pages: count.positive(),
  /** Ranges, those without rows included. */
  count: count.positive(),
  /** Of that object: 32 for each range, 8 for each row. */
  bytes: count.positive(),
  /** Of that object. */
  sha256,
})
export type Ranges = z.output<typeof Ranges>

/** A stretch of a table's pages. One without rows has no object: its key and digest are null. */
export const TablePart = z.strictObject({
  shard: count,
  pages: z.strictObject({ from: count, to: count.nullable() }),
  rows: count,
  fingerprint,
  key: z.string().nullable(),
  bytes: count,
  sha256: sha256.nullable(),
  ...plain,
  ranges: Ranges.optional(),
  /** When all of its rows were last loaded and compared; null: never. Backups of before say it of the whole only. */
  provedAt: z.iso.datetime().nullable().optional(),
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
  /**
   * A digest of what the table asked of its rows when they were proved (types, constraints, indexes, functions); absent: it
   * cannot be told. Another run takes their proofs for its own only where it finds the same.
   */
  provedUnder: sha256.optional(),
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
  /** What was copied from an earlier backup, its base, because it had not changed; absent: nothing was. */
  takenOver: z.strictObject({ backupId: z.string(), rows: count, bytes: count, parts: count }).optional(),
  tables: z.array(BackedUpTable),
  sequences: z.array(BackedUpSequence),
  /** Absent: nothing is told of it. */
  definition: Definition.optional(),
})
export type DatabaseSection = z.output<typeof DatabaseSection>

/** Of a late file: the parts that replace the manifest's, because rows had changed when the wipe took its lock. */
export const LateDatabaseSection = z.strictObject({
  tables: z.array(z.strictObject({ name: z.string(), parts: z.array(TablePart) })),
  sequences: z.array(BackedUpSequence),
})
export type LateDatabaseSection = z.output<typeof LateDatabaseSection>

export function objectsOfDatabase({ tables }: Pick<DatabaseSection, 'tables'>): SectionObject[] {
  return tables.flatMap(({ parts }) => parts).flatMap(objectsOfPart)
}

/** None for a range of pages without rows. */
function objectsOfPart(part: TablePart): SectionObject[] {
  const { key, sha256, rows: count, bytes, plain, longest, ranges } = part
  if (key === null || sha256 === null) return []
  const rows = { key, sha256, what: 'rows', count, bytes, plain, longest }
  if (ranges === undefined) return [rows]
  const ranged = { ...part, key, ranges }
  const { bytes: size, sha256: digest } = ranges
  return [
    { ...rows, ranged },
    { key: rangesKeyOf(key), sha256: digest, what: 'ranges', count: ranges.count, bytes: size, ranged },
  ]
}

/** A function, so that only what lists backups carries it. */
export const listedRows = () => ({
  rows: z.int().nonnegative().nullable().meta({ description: 'null: its strategy left the database out' }),
})

export const databaseTotals: Totals<DatabaseSection> = {
  listed: (section) => ({ rows: section?.rows ?? null }),
  bytes: ({ bytes }) => bytes,
}
