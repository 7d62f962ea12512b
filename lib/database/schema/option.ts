import * as z from 'zod'
import { Warning } from '../../backup/manifest.ts'
import { Reason } from '../../store/reason.ts'

const count = z.int().nonnegative()

export const TableOption = z.strictObject({
  name: z.string().meta({ example: 'public.users' }),
  label: z.string().nullable().meta({ description: 'The TaskMaster model it holds', example: 'User' }),
  rows: count.nullable().meta({ description: 'null: the role may not read the table' }),
  /** `rows` and `keptRows` are what Postgres' planner expects, not a count. */
  estimated: z.boolean(),
  /** With TOAST, without indexes. */
  bytes: count,
  action: z
    .enum(['wiped', 'kept', 'keeps some rows'])
    .nullable()
    .meta({ description: 'What a reset does to it; null: no plan can be made, see `problem`' }),
  keptRows: count,
  /** The condition of PRESERVE_ROWS. */
  keepRows: z.string().nullable(),
})
export type TableOption = z.output<typeof TableOption>

/** What of the database could be reset. */
export const DatabaseOption = z.strictObject({
  protected: z.boolean(),
  serverVersion: z.string(),
  estimated: z.boolean().meta({ description: 'Some rows are estimates, so that this answers in time' }),
  tables: z.array(TableOption),
  unmanaged: z.array(z.strictObject({ name: z.string(), reason: z.string() })),
  warnings: z
    .array(Warning)
    .meta({ description: 'What a reset would not reach although one may expect it to, by name' }),
  problem: Reason.nullable().meta({ description: 'Why a reset of the database would be refused' }),
})
export type DatabaseOption = z.output<typeof DatabaseOption>
