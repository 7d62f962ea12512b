import * as z from 'zod'

const count = z.number().int().nonnegative()

/**
 * What became of the files since a backup, by size and ETag. `extra`: not in the backup, so they stay, or go in a restore that
 * is `exact`; `missing`: a restore brings them back; `changed`: it gives them back their bytes. `bytes`: of those that a
 * restore copies.
 */
export const FilesDifference = z.strictObject({
  before: count,
  now: count,
  extra: count,
  missing: count,
  changed: count,
  bytes: count,
})
export type FilesDifference = z.output<typeof FilesDifference>
