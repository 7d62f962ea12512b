import * as z from 'zod'

const count = z.int().nonnegative()

/** What of the files could be reset. */
export const FilesOption = z.strictObject({
  bucket: z.string(),
  prefix: z.string(),
  objects: count,
  bytes: count,
  preservedObjects: count,
  preservedBytes: count,
  /** Preserved prefixes below which nothing lies. */
  unmatched: z.array(z.string()),
  approximate: z.boolean().meta({ description: 'There are more: counting stopped at a limit' }),
})
export type FilesOption = z.output<typeof FilesOption>
