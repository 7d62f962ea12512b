import '@hono/zod-openapi' // every schema has .openapi() from here on
import * as z from 'zod'
import { Warning } from '../../backup/manifest.ts'
import { strategies } from '../../run/strategy.ts'
import { targets } from '../../store.ts'

const count = z.int().nonnegative()
const Reason = z.strictObject({ name: z.string(), message: z.string() })
const Targets = z.array(z.enum(targets))

const Table = z.strictObject({
  name: z.string().meta({ example: 'public.users' }),
  label: z.string().nullable().meta({ description: 'The TaskMaster model it holds', example: 'User' }),
  rows: count.nullable().meta({ description: 'null: the role may not read the table' }),
  estimated: z.boolean(),
  bytes: count,
  action: z
    .enum(['wiped', 'kept', 'keeps some rows'])
    .nullable()
    .meta({ description: 'What a reset does to it; null: no plan can be made, see `problem`' }),
  keptRows: count,
  keepRows: z.string().nullable(),
})

/** A store as it was counted, or why it was not. */
function asked<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.discriminatedUnion('available', [
    z.strictObject({ available: z.literal(true), mark: z.string().nullable(), ...shape }),
    z.strictObject({ available: z.literal(false), reason: Reason }),
  ])
}

export const Options = z
  .strictObject({
    environment: z.string(),
    claimed: z.boolean().meta({
      description: "All three stores carry the environment's name; false also when one cannot be asked",
    }),
    protected: z.boolean(),
    strategies: z.array(
      z.strictObject({
        name: z.enum(strategies),
        clears: Targets,
        preserves: Targets,
        description: z.string(),
      }),
    ),
    database: asked({
      protected: z.boolean(),
      serverVersion: z.string(),
      estimated: z.boolean().meta({ description: 'Some rows are estimates, so that this answers in time' }),
      tables: z.array(Table),
      unmanaged: z.array(z.strictObject({ name: z.string(), reason: z.string() })),
      warnings: z
        .array(Warning)
        .meta({ description: 'What a reset would not reach although one may expect it to, by name' }),
      problem: Reason.nullable().meta({ description: 'Why a reset of the database would be refused' }),
    }),
    files: asked({
      bucket: z.string(),
      prefix: z.string(),
      objects: count,
      bytes: count,
      preservedObjects: count,
      preservedBytes: count,
      unmatched: z.array(z.string()),
      approximate: z.boolean().meta({ description: 'There are more: counting stopped at a limit' }),
    }),
    cache: asked({
      prefix: z.string(),
      keys: count,
      preservedKeys: count,
      unmatched: z.array(z.string()),
      approximate: z.boolean(),
    }),
    abridged: z.literal(true).optional().meta({
      description: 'There is too much to tell, such as tables: lists are cut',
    }),
  })
  .openapi('Options')
export type Options = z.output<typeof Options>
