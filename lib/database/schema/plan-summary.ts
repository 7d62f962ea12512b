import * as z from 'zod'
import { Action, DatabasePlan } from './plan.ts'

/** What the ledger keeps of it, without columns. */
export const DatabaseSummary = z.object({
  bytes: z.number().default(0),
  batches: z.number().default(0),
  tables: z
    .array(
      z.object({
        name: z.string(),
        action: Action,
        keepRows: z.string().nullable().default(null),
        rows: z.number(),
        keptRows: z.number().default(0),
        /** Of a restore: the rows that the backup holds. */
        backedUpRows: z.number().optional(),
      }),
    )
    .default([]),
  unmanaged: z.array(z.object(DatabasePlan.shape.unmanaged.element.shape)).default([]),
  views: DatabasePlan.shape.views.default([]),
})
export type DatabaseSummary = z.output<typeof DatabaseSummary>
