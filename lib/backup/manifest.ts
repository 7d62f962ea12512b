import * as z from 'zod'
import { CountedLate } from '../ledger/documents.ts'
import { Signature } from '../signature.ts'
import { count, sha256 } from './sections/section.ts'
import { lateFields, preservedFields, sections } from './sections.ts'

/**
 * Manifest versions 1 and 2, documented in docs/formats.md; 2 is written. Readers refuse a version they do not know, and of
 * version 2 what they do not know in it.
 */
const version = z.union([z.literal(1), z.literal(2)])

const time = z.iso.datetime()

/** All lists tell them, of whatever lies in the bucket. */
const shortText = z.string().max(200)

export const Warning = z.strictObject({ code: z.string(), message: z.string() })
export type Warning = z.output<typeof Warning>

/**
 * Of a backup that was brought in from a folder: of which one the folder was made, by whom, and when. Absent: a run took it from
 * the stores.
 * @see docs/decisions.md#an-upload-is-a-backup-once-it-is-proved
 */
export const Imported = z.strictObject({ from: shortText, by: shortText, at: time })
export type Imported = z.output<typeof Imported>

export const Manifest = z.strictObject({
  version,
  backupId: z.string(),
  runId: shortText,
  environment: shortText,
  strategy: shortText,
  toolVersion: shortText,
  startedAt: time,
  sealedAt: time,
  /** When every object had been read back and found as it was sent. */
  readBackAt: time,
  /** When the parts of this manifest had been loaded into a scratch schema and found identical; null: never. Late parts are read back only. */
  rehearsedAt: time.nullable(),
  imported: Imported.optional(),
  ...sections,
  /** What the run that made this backup was told to keep. */
  preserved: z.strictObject(preservedFields),
  warnings: z.array(Warning),
  /** SHA-256 of the JSON without this field and the signature, see digest.ts. */
  digest: sha256.optional(),
  /** HMAC of the same JSON; backups of before there were keys have none. */
  signature: Signature.optional(),
})
export type Manifest = z.output<typeof Manifest>

/**
 * `late-<n>.json`: the parts that replace the manifest's, because rows had changed when the wipe took its lock, and parts
 * with keys of the cache that had changed when they were to be wiped. Each lists all differences; the highest n counts.
 */
export const Late = z.strictObject({
  /** Of the manifest, whose fingerprints its parts have. */
  version,
  backupId: z.string(),
  /** Of the manifest; without it only in late files that are not signed. */
  environment: z.string().optional(),
  attempt: count.positive(),
  writtenAt: time,
  ...lateFields,
  digest: sha256.optional(),
  signature: Signature.optional(),
})
export type Late = z.output<typeof Late>

/** Which objects made up a backup when it was read: SHA-256 of their bytes. `late` null: no late file counted. */
export const Seen = z.strictObject({
  manifest: sha256,
  late: CountedLate,
})
export type Seen = z.output<typeof Seen>
