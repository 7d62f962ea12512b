import * as z from 'zod'
import { isStorable } from '../../postgres/storable.ts'
import { isText, nothing, preservable } from '../../store/preserve.ts'

// What requests are made of.

/** A name or an id, such as the environment's. */
export const text = z.string().min(1).max(256).refine(isStorable, isText)

/** A backup, as people and schedules call it. */
export const backupName = text.describe(
  "The backup: its id, the beginning of it (4 characters or more) when no other's begins so, its label, `latest`, or `latest-rehearsed`",
)

export const common = {
  confirm: text
    .describe(
      "The environment's name, said again by the caller: what wipes, restores, deletes or claims wants it",
    )
    .optional(),
  idempotencyKey: text.optional(),
  requestedBy: text.optional(),
  /** Set by the schedule; stands in for the idempotency key. */
  scheduledTime: text.optional(),
}

/** A label is told from an id by its first character, and from `latest` and `latest-rehearsed` by its beginning. */
export const Label = z
  .string()
  .regex(
    /^(?!latest)[a-z][a-z0-9-]{0,38}$/,
    'is no label: that begins with a letter, has at most 39 small letters, digits and hyphens, and does not begin with "latest"',
  )
export const Note = z.string().min(1).max(500).refine(isStorable, isText)

/** What the backup is to be called. Without defaults, as takeOver. */
export const naming = {
  label: Label.optional().describe(
    'Its label: one backup of an environment has it, and it moves from the one that had it. It takes the scopes backup and reset',
  ),
  note: Note.optional().describe('A sentence about it, for people'),
  pin: z.boolean().optional().describe('It is kept until somebody unpins it'),
}

/** What becomes of the time to live of cache keys. */
export const ttl = z.enum(['relative', 'absolute'])

/** How a backup is taken, also the one before a reset or a restore. */
export const taking = {
  rehearse: z
    .union([z.boolean(), z.enum(['auto', 'all'])])
    .default('auto')
    .describe(
      'Load the backup and compare before it is sealed: what is new, and what was not proved for long; `auto`: when the whole database is smaller than REHEARSE_MAX_BYTES, however little of it is loaded; `all`: every row, also what was taken over',
    ),
  /** Without a default: the digest of a request that does not say it must stay what it was. */
  takeOver: z
    .boolean()
    .optional()
    .describe(
      'Copy from an earlier backup what has not changed since, which is done unless said otherwise; `false`: export everything',
    ),
  dryRun: z.boolean().default(false).describe('Plan, and compare with what a restore would change'),
}

export const believed = {
  allowUnsigned: z
    .boolean()
    .optional()
    .describe('For a backup that nobody known here signed: whoever can write to the bucket may have made it'),
}

export const scope = {
  ...taking,
  preserve: z
    .strictObject(preservable)
    .default(nothing)
    .describe('What stays, besides what the configuration preserves. It is backed up all the same'),
}
