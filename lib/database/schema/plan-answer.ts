import * as z from 'zod'
import { operationOf } from '../../operations.ts'
import type { PlanTeller } from '../../store/sections.ts'
import type { DatabaseSummary } from './plan-summary.ts'

const count = z.number().int().nonnegative()

/** `wiped` but for `keptRows`; `replaced` by `rowsAfter` of the backup; `kept` and `backed up` tables stay as they are. */
const TableFate = z.enum(['wiped', 'kept', 'replaced', 'backed up'])

const TableWould = z.strictObject({
  name: z.string(),
  would: TableFate,
  rows: count,
  keptRows: count,
  rowsAfter: count,
})
export type TableWould = z.output<typeof TableWould>

/** What a dry run tells of the tables. */
export const DatabaseWould = z.strictObject({ tables: z.array(TableWould) })
export type DatabaseWould = z.output<typeof DatabaseWould>

/** Of a dry run of a restore: nothing, for what the backup holds stands at each table. */
export const DatabaseBack = z.object({})

/** What a run's answer tells of its plan. */
export const DatabasePlanAnswer = z.strictObject({
  rows: z.int().nonnegative(),
  tables: z.int().nonnegative(),
  batches: z.int().nonnegative(),
})
export type DatabasePlanAnswer = z.output<typeof DatabasePlanAnswer>

export const databasePlanTold: PlanTeller<DatabaseSummary, DatabasePlanAnswer, DatabaseWould> = {
  answer: ({ tables, batches }) => ({
    rows: tables.reduce((sum, { rows }) => sum + rows, 0),
    tables: tables.length,
    batches,
  }),
  would: wouldOfDatabase,
}

function wouldOfDatabase({ tables }: DatabaseSummary, operation: string): DatabaseWould {
  const changes = operationOf(operation)?.changes
  return {
    tables: tables.map(({ name, action, rows, keptRows, backedUpRows }) => {
      if (changes === null) return { name, would: 'backed up', rows, keptRows: rows, rowsAfter: rows }
      if (action === 'keep') return { name, would: 'kept', rows, keptRows: rows, rowsAfter: rows }
      if (changes === 'replaced')
        return { name, would: 'replaced', rows, keptRows: 0, rowsAfter: backedUpRows ?? 0 }
      return { name, would: 'wiped', rows, keptRows, rowsAfter: keptRows }
    }),
  }
}
