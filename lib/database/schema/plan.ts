import * as z from 'zod'
import { Definition } from '../../backup/sections/definition.ts'
import { FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import type { PlannedRun } from '../../ledger/run-ref.ts'
import { Table } from '../catalog/table.ts'

/**
 * What happens to one table: `truncate` and `delete` empty it (delete, when a table that keeps rows references it),
 * `delete rows` empties it but for the rows that match `keepRows`, `keep` leaves it. A partitioned table holds no rows
 * itself: its action says what happens to its partitions, `delete rows` that some of theirs stay.
 */
export const Action = z.enum(['truncate', 'delete', 'delete rows', 'keep'])
export type Action = z.output<typeof Action>

/** The database's section of a run's plan, as the later steps read it from S3. */
export const DatabasePlan = z.strictObject({
  serverVersion: z.string(),
  bytes: z.number(),
  batches: z.number(),
  /** How the export makes fingerprints. A run that an earlier version planned says nothing: it ends as it began. */
  fingerprints: FingerprintFormat.default({ version: 1 }),
  /**
   * The earlier backup from which the export takes over what did not change; null: it exports everything. `requirements`: what
   * tables asked of their rows, as a digest, when Count decided which of its proofs count. `askedTogether`: the
   * fingerprints of those tables of which all rows were asked what they ask of each other.
   */
  base: z
    .strictObject({
      backupId: z.string(),
      startedAt: z.iso.datetime(),
      requirements: z.record(z.string(), z.string()).default({}),
      askedTogether: z.record(z.string(), z.string()).default({}),
    })
    .nullable()
    .default(null),
  tables: z.array(
    z.strictObject({
      table: Table,
      action: Action,
      keepRows: z.string().nullable(),
      rows: z.number(),
      keptRows: z.number(),
    }),
  ),
  unmanaged: z.array(z.strictObject({ name: z.string(), reason: z.string() })),
  /** The materialized views over what changes, which are to be refreshed. */
  views: z.array(z.string()),
  /** What the backup tells of how the tables are made; null: nothing. */
  definition: Definition.nullable().default(null),
})
export type DatabasePlan = z.output<typeof DatabasePlan>

type Acted<One> = readonly { table: One; action: Action }[]

/** The tables of which rows go, or are replaced. */
export function changedIn<One>(tables: Acted<One>): One[] {
  return tables.filter(({ action }) => action !== 'keep').map(({ table }) => table)
}

/** Those that stay as they are. */
export function keptIn<One>(tables: Acted<One>): One[] {
  return tables.filter(({ action }) => action === 'keep').map(({ table }) => table)
}

/** Of what a restore puts back. */
export const DatabaseInRestore = z.strictObject({
  /** What of the backup is left out: what was dropped since, and what stays as it is. */
  without: z.array(z.string()),
  /** What becomes of rows that a foreign key between what stays and what is put back leaves without their parents. */
  crossing: z.enum(['refuse', 'warn']).default('warn'),
  /** In so many batches the backup is loaded. */
  batches: z.number(),
})
export type DatabaseInRestore = z.output<typeof DatabaseInRestore>

/** The same with the run whose plan it is: what a step on the database is told. */
export type PlannedDatabase = { run: PlannedRun; planned: DatabasePlan }
