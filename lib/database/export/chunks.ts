import { type PartPiece, pagesInRange } from '../../backup/ranges/range.ts'
import { addFingerprints } from '../../backup/sections/fingerprint.ts'
import type { Connection } from '../../postgres/connection.ts'
import { CopiedBytes } from '../../postgres/copied-bytes.ts'
import type { HashedShard } from '../parts/shards.ts'
import { copyRowsOf, linesOf, rowsOf } from '../rows.ts'
import { type FatLine, readFatLines } from './fat-lines.ts'
import { type Pages, pagesOfRanges, piecesOf } from './pages.ts'

/**
 * Reads pages of a shard as JSON Lines in chunks. What one chunk may hold in memory is bounded by these, whatever the rows:
 * lines above `fatLine` are fetched on their own, and a chunk with a piece above its share of `chunkMax` is not taken but
 * read again by halves; a single page, which holds less than 300 rows, is sent in any case. The server puts the lines of
 * a range together, as much as stays in its processor's cache. Compressed values can make lines a hundred times as long
 * as their rows: so few pages also stay below its 1 GB.
 * @see docs/decisions.md#a-chunk-comes-in-pieces-of-a-few-pages
 */
const fatLine = 32 * 1024
const chunkGoal = 2 * 2 ** 20
const chunkMax = 6 * 2 ** 20
const chunkMaxPages = 128
const lineEnd = 0x0a

/**
 * Yields the lines of each range of `stretches`, which are in order, and its end, also that of a range without rows. What is yielded holds until the next is asked for: then the server's next
 * bytes are put in its place.
 * @see docs/decisions.md#a-chunk-has-a-bound-that-holds-for-any-row
 */
export async function* readPages(
  connection: Connection,
  shard: HashedShard,
  stretches: readonly Pages[],
): AsyncGenerator<PartPiece> {
  const ranges = stretches.flatMap((stretch) => pagesOfRanges(stretch))
  let at = { range: 0, page: 0 }
  let pages = pagesInRange
  let [filling, free] = [new CopiedBytes(), new CopiedBytes()]
  const readNext = () => {
    const { pieces, end } = piecesOf(ranges, at, pages)
    if (pieces.length === 0) return undefined
    const read = readChunk(connection, shard, pieces, filling).then((found) => ({ found, pieces, end }))
    ;[filling, free] = [free, filling]
    return read
  }
  const range = new RangeInPieces()
  let next = readNext()
  while (next !== undefined) {
    const { found, pieces, end } = await next
    if (found === null) {
      pages = Math.max(1, Math.floor(pages / 2))
      next = readNext()
      continue
    }
    at = end
    const bytes = found.reduce((sum, { body }) => sum + (body?.length ?? 0), 0)
    if (bytes < chunkGoal / 2) pages = Math.min(chunkMaxPages, pages * 2)
    else if (bytes > chunkGoal) pages = Math.max(1, Math.floor(pages / 2))
    // The server makes the next chunk while this one is compressed and sent.
    const ahead = readNext()
    ahead?.catch(() => {}) // awaited in the next turn; this only keeps an early end from being an unhandled rejection
    for (const [place, piece] of found.entries()) {
      if (piece.body !== null) yield { lines: piece.body }
      for await (const lines of readFatLines(connection, shard, piece.fat)) yield { lines }
      range.add(piece)
      if (pieces[place]?.endsRange) yield { end: range.end() }
    }
    next = ahead
  }
}

/** What is known of a range so far: one of large rows comes in several chunks. */
class RangeInPieces {
  #pieces: { rows: number; fingerprint: string; hashes: Buffer }[] = []

  add({ rows, fingerprint, hashes, fat }: Piece): void {
    const ofFat = Buffer.alloc(8 * fat.length)
    for (const [at, { hash }] of fat.entries()) ofFat.writeBigInt64BE(hash, 8 * at)
    this.#pieces.push({ rows, fingerprint, hashes: Buffer.concat([hashes, ofFat]) })
  }

  end(): { rows: number; fingerprint: string; hashes: Buffer } {
    const pieces = this.#pieces
    this.#pieces = []
    return {
      rows: pieces.reduce((sum, { rows }) => sum + rows, 0),
      fingerprint: addFingerprints(pieces.map(({ fingerprint }) => fingerprint)),
      hashes: Buffer.concat(pieces.map(({ hashes }) => hashes)),
    }
  }
}

/** Of some pages: the lines of up to `fatLine` with their hashes, in one order, and where the longer ones are. */
type Piece = { rows: number; fingerprint: string; body: Buffer | null; hashes: Buffer; fat: FatLine[] }

/** null: there are more bytes than a chunk may have. */
async function readChunk(
  connection: Connection,
  shard: HashedShard,
  pieces: readonly Pages[],
  copied: CopiedBytes,
): Promise<Piece[] | null> {
  const [first] = pieces
  const isOnePage = pieces.length === 1 && first !== undefined && first.to - first.from === 1
  const max = isOnePage ? 2 ** 30 : Math.floor(chunkMax / pieces.length) // a page cannot be halved
  const thin = `pg_catalog.octet_length(line) <= ${fatLine}`
  const within = rowsOf(shard, shard.fingerprints, null, 'r.ctid >= pages.first AND r.ctid < pages.beyond')
  const values = pieces.map(
    ({ from, to }, at) => `(${at}, '(${from},0)'::pg_catalog.tid, '(${to},0)'::pg_catalog.tid)`,
  )
  const query = `
    SELECT at, rows, fingerprint, fat, hashes, pg_catalog.octet_length(body) > ${max}, CASE WHEN pg_catalog.octet_length(body) <= ${max} THEN body END
    FROM (VALUES ${values.join(', ')}) AS pages (at, first, beyond)
    CROSS JOIN LATERAL (
      SELECT pg_catalog.count(*)::pg_catalog.text AS rows, coalesce(pg_catalog.sum(hash), 0)::pg_catalog.text AS fingerprint,
        pg_catalog.string_agg(pg_catalog.format('%s %s %s', pg_catalog.octet_length(line), tid, hash), ';') FILTER (WHERE NOT ${thin}) AS fat,
        pg_catalog.string_agg(pg_catalog.int8send(hash), '') FILTER (WHERE ${thin}) AS hashes,
        pg_catalog.string_agg(line, E'\\n') FILTER (WHERE ${thin}) AS body
      FROM ${linesOf(within, shard.fingerprints)}
    ) AS piece`
  const read = await copyRowsOf(connection, shard, query, copied)
  if (read.some(([, , , , , isTooLarge]) => isTooLarge?.[0] === 1)) return null
  const found: Piece[] = []
  for (const [at, rows, fingerprint, fat, hashes, , body] of read) {
    found[(at as Buffer).readInt32BE()] = {
      rows: Number(rows),
      fingerprint: String(fingerprint),
      body: body ? copied.ended(body, lineEnd) : null,
      hashes: hashes ?? Buffer.alloc(0),
      fat: fat?.toString().split(';').map(fatLineOf) ?? [],
    }
  }
  return found
}

/** `40000 (17,3) -123` */
function fatLineOf(text: string): FatLine {
  const [bytes, tid = '', hash = '0'] = text.split(' ')
  return { tid, bytes: Number(bytes), hash: BigInt(hash) }
}
