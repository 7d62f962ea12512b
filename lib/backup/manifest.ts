import * as z from 'zod'
import { CountedLate } from '../ledger/documents.ts'
import { Signature } from '../signature.ts'

/** Manifest version 1, documented in docs/formats.md. Readers refuse a version they do not know. */

const count = z.number().int().nonnegative()
const time = z.iso.datetime()
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const fingerprint = z.string().regex(/^-?\d+$/)

/** What a part holds once it is decompressed, in bytes, and its longest line: no reader takes more. */
const plain = { plain: count.optional(), longest: count.optional() }

/** A column of a table, as the catalog says it. */
export const Column = z.strictObject({
  name: z.string(),
  /** As `format_type` writes it. */
  type: z.string(),
  /** Its value goes into the row's JSON as Postgres' own text, see database/rows.ts. */
  asText: z.boolean(),
  notNull: z.boolean(),
  hasDefault: z.boolean(),
  /** '' no, 's' stored, 'v' virtual. */
  generated: z.string(),
  /** '' no, 'a' always, 'd' by default. */
  identity: z.string(),
})
export type Column = z.output<typeof Column>

/** One page range of a table. A range without rows has no object: its key and digest are null. */
export const TablePart = z.strictObject({
  shard: count,
  pages: z.strictObject({ from: count, to: count.nullable() }),
  rows: count,
  fingerprint,
  key: z.string().nullable(),
  bytes: count,
  sha256: sha256.nullable(),
  ...plain,
})
export type TablePart = z.output<typeof TablePart>

export const BackedUpTable = z.strictObject({
  name: z.string(),
  schema: z.string(),
  table: z.string(),
  oid: count,
  columns: z.array(Column),
  rows: count,
  fingerprint,
  parts: z.array(TablePart),
})
export type BackedUpTable = z.output<typeof BackedUpTable>

/** A table of a backup, without its rows. */
export type TableDefinition = Pick<BackedUpTable, 'name' | 'schema' | 'table' | 'oid' | 'columns'>

export const BackedUpSequence = z.strictObject({
  name: z.string(),
  schema: z.string(),
  sequence: z.string(),
  lastValue: z.string(),
  isCalled: z.boolean(),
})

export const Warning = z.strictObject({ code: z.string(), message: z.string() })
export type Warning = z.output<typeof Warning>

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

export const CachePart = z.strictObject({ key: z.string(), keys: count, bytes: count, sha256, ...plain })

export const Manifest = z.strictObject({
  version: z.literal(1),
  backupId: z.string(),
  runId: z.string(),
  environment: z.string(),
  strategy: z.string(),
  toolVersion: z.string(),
  startedAt: time,
  sealedAt: time,
  /** When every object had been read back and found as it was sent. */
  readBackAt: time,
  /** When the parts of this manifest had been loaded into a scratch schema and found identical; null: never. Late parts are read back only. */
  rehearsedAt: time.nullable(),
  database: z
    .strictObject({
      serverVersion: z.string(),
      /** `snapshot`: all rows are of one moment. `reconciled`: made so by exporting again what had changed meanwhile. */
      consistency: z.enum(['snapshot', 'reconciled']),
      rows: count,
      bytes: count,
      tables: z.array(BackedUpTable),
      sequences: z.array(BackedUpSequence),
    })
    .nullable(),
  files: z
    .strictObject({
      prefix: z.string(),
      objects: count,
      bytes: count,
      vanished: count,
      /** One JSON line per object; null when there is none. */
      index: z.strictObject({ key: z.string(), bytes: count, sha256, ...plain }).nullable(),
    })
    .nullable(),
  cache: z.strictObject({ prefix: z.string(), keys: count, parts: z.array(CachePart) }).nullable(),
  /** What the run that made this backup was told to keep. */
  preserved: z.strictObject({
    tables: z.array(z.string()),
    rows: z.record(z.string(), z.string()),
    files: z.array(z.string()),
    keys: z.array(z.string()),
  }),
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
  version: z.literal(1),
  backupId: z.string(),
  /** Of the manifest; without it only in late files that are not signed. */
  environment: z.string().optional(),
  attempt: count.positive(),
  writtenAt: time,
  tables: z.array(z.strictObject({ name: z.string(), parts: z.array(TablePart) })),
  sequences: z.array(BackedUpSequence),
  /**
   * Keys that changed or came since their export: parts that are read after the manifest's, so that the last line of a key
   * counts. `added`: how many of the keys the manifest's parts do not hold.
   */
  cache: z.strictObject({ added: count, parts: z.array(CachePart) }).optional(),
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
