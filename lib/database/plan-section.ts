import * as z from 'zod'
import type { PlannedRun } from '../ledger/run-ref.ts'
import { Table } from './catalog/table.ts'

/** How a table is emptied, or that it stays. */
export const Action = z.enum(['truncate', 'delete', 'delete rows', 'keep'])

/** The database's section of a run's plan, as the later steps read it from S3. */
export const DatabasePlan = z.strictObject({
  serverVersion: z.string(),
  bytes: z.number(),
  batches: z.number(),
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
})
export type DatabasePlan = z.output<typeof DatabasePlan>

/** The same with the run whose plan it is: what a step on the database is told. */
export type PlannedDatabase = { run: PlannedRun; planned: DatabasePlan }
