import * as z from 'zod'
import type { PlannedRun } from '../ledger/run-ref.ts'
import { Table } from './catalog/table.ts'

/** How a table is emptied, or that it stays. */
const action = z.enum(['truncate', 'delete', 'delete rows', 'keep'])

/** The database's section of a run's plan, as the later steps read it from S3. */
export const DatabasePlan = z.strictObject({
  serverVersion: z.string(),
  bytes: z.number(),
  batches: z.number(),
  tables: z.array(
    z.strictObject({
      table: Table,
      action,
      keepRows: z.string().nullable(),
      rows: z.number(),
      keptRows: z.number(),
    }),
  ),
  unmanaged: z.array(z.strictObject({ name: z.string(), reason: z.string() })),
  /** The materialized views over what changes, which are to be refreshed. */
  views: z.array(z.string()),
})
export type DatabasePlan = z.output<typeof DatabasePlan>

/** The same with the run whose plan it is: what a step on the database is told. */
export type PlannedDatabase = { run: PlannedRun; planned: DatabasePlan }

/** What the ledger keeps of it, without columns. */
export const DatabaseSummary = z.object({
  bytes: z.number().default(0),
  batches: z.number().default(0),
  tables: z
    .array(
      z.object({
        name: z.string(),
        action,
        keepRows: z.string().nullable().default(null),
        rows: z.number(),
        keptRows: z.number().default(0),
        /** Of a restore: the rows that the backup holds. */
        backedUpRows: z.number().optional(),
      }),
    )
    .default([]),
  unmanaged: DatabasePlan.shape.unmanaged.default([]),
  views: DatabasePlan.shape.views.default([]),
})
export type DatabaseSummary = z.output<typeof DatabaseSummary>
