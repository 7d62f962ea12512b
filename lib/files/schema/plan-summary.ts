import * as z from 'zod'

/** What the ledger keeps of both. */
export const FilesSummary = z.object({
  ...{ objects: z.number().default(0), bytes: z.number().default(0) },
  ...{ preservedObjects: z.number().default(0), preservedBytes: z.number().default(0) },
  ...{ lists: z.number().optional(), listsPerBatch: z.number().optional(), batches: z.number() },
})
export type FilesSummary = z.output<typeof FilesSummary>
export const FilesRestoreSummary = FilesSummary.omit({ preservedObjects: true, preservedBytes: true })
export type FilesRestoreSummary = z.output<typeof FilesRestoreSummary>
