import * as z from 'zod'
import type { Manifest } from '../../backup/manifest.ts'
import type { Summarizer } from '../../store/sections.ts'
import { Action, DatabasePlan } from './plan.ts'

/** What the ledger keeps of it, without columns. */
export const DatabaseSummary = z.object({
  bytes: z.number().default(0),
  batches: z.number().default(0),
  /** The id of the backup from which the run takes over: its row names it, so that nothing deletes it meanwhile. */
  base: z.string().nullable().default(null),
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

/** The first plans in the ledger had none. */
export const DatabaseInLedger = DatabaseSummary.nullable().default(null)

/** Of what a restore puts back. */
export const DatabaseRestoreInLedger = z.object({
  without: z.array(z.string()).default([]),
  batches: z.number().default(0),
})
export type DatabaseRestoreInLedger = z.output<typeof DatabaseRestoreInLedger>

export const databaseSummary: Summarizer<DatabasePlan, DatabaseSummary, NonNullable<Manifest['database']>> = {
  section: ({ bytes, batches, base, unmanaged, views, tables }, restored) => {
    const after = new Map(restored?.tables.map(({ name, rows }) => [name, rows]))
    return {
      bytes,
      batches,
      base: base?.backupId ?? null,
      unmanaged,
      views,
      tables: tables.map(({ table, ...entry }) => ({
        name: table.name,
        ...entry,
        ...(restored && entry.action !== 'keep' ? { backedUpRows: after.get(table.name) ?? 0 } : {}),
      })),
    }
  },
  restored: () => ({}),
}
