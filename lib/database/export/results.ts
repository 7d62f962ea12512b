import * as z from 'zod'
import { resultOf } from '../../backup/documents/results.ts'
import { workKeys } from '../../backup/layout.ts'
import { Late, Warning } from '../../backup/manifest.ts'
import type { BackedUpSequence, BackedUpTable } from '../../backup/sections/database.ts'
import { addFingerprints } from '../../backup/sections/fingerprint.ts'
import { mergeLate } from '../../backup/sections/merge-tables.ts'
import { BackupIncomplete } from '../../errors.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { LoadablePart } from '../parts/load-batches.ts'
import type { PlannedDatabase } from '../schema/plan.ts'
import { DatabaseResult, type Origin } from './batch.ts'

/** Fewer of anything may really have been deleted between the count and the export. */
const manyRows = 100

/** What Compare leaves when the exported parts were loaded and found identical, and what a restore will not bring back exactly. */
export const Rehearsed = z.strictObject({
  rehearsedAt: z.iso.datetime(),
  warnings: z.array(Warning).default([]),
  /** What each table asked of its rows, as a digest; of those that a later run need not ask again. */
  requirements: z.record(z.string(), z.string()).default({}),
})

/** What Reconcile leaves: the parts that replace some of the batches', and the sequences as they stood after the snapshot. */
export const Reconciled = Late.pick({ tables: true, sequences: true })

/** Where the rows of a table's shard come from; null: they were exported, so all of them are new. */
export type OriginOf = (table: string, shard: number) => Origin | null

type Exported = {
  tables: BackedUpTable[]
  sequences: z.output<typeof BackedUpSequence>[]
  originOf: OriginOf
  /** Of the export. */
  warnings: Warning[]
}

/**
 * The tables as they are rehearsed and sealed, all of one moment: what the run's batches exported, with what Reconcile
 * exported again.
 * @throws BackupIncomplete naming what is missing or does not agree
 */
export async function readExported(bucket: Bucket, { run, planned }: PlannedDatabase): Promise<Exported> {
  const exported = await readBatches(bucket, { run, planned })
  if (planned.batches < 2) return exported
  const { tables, sequences } = await readReconciled(bucket, run)
  const again = new Set(tables.flatMap(({ name, parts }) => parts.map(({ shard }) => placeOf(name, shard))))
  return {
    ...exported,
    tables: mergeLate(exported.tables, tables),
    sequences,
    originOf: (table, shard) => (again.has(placeOf(table, shard)) ? null : exported.originOf(table, shard)),
  }
}

function placeOf(table: string, shard: number): string {
  return `${shard} ${table}`
}

/**
 * What of one batch's parts a rehearsal loads, with what Reconcile exported again in place; no other batch is read.
 * @throws BackupIncomplete naming what is missing
 */
export async function readExportedParts(
  bucket: Bucket,
  { run, planned }: PlannedDatabase,
  batch: number,
): Promise<LoadablePart[]> {
  const { parts } = await readExportedBatch(bucket, run, batch)
  const { tables } = planned.batches < 2 ? { tables: [] } : await readReconciled(bucket, run)
  const again = new Map(
    tables.flatMap(({ name, parts }) => parts.map((part) => [placeOf(name, part.shard), part] as const)),
  )
  const partsOf = Map.groupBy(parts, ({ table }) => table)
  return planned.tables.flatMap(({ table }) =>
    (partsOf.get(table.name) ?? [])
      .flatMap(({ table: name, origin, ...part }): LoadablePart[] => {
        const newer = again.get(placeOf(name, part.shard))
        if (newer !== undefined) return [{ table, part: newer }]
        if (origin?.load === 'nothing') return []
        return [{ table, part, ...(origin?.load === 'fresh' ? { ranges: origin.fresh } : {}) }]
      })
      .sort((a, b) => a.part.shard - b.part.shard),
  )
}

function readReconciled(bucket: Bucket, run: RunRef): Promise<z.output<typeof Reconciled>> {
  return resultOf(
    bucket,
    workKeys(run).reconciled,
    Reconciled,
    'the comparison of the batches with one snapshot',
  )
}

/**
 * The tables as the run's batches exported them, in the order of the plan; every shard must be there once.
 * @throws BackupIncomplete naming what is missing or does not agree
 */
export async function readBatches(bucket: Bucket, { run, planned }: PlannedDatabase): Promise<Exported> {
  const results: z.output<typeof DatabaseResult>[] = []
  for (let batch = 0; batch < planned.batches; batch++) {
    results.push(await readExportedBatch(bucket, run, batch))
  }
  const partsOf = Map.groupBy(
    results.flatMap(({ parts }) => parts),
    ({ table }) => table,
  )
  const tables = planned.tables
    .filter(({ table }) => !table.partitioned)
    .map(({ table, rows }) => {
      const parts = (partsOf.get(table.name) ?? [])
        .map(({ table: _, origin: __, ...part }) => part)
        .sort((a, b) => a.shard - b.shard)
      const backedUp: BackedUpTable = {
        name: table.name,
        schema: table.schema,
        table: table.table,
        oid: table.oid,
        columns: table.columns,
        rows: parts.reduce((sum, part) => sum + part.rows, 0),
        fingerprint: addFingerprints(parts.map(({ fingerprint }) => fingerprint)),
        parts,
      }
      checkTable(backedUp, rows)
      return backedUp
    })
  const origins = new Map(
    results.flatMap(({ parts }) =>
      parts.map(({ table, shard, origin }) => [placeOf(table, shard), origin ?? null] as const),
    ),
  )
  return {
    tables,
    sequences: results.at(-1)?.sequences ?? [],
    originOf: (table, shard) => origins.get(placeOf(table, shard)) ?? null,
    warnings: results.flatMap(({ warnings }) => warnings),
  }
}

/** What one batch of the database exported. */
function readExportedBatch(
  bucket: Bucket,
  run: RunRef,
  batch: number,
): Promise<z.output<typeof DatabaseResult>> {
  return resultOf(
    bucket,
    workKeys(run).databaseResult(batch),
    DatabaseResult,
    `batch ${batch} of the database`,
  )
}

/** When the parts were rehearsed, and what that found. @throws BackupIncomplete when they were not */
export async function readRehearsed(bucket: Bucket, run: RunRef): Promise<z.output<typeof Rehearsed>> {
  return resultOf(bucket, workKeys(run).rehearsed, Rehearsed, 'the rehearsal')
}

/** The shards of a table must cover every page exactly once, and not be empty where Count found many rows. */
function checkTable({ name, parts, rows }: BackedUpTable, counted: number): void {
  let page = 0
  for (const [index, part] of parts.entries()) {
    if (part.shard !== index || part.pages.from !== page) {
      throw new BackupIncomplete(
        `Part ${index} of ${name} is missing or there twice. Nothing was wiped; start again`,
      )
    }
    page = part.pages.to ?? Number.POSITIVE_INFINITY
  }
  if (page !== Number.POSITIVE_INFINITY) {
    throw new BackupIncomplete(
      `The parts of ${name} end at page ${page}, before the table does. Nothing was wiped; start again`,
    )
  }
  if (rows === 0 && counted >= manyRows) {
    throw new BackupIncomplete(
      `${counted} rows were counted in ${name}, but none were exported. Nothing was wiped; if they were really deleted meanwhile, start again`,
    )
  }
}
