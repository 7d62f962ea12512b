import { rangesKeyOf } from '../../backup/layout.ts'
import { type PartPiece, pagesInRange, type Range, type RangedPart } from '../../backup/ranges/range.ts'
import { readStored } from '../../backup/ranges/read-frames.ts'
import { readRangesOf } from '../../backup/ranges/sidecar.ts'
import { StoredFrames } from '../../backup/ranges/stored-frames.ts'
import { writeRangedPart } from '../../backup/ranges/write.ts'
import { BackupDamaged, BackupIncomplete, NotFound, NotPermitted } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { type Composition, compose, type LiveRange, type Stretch, type Sum, sumOf } from '../base/decide.ts'
import { loadOf } from '../base/share.ts'
import type { HashedShard } from '../parts/shards.ts'
import type { ExportedPart, Origin } from './batch.ts'
import { readPages } from './chunks.ts'
import { pagesOfRanges } from './pages.ts'
import type { Damage } from './take-over.ts'

type Composing = {
  shard: HashedShard
  /** Of the base; its ranges are on the shard's grid. */
  part: RangedPart
  /** What this snapshot sees in the shard. */
  live: readonly LiveRange[]
  endPage: number
}

/**
 * Writes a shard as a part that has ranges of the base's part as they are stored, and the others exported. The base's part is
 * read whole, and its digest known before the new one is complete: of one that is damaged nothing is left.
 * Memory: the frame of a range, and what an export needs.
 * @returns null when too little of the base's part is the shard's; what is wrong with that part when it cannot be read
 * @see docs/decisions.md#a-part-is-put-together-of-frames
 */
export async function composePart(
  bucket: Bucket,
  connection: Connection,
  composing: Composing,
  keys: (copy: number) => string,
): Promise<Omit<ExportedPart, 'table'> | Damage | null> {
  try {
    const held = await readRangesOf(bucket, composing.part)
    const { shard, part, live, endPage } = composing
    const made = compose(shard, part, { held, live, endPage })
    return made && (await writeComposed(bucket, connection, { ...composing, held, made }, keys))
  } catch (error) {
    const isOfBase =
      error instanceof BackupDamaged || error instanceof NotFound || error instanceof NotPermitted
    if (!isOfBase) throw error // of the database, or of S3, which a repeat may find in order
    return { key: composing.part.key, reason: error.message }
  }
}

type Made = Composing & { held: readonly Range[]; made: Composition }

/** @throws BackupIncomplete when what was put together is not what the snapshot has */
async function writeComposed(
  bucket: Bucket,
  connection: Connection,
  composed: Made,
  keys: (copy: number) => string,
): Promise<Omit<ExportedPart, 'table'>> {
  const { shard, part, live, made } = composed
  const expected = sumOf(live)
  let found: Sum[] = []
  const written = await writeRangedPart(bucket, keys, () => {
    found = []
    return tallied(piecesOf(bucket, connection, composed), found)
  })
  const { rows, fingerprint } = sumOf(found)
  if (written === null || rows !== expected.rows || fingerprint !== expected.fingerprint) {
    throw new BackupIncomplete(
      `Part ${shard.shard} of ${shard.name} was put together with ${rows} rows (fingerprint ${fingerprint}), but its snapshot has ${expected.rows} (${expected.fingerprint}). Nothing was wiped; start again with "takeOver": false`,
    )
  }
  const { longest = 0, provedAt } = part
  return {
    ...{ shard: shard.shard, pages: shard.pages, rows, fingerprint },
    ...written,
    longest: Math.max(written.longest, longest),
    provedAt,
    origin: originOf(made, live, shard.pages.from, provedAt),
  }
}

async function* tallied(pieces: AsyncIterable<PartPiece>, found: Sum[]): AsyncGenerator<PartPiece> {
  for await (const piece of pieces) {
    if ('end' in piece) found.push(piece.end)
    if ('taken' in piece) found.push(piece.range)
    yield piece
  }
}

async function* piecesOf(
  bucket: Bucket,
  connection: Connection,
  { shard, part, held, made }: Made,
): AsyncGenerator<PartPiece> {
  const sidecar = { key: rangesKeyOf(part.key), ...part.ranges }
  const stored = new StoredFrames(held, readStored(bucket, part), readStored(bucket, sidecar))
  const pages = made.stretches.flatMap((stretch) => ('pages' in stretch ? [stretch.pages] : []))
  const fresh = readPages(connection, shard, pages)
  try {
    for (const stretch of made.stretches) {
      if ('taken' in stretch) {
        for (let place = stretch.taken.from; place < stretch.taken.to; place++)
          yield await stored.frame(place)
      } else if ('pages' in stretch) yield* rangesFrom(fresh, pagesOfRanges(stretch.pages).length)
      else for (let range = 0; range < stretch.empty; range++) yield { end: none }
    }
    await stored.end()
  } finally {
    await Promise.all([stored.close(), fresh.return(undefined)])
  }
}

const none = { rows: 0, fingerprint: '0', hashes: Buffer.alloc(0) }

/** The next ranges of what is exported. */
async function* rangesFrom(fresh: AsyncGenerator<PartPiece>, count: number): AsyncGenerator<PartPiece> {
  for (let left = count; left > 0; ) {
    const next = await fresh.next()
    if (next.done) throw new Error('The export of a stretch ended before its last range.')
    if ('end' in next.value) left--
    yield next.value
  }
}

/** What of the part was exported, by the places of its ranges; the rest is the base's. */
function originOf(
  { stretches, rows, bytes }: Composition,
  live: readonly LiveRange[],
  page: number,
  provedAt: string | null | undefined,
): Origin {
  const fresh: [number, number][] = []
  let place = 0
  for (const stretch of stretches) {
    const to = place + rangesIn(stretch)
    if ('pages' in stretch) fresh.push([place, to])
    place = to
  }
  const first = Math.floor(page / pagesInRange)
  const isFresh = ({ range }: LiveRange) =>
    fresh.some(([from, to]) => from <= range - first && range - first < to)
  const load = loadOf('composed', provedAt)
  return {
    kind: 'composed',
    load,
    fresh,
    freshFingerprint: sumOf(live.filter(isFresh)).fingerprint,
    rows,
    bytes,
  }
}

function rangesIn(stretch: Stretch): number {
  if ('taken' in stretch) return stretch.taken.to - stretch.taken.from
  return 'pages' in stretch ? pagesOfRanges(stretch.pages).length : stretch.empty
}
