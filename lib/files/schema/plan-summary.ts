import * as z from 'zod'
import type { Manifest } from '../../backup/manifest.ts'
import type { Summarizer } from '../../store/sections.ts'
import type { FilesPlan } from './plan.ts'

/** What the ledger keeps of both. */
export const FilesSummary = z.object({
  ...{ objects: z.number().default(0), bytes: z.number().default(0) },
  ...{ preservedObjects: z.number().default(0), preservedBytes: z.number().default(0) },
  ...{ lists: z.number().optional(), listsPerBatch: z.number().optional(), batches: z.number() },
})
export type FilesSummary = z.output<typeof FilesSummary>
const FilesRestoreSummary = FilesSummary.omit({ preservedObjects: true, preservedBytes: true })

export const FilesInLedger = FilesSummary.nullable()

/** Of what a restore puts back. */
export const FilesRestoreInLedger = z.object({
  /** Not taken for none when it is missing: Finish goes by it when it looks for what was put back. */
  files: FilesRestoreSummary.nullable(),
  /** Files that the backup holds. */
  objects: z.number().default(0),
})
export type FilesRestoreInLedger = z.output<typeof FilesRestoreInLedger>

export const filesSummary: Summarizer<FilesPlan, FilesSummary, NonNullable<Manifest['files']>> = {
  section: (planned) => planned,
  restored: (held) => ({ objects: held?.objects ?? 0 }),
}
