import * as z from 'zod'
import { everything, Touched } from '../../store/selection.ts'

/** What the plan says of the files: what there is, in bytes too, what of it stays, and how the listing was cut. */
export const FilesPlan = z.strictObject({
  objects: z.number(),
  bytes: z.number(),
  preservedObjects: z.number(),
  preservedBytes: z.number(),
  lists: z.number(),
  listsPerBatch: z.number(),
  batches: z.number(),
})
export type FilesPlan = z.output<typeof FilesPlan>

/**
 * How many objects, of how many bytes, a restore puts back, and how they are cut into pieces and batches. There is a batch
 * even without a piece: else nobody would look for the objects that a backup without files does not have.
 */
export const FilesRestorePlan = FilesPlan.omit({ preservedObjects: true, preservedBytes: true })
export type FilesRestorePlan = z.output<typeof FilesRestorePlan>

/** Of what a restore puts back: the files, cut like a listing; null: none. */
export const FilesInRestore = z.strictObject({
  files: FilesRestorePlan.nullable(),
  /** The files that it touches, by prefixes from FILES_PREFIX on. */
  touchedFiles: Touched.default(everything),
})
export type FilesInRestore = z.output<typeof FilesInRestore>
