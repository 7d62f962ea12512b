import * as z from 'zod'

const count = z.number().int().nonnegative()

/** What an outcome counts of the files. */
export const FilesCounts = z.strictObject({ objects: count, bytes: count })
export type FilesCounts = z.output<typeof FilesCounts>
