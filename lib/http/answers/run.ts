import '@hono/zod-openapi' // every schema has .openapi() from here on
import * as z from 'zod'
import { Outcome } from '../../run/outcome.ts'
import { WouldDo } from '../../run/words/would-do.ts'
import { nullable } from '../../store/sections.ts'
import { targets } from '../../store.ts'
import { answerSchemas } from '../../stores.ts'

export const count = z.int().nonnegative()
export const Progress = z.record(z.string(), z.strictObject({ done: count, total: count }))
const time = z.iso.datetime()

/** A run as the API tells it: its row in the ledger, or what Step Functions knows of an execution that has none. */
export const Run = z
  .strictObject({
    runId: z.string(),
    operation: z
      .string()
      .meta({ example: 'reset', description: '`reset-to`: a reset that goes back to a backup' }),
    strategy: z.string().nullable().meta({ example: 'full' }),
    status: z
      .enum([
        'starting',
        'running',
        'succeeded',
        'succeeded_with_warnings',
        'failed',
        'abandoned',
        'cancelled',
      ])
      .meta({ description: '`starting`: accepted, not in the ledger yet' }),
    phase: z
      .string()
      .nullable()
      .meta({ description: 'The state it is in, or was last', example: 'Wipe files' }),
    attempt: count.meta({ description: 'Above 0: the backup was stale, and was taken again' }),
    requestedBy: z.string().nullable().meta({ example: 'api:ci' }),
    dryRun: z.boolean().meta({ description: 'Known once the plan is' }),
    backupId: z
      .string()
      .nullable()
      .meta({ description: 'The backup that it writes, verifies, compares or deletes' }),
    to: z
      .string()
      .nullable()
      .meta({ description: 'Of a reset that goes back to a backup: what was said, such as its label' }),
    restoredBackupId: z.string().nullable().meta({ description: 'The backup that it puts back' }),
    target: z.string().nullable().meta({
      description: 'The id of the backup that its request names; null: it names none, or is not counted yet',
    }),
    startedAt: time,
    heartbeatAt: time.meta({ description: 'Its last sign of life' }),
    finishedAt: time.nullable(),
    closingUntil: time.nullable().meta({
      description:
        'It is over, but an invocation of it may be alive until then; the next run can begin when that has ended',
    }),
    progress: Progress.meta({
      description: 'Rows, files or keys by state, over the batches that have begun',
    }),
    steps: z
      .record(z.string(), z.strictObject({ from: time, to: time.nullable() }))
      .nullable()
      .meta({
        description: 'When each state began and ended, over its tries; null: an earlier version ran it',
      }),
    waiting: z.string().nullable().meta({
      description: 'What its step waits for before it changes anything, and who is in the way',
      example:
        'waiting for locks, try 3 of 15; in the way: process 4711 (user app, application "notebook", idle in transaction, in a transaction since 2026-11-22 18:40:00 UTC) holds stories',
    }),
    cancellable: z.boolean().meta({ description: 'It is under way, and nothing is wiped or restored yet' }),
    plan: z
      .strictObject({
        ...nullable(answerSchemas),
        wipes: z.array(z.enum(targets)),
        backsUp: z.array(z.enum(targets)),
        rehearse: z.boolean(),
        rows: z.string().optional().meta({
          description: 'The table of which a diff tells rows, at /v1/runs/{runId}/rows',
        }),
      })
      .nullable()
      .meta({ description: 'What it acts on, as it was counted; null until then' }),
    wouldDo: WouldDo.nullable().meta({
      description:
        'Of a dry run: why the run that it stands for would be refused, and what it would do to each table and store; null for others',
    }),
    outcome: Outcome.nullable(),
    error: z.strictObject({ name: z.string(), message: z.string() }).nullable(),
    abridged: z.literal(true).optional().meta({
      description: 'Of a run with too much to tell: its lists are cut; sums are not',
    }),
  })
  .openapi('Run')
export type Run = z.output<typeof Run>
