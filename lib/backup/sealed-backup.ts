import * as z from 'zod'
import { Imported } from './manifest.ts'
import { listedFields } from './sections.ts'

const count = z.int().nonnegative()

/** One sealed backup, as it is listed. */
export const SealedBackup = z.strictObject({
  backupId: z.string().meta({ example: '2026-11-22T19-05-33Z-3f9a2c' }),
  environment: z.string(),
  strategy: z.string(),
  startedAt: z.iso.datetime(),
  sealedAt: z.iso.datetime(),
  rehearsedAt: z.iso.datetime().nullable().meta({
    description:
      'When its rows had been loaded and compared: the oldest of the times of its parts, for one that did not change is loaded every few days only; null: some never were. Rows that changed after that were read back only, see `lateAttempts`',
  }),
  ...listedFields(),
  bytes: count.meta({ description: 'As stored: database and cache compressed' }),
  consistency: z.enum(['snapshot', 'reconciled']).nullable(),
  lateAttempts: count.meta({
    description: 'Above 0: rows changed between the backup and the wipe, and were added to it',
  }),
  authentic: z.enum(['signed', 'unsigned', 'unknown key']).meta({
    description:
      'Whether a key of this environment signed it; what is not signed, anybody with the bucket may have made',
  }),
  imported: Imported.optional().meta({
    description:
      'It was brought in from a folder, which a download of the backup `from` had made; it is never `latest`. Absent: a run took it from the stores',
  }),
  /** It is not deleted until it is unpinned. */
  pinned: z.boolean(),
})
export type SealedBackup = z.output<typeof SealedBackup>
