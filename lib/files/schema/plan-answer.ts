import * as z from 'zod'
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

export function wouldOfFiles({ objects, bytes, preservedObjects, preservedBytes }: FilesSummary): FilesWould {
  return { objects, bytes, preservedObjects, preservedBytes }
}
