import * as z from 'zod'
import { type BackupKeys, isCopyOf } from '../layout.ts'
import { count, plain, type SectionObject, sha256, type Totals } from './section.ts'

/**
 * One line of the files' index, and of a run's `filesCopied`: an object as it was copied. `etag` is the source's, `copyEtag` the copy's: the two differ
 * when either was written in parts or is encrypted with KMS. `copy` from 2 on: a first try had left something else under
 * the first name, so this copy lies in `files.<copy>/`. `storageClass` is the source's, unless it is STANDARD: the copy has
 * none, and the restored object gets it.
 */
export const CopiedFile = z.strictObject({
  key: z.string(),
  size: z.number().int().nonnegative(),
  etag: z.string().min(1),
  copyEtag: z.string().min(1),
  copy: z.number().int().min(2).max(9).optional(),
  storageClass: z.string().min(1).optional(),
})
export type CopiedFile = z.output<typeof CopiedFile>

/** The files' section of a manifest. */
export const FilesSection = z.strictObject({
  prefix: z.string(),
  objects: count,
  bytes: count,
  vanished: count,
  /** One JSON line per object; null when there is none. */
  index: z.strictObject({ key: z.string(), bytes: count, sha256, ...plain }).nullable(),
})
export type FilesSection = z.output<typeof FilesSection>

export function* filesProblems(files: FilesSection, keys: BackupKeys): Generator<string> {
  if ((files.objects === 0) !== (files.index === null)) yield 'files and their index do not go together'
  if (files.objects === 0 && files.bytes !== 0) yield 'there are bytes of files, but no file'
  if (files.index === null) return
  if (!isCopyOf(keys.filesIndex(), files.index.key)) yield `the files' index cannot lie at ${files.index.key}`
}

/** Copies of files are named by their index alone, which may hold millions. */
export function objectsOfFiles({ index, objects }: FilesSection): SectionObject[] {
  return index === null ? [] : [{ what: 'files', count: objects, ...index }]
}

/** A function, so that only what lists backups carries it. */
export const listedFiles = () => ({ files: z.int().nonnegative().nullable() })

export const filesTotals: Totals<FilesSection> = {
  listed: (section) => ({ files: section?.objects ?? null }),
  bytes: ({ bytes }) => bytes,
}
