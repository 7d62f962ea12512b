import '@hono/zod-openapi' // every schema has .openapi() from here on
import * as z from 'zod'
import { Warning } from '../../backup/manifest.ts'
import { count } from './run.ts'

const backup = {
  backupId: z.string().meta({ example: '2026-11-22T19-05-33Z-3f9a2c' }),
  environment: z.string(),
  strategy: z.string(),
  startedAt: z.iso.datetime(),
  sealedAt: z.iso.datetime(),
  rehearsedAt: z.iso.datetime().nullable().meta({
    description:
      'When it was loaded and compared; null: never. Rows that changed after that were read back only, see `lateAttempts`',
  }),
  rows: count.nullable().meta({ description: 'null: its strategy left the database out' }),
  files: count.nullable(),
  keys: count.nullable(),
  bytes: count.meta({ description: 'As stored: database and cache compressed' }),
  consistency: z.enum(['snapshot', 'reconciled']).nullable(),
  lateAttempts: count.meta({
    description: 'Above 0: rows changed between the backup and the wipe, and were added to it',
  }),
  authentic: z.enum(['signed', 'unsigned', 'unknown key']).meta({
    description:
      'Whether a key of this environment signed it; what is not signed, anybody with the bucket may have made',
  }),
  pinned: z.boolean(),
  abridged: z.literal(true).optional().meta({
    description: 'There is too much to tell: texts, and lists other than `parts`, are cut',
  }),
}
export const Backup = z.strictObject(backup).openapi('Backup')
export type Backup = z.output<typeof Backup>

/** One object of a backup; `part` is its key below the backup's root. */
export const BackupPart = z.strictObject({
  part: z.string().meta({ example: 'database/public.users/00000.jsonl.zst' }),
  bytes: count,
  /** Rows or keys in it; null: it is no list of them. */
  rows: count.nullable(),
  kind: z.enum(['database', 'files', 'cache', 'manifest']),
})
export type BackupPart = z.output<typeof BackupPart>

export const BackupDetails = z
  .strictObject({
    ...backup,
    tables: z.array(z.strictObject({ name: z.string(), rows: count, bytes: count })),
    parts: z.array(BackupPart),
    preserved: z.strictObject({
      tables: z.array(z.string()),
      rows: z.record(z.string(), z.string()),
      files: z.array(z.string()),
      keys: z.array(z.string()),
    }),
    warnings: z.array(Warning),
    next: z.string().nullable().meta({
      description: '`after` of the next page of `parts`; null: this is the last',
    }),
  })
  .openapi('BackupDetails')
export type BackupDetails = z.output<typeof BackupDetails>
