import * as z from 'zod'
import type { PlanTeller } from '../../store/sections.ts'
import type { FilesSummary } from './plan-summary.ts'

const count = z.number().int().nonnegative()

/** What a dry run tells of the files. */
export const FilesWould = z.strictObject({
  objects: count,
  bytes: count,
  preservedObjects: count,
  preservedBytes: count,
})
export type FilesWould = z.output<typeof FilesWould>

/** Of a dry run of a restore: how many files the backup holds. */
export const FilesBack = z.object({ objects: count })
export type FilesBack = z.output<typeof FilesBack>

/** What a run's answer tells of its plan. */
export const FilesPlanAnswer = z.strictObject({
  objects: z.int().nonnegative(),
  bytes: z.int().nonnegative(),
  batches: z.int().nonnegative(),
})
export type FilesPlanAnswer = z.output<typeof FilesPlanAnswer>

export const filesPlanTold: PlanTeller<FilesSummary, FilesPlanAnswer, FilesWould> = {
  answer: ({ objects, bytes, batches }) => ({ objects, bytes, batches }),
  would: ({ objects, bytes, preservedObjects, preservedBytes }) => ({
    ...{ objects, bytes, preservedObjects, preservedBytes },
  }),
}
