import * as z from 'zod'

const count = z.number().int().nonnegative()

/**
 * What became of the cache since a backup, by type, value and expiry of each key. `extra`: not in the backup, so they stay, or
 * go in a restore that is `exact`; `missing`: a restore brings them back; `changed`: it gives them back what they held;
 * `expired`: in the backup only, and their time is up; `uncompared`: too large to be compared, or of a type that no
 * backup holds.
 */
export const CacheDifference = z.strictObject({
  before: count,
  now: count,
  extra: count,
  missing: count,
  changed: count,
  expired: count,
  uncompared: count,
})
export type CacheDifference = z.output<typeof CacheDifference>
