import { SealedBackup } from '../../backup/sealed-backup.ts'
import '@hono/zod-openapi' // every schema has .openapi() from here on
import * as z from 'zod'
import { Manifest, Warning } from '../../backup/manifest.ts'
import { targets } from '../../store.ts'
import { count } from './run.ts'

export const BackupAnswer = SealedBackup.extend({
  labels: z.array(z.string()).nullable().meta({
    description: 'What it is called, also where a request names a backup; null: the ledger did not answer',
  }),
  note: z.string().nullable().meta({ description: 'A sentence about it, by a person' }),
  run: z
    .strictObject({ runId: z.string(), operation: z.string(), requestedBy: z.string().nullable() })
    .nullable()
    .meta({ description: 'The run that took it; null: the ledger does not know it' }),
  kept: z.array(z.string()).nullable().meta({
    description:
      'With `kept`: why the retention keeps it; empty: the next prune lets it go. null: not asked, or it cannot be told',
  }),
  abridged: z.literal(true).optional().meta({
    description: 'There is too much to tell: texts, and lists other than `parts`, are cut',
  }),
}).openapi('Backup')
export type BackupAnswer = z.output<typeof BackupAnswer>

/** One object of a backup; `part` is its key below the backup's root. */
export const BackupPart = z.strictObject({
  part: z.string().meta({ example: 'database/public.users/00000.jsonl.zst' }),
  bytes: count,
  /** Rows or keys in it; null: it is no list of them. */
  rows: count.nullable(),
  kind: z.enum([...targets, 'manifest']),
})
export type BackupPart = z.output<typeof BackupPart>

export const BackupDetails = z
  .strictObject({
    ...BackupAnswer.shape,
    tables: z.array(z.strictObject({ name: z.string(), rows: count, bytes: count })),
    parts: z.array(BackupPart),
    preserved: Manifest.shape.preserved,
    warnings: z.array(Warning),
    next: z.string().nullable().meta({
      description: '`after` of the next page of `parts`; null: this is the last',
    }),
  })
  .openapi('BackupDetails')
export type BackupDetails = z.output<typeof BackupDetails>
