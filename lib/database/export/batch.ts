import * as z from 'zod'
import { Warning } from '../../backup/manifest.ts'
import { BackedUpSequence, TablePart } from '../../backup/sections/database.ts'
import { Shard } from '../parts/shards.ts'

const count = z.int().nonnegative()

/** What the base, an earlier backup, holds of a table, as far as a batch may take it over. */
export const BaseTable = z.strictObject({
  name: z.string(),
  /** Of the whole table. */
  rows: z.number(),
  fingerprint: z.string(),
  /** All shards of the table are in this batch, and all parts of the base's here; else those that overlap the batch's shards. */
  isWhole: z.boolean(),
  parts: z.array(TablePart),
})
export type BaseTable = z.output<typeof BaseTable>

/** One batch of shards as Count wrote it. */
export const DatabaseBatch = z.strictObject({
  batch: z.number(),
  shards: z.array(Shard),
  base: z.array(BaseTable).default([]),
})
export type DatabaseBatch = z.output<typeof DatabaseBatch>

/** Where the rows of a part come from, and what of them a rehearsal loads. */
export const Origin = z.strictObject({
  /** `copied`: the base's object as it was. `composed`: some frames are the base's. */
  kind: z.enum(['exported', 'copied', 'composed']),
  load: z.enum(['all', 'fresh', 'nothing']),
  /** Of a composed part: the ranges that were exported, by their place, from (inclusive) to (exclusive). */
  fresh: z.array(z.tuple([count, count])),
  /** The sum of theirs; 0 of a part that was copied. */
  freshFingerprint: z.string(),
  /** What was taken over of it. */
  rows: count,
  bytes: count,
})
export type Origin = z.output<typeof Origin>

/** A part without an origin was exported, and is loaded whole. */
export const ExportedPart = TablePart.extend({ table: z.string(), origin: Origin.optional() })
export type ExportedPart = z.output<typeof ExportedPart>

/** What one batch exported: a part per shard, and the sequences as they stood after the snapshot. */
export const DatabaseResult = z.strictObject({
  batch: z.number(),
  snapshotAt: z.string(),
  parts: z.array(ExportedPart),
  sequences: z.array(BackedUpSequence),
  warnings: z.array(Warning).default([]),
})
