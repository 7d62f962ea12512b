import { agreeing, counted } from '../../amounts.ts'
import type { Warning } from '../../backup/manifest.ts'
import { BaseDamaged, copyPart, isCopyable } from '../../backup/ranges/copy.ts'
import { isRanged, type RangedPart } from '../../backup/ranges/range.ts'
import type { TablePart } from '../../backup/sections/database.ts'
import type { FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import type { Connection } from '../../postgres/connection.ts'
import { shareOut } from '../../postgres/share-out.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { decide, type LiveRange } from '../base/decide.ts'
import { loadOf } from '../base/share.ts'
import { bytesOf, type Shard } from '../parts/shards.ts'
import { readRanges, type TableRanges } from '../ranges.ts'
import type { BaseTable, DatabaseBatch, ExportedPart, Origin } from './batch.ts'

/** A part of the base that becomes one of this backup as it is. */
export type ToCopy = {
  table: string
  shard: number
  part: TablePart
  /** What is exported when it cannot be copied: its shard, or, when rows only lie elsewhere, all of the table. */
  otherwise: readonly Shard[]
}

/** What is exported; `from`: some of its ranges may be those of this part of the base. */
export type ToExport = { shard: Shard; from: RangedPart | null; live: readonly LiveRange[] }

export type BatchDecision = { copies: ToCopy[]; exports: ToExport[] }

/** Tables of fewer bytes are read together. */
const small = 32 * 2 ** 20

/**
 * Decides for each shard of a batch, by what the snapshot sees: large tables one after the other, so that what is the base's can be copied
 * while the others are read.
 * @param connections as readRanges takes them, and `signal`
 */
export async function* decideBatch(
  connections: readonly Connection[],
  { shards, base }: Pick<DatabaseBatch, 'shards' | 'base'>,
  format: FingerprintFormat,
  signal?: AbortSignal,
): AsyncGenerator<BatchDecision> {
  const known = new Set(base.map(({ name }) => name))
  const others = shards.filter(({ name }) => !known.has(name))
  yield { copies: [], exports: others.map((shard) => ({ shard, from: null, live: [] })) }
  const ofTable = Map.groupBy(shards, ({ name }) => name)
  const tables = base.map((held) => ({ held, shards: ofTable.get(held.name) ?? [] }))
  for (const together of inTurn(tables)) {
    const asked = together.flatMap(({ shards }) => shards.map((shard) => ({ of: shard, pages: shard.pages })))
    const found = await readRanges(connections, asked, format, signal)
    for (const { held, shards } of together) yield decideTable(held, shards, found.splice(0, shards.length))
  }
}

/** The second largest first: by what is known of that there is enough to do until the largest has been read. */
function inTurn<Table extends { shards: readonly Shard[] }>(tables: readonly Table[]): Table[][] {
  const bySize = tables.map((table) => ({ table, bytes: bytesOf(table.shards) }))
  const large = bySize.filter(({ bytes }) => bytes >= small).sort((one, other) => other.bytes - one.bytes)
  if (large.length > 1) large.splice(0, 2, ...large.slice(0, 2).reverse())
  const others = bySize.filter(({ bytes }) => bytes < small)
  return [...large.map(({ table }) => [table]), others.map(({ table }) => table)].filter(
    (some) => some.length > 0,
  )
}

function decideTable(base: BaseTable, shards: readonly Shard[], live: readonly TableRanges[]): BatchDecision {
  const isWhole = base.isWhole && base.parts.every(isTakeable)
  const decision = decide(shards, { ...base, isWhole }, live)
  const table = base.name
  if (decision.kind === 'table') {
    const copies = decision.parts.map((part) => ({ table, shard: part.shard, part, otherwise: shards }))
    return { copies, exports: [] }
  }
  const copies: ToCopy[] = []
  const exports: ToExport[] = []
  for (const [at, one] of decision.shards.entries()) {
    const { shard } = one
    if (one.kind === 'copy' && isTakeable(one.part))
      copies.push({ table, shard: shard.shard, part: one.part, otherwise: [shard] })
    else {
      const from = one.kind === 'compose' && isRanged(one.part) ? one.part : null
      exports.push({ shard, from, live: live[at] ?? [] })
    }
  }
  return { copies, exports }
}

/** As it is; one that S3 does not copy at once is exported. */
function isTakeable(part: TablePart): boolean {
  return !isRanged(part) || isCopyable(part)
}

/** Copies that are made at once: S3 copies, and we only read back. */
const lanes = [1, 2, 3, 4, 5, 6]

/** Why a part of the base could not be taken over. */
export type Damage = { key: string; reason: string }

/**
 * Copies parts of the base as they are decided, and reads them back.
 * @returns the parts, and the shards that have to be exported because the base is damaged
 */
export async function copyParts(
  bucket: Bucket,
  copies: AsyncIterator<ToCopy>,
  keys: (table: string, shard: number, copy: number) => string,
  progress: () => Promise<void>,
): Promise<{ parts: ExportedPart[]; again: Shard[]; damages: Damage[] }> {
  const made: { of: ToCopy; part: ExportedPart }[] = []
  const again = new Set<Shard>()
  const damages: Damage[] = []
  await shareOut(lanes, copies, async (_, of) => {
    const copied = await copyOf(bucket, of, (copy) => keys(of.table, of.shard, copy))
    if ('reason' in copied) {
      damages.push(copied)
      for (const shard of of.otherwise) again.add(shard)
    } else made.push({ of, part: copied })
    await progress()
  })
  const kept = made.filter(({ of }) => !of.otherwise.some((shard) => again.has(shard)))
  return { parts: kept.map(({ part }) => part), again: [...again], damages }
}

async function copyOf(
  bucket: Bucket,
  { table, shard, part }: ToCopy,
  keys: (copy: number) => string,
): Promise<ExportedPart | Damage> {
  const origin: Origin = {
    ...{ kind: 'copied', fresh: [], freshFingerprint: '0', rows: part.rows, bytes: part.bytes },
    load: loadOf('copied', part.provedAt),
  }
  if (!isRanged(part)) return { ...part, table, shard, origin } // without rows, so without an object
  try {
    return { ...part, table, shard, ...(await copyPart(bucket, part, keys)), origin }
  } catch (error) {
    if (!(error instanceof BaseDamaged)) throw error
    return { key: part.key, reason: error.message }
  }
}

/** What is told of a base that is damaged, when all has been exported that should have been taken over. */
export function warnOfDamages(bucket: Bucket, backupId: string, damages: readonly Damage[]): Warning[] {
  const [first] = damages
  if (first === undefined) return []
  const message = `${counted(damages.length, 'part')} of the backup ${backupId} could not be taken over, and ${agreeing(damages.length, 'its', 'their')} rows were exported: s3://${bucket.name}/${first.key}: ${first.reason}. Verify that backup, and do not count on it`
  return [{ code: 'BaseDamaged', message }]
}
