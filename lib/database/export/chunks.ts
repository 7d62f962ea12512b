import { addFingerprints } from '../../backup/sections/fingerprint.ts'
import type { Connection } from '../../postgres/connection.ts'
import { literal } from '../../postgres/identifiers.ts'
import { ownSearchPath } from '../../postgres/search-path.ts'
import type { HashedShard, Shard } from '../parts/shards.ts'
import { linesOf, type PageRange, queryRows, rowsOf } from '../rows.ts'

/**
 * Reads a shard as JSON Lines in chunks. What one chunk may hold in memory is bounded by these, whatever the rows:
 * lines above `fatLine` are fetched on their own, and a chunk above `chunkMax` is not sent but read again by halves;
 * a single page, which holds less than 300 rows, is sent in any case. Compressed values can make lines a
 * hundred times as long as their rows: `chunkMaxPages` also keeps what the server puts together below its 1 GB.
 */
const fatLine = 32 * 1024
const chunkGoal = 2 * 2 ** 20
const chunkMax = 6 * 2 ** 20
const chunkMaxPages = 48
/** Bytes of a very long line that one message carries. */
const slice = 2 ** 20

export type Tally = { rows: number; fingerprint: string }

/**
 * Yields the lines of `shard`, each with its line end; `tally` is complete when it ends.
 * @see docs/decisions.md#a-chunk-has-a-bound-that-holds-for-any-row
 */
export async function* readShard(
  connection: Connection,
  shard: HashedShard,
  endPage: number,
  tally: Tally,
): AsyncGenerator<Buffer> {
  let page = shard.pages.from
  let pages = 16
  let next =
    page < endPage
      ? readChunk(connection, shard, { from: page, to: Math.min(page + pages, endPage) })
      : undefined
  while (next !== undefined) {
    const chunk = await next
    if (chunk.body === null) {
      pages = Math.max(1, Math.floor(pages / 2))
      next = readChunk(connection, shard, { from: page, to: Math.min(page + pages, endPage) })
      continue
    }
    page = chunk.to
    if (chunk.bytes < chunkGoal / 2) pages = Math.min(chunkMaxPages, pages * 2)
    else if (chunk.bytes > chunkGoal) pages = Math.max(1, Math.floor(pages / 2))
    const more = page < endPage
    // The server makes the next chunk while this one is compressed and sent.
    const ahead = more
      ? readChunk(connection, shard, { from: page, to: Math.min(page + pages, endPage) })
      : undefined
    ahead?.catch(() => {}) // awaited in the next turn; this only keeps an early end from being an unhandled rejection
    tally.rows += chunk.rows
    tally.fingerprint = addFingerprints([tally.fingerprint, chunk.fingerprint])
    if (chunk.body !== '') yield Buffer.from(chunk.body)
    if (chunk.fat.length > 0) yield* readFatLines(connection, shard, chunk.fat)
    next = ahead
  }
}

type Chunk = Tally & { to: number; bytes: number; body: string | null; fat: { tid: string; bytes: number }[] }

async function readChunk(
  connection: Connection,
  shard: HashedShard,
  range: { from: number; to: number },
): Promise<Chunk> {
  const thin = `octet_length(line) <= ${fatLine}`
  const max = range.to - range.from === 1 ? Number.MAX_SAFE_INTEGER : chunkMax // a page cannot be halved
  const text = `
    SELECT count(*)::int AS rows, coalesce(sum(hash), 0)::text AS fingerprint,
      coalesce(sum(octet_length(line)) FILTER (WHERE ${thin}), 0)::float8 AS bytes,
      CASE WHEN coalesce(sum(octet_length(line)) FILTER (WHERE ${thin}), 0) <= ${max}
        THEN coalesce(string_agg(line, E'\\n') FILTER (WHERE ${thin}) || E'\\n', '') END AS body,
      coalesce(json_agg(json_build_object('tid', tid, 'bytes', octet_length(line))) FILTER (WHERE NOT ${thin}), '[]') AS fat
    FROM ${linesOf(rowsOf(shard, range satisfies PageRange), shard.fingerprints)}`
  const [chunk] = await queryRows(connection, [shard], text)
  return { ...chunk, to: range.to }
}

/** Long lines: several at once while they fit a chunk; one that does not fit alone comes in slices through a cursor. */
async function* readFatLines(
  connection: Connection,
  shard: Shard,
  fat: readonly { tid: string; bytes: number }[],
): AsyncGenerator<Buffer> {
  let group: string[] = []
  let bytes = 0
  for (const line of fat) {
    if (line.bytes > chunkGoal) {
      yield* readSliced(connection, shard, line.tid)
      continue
    }
    if (bytes + line.bytes > chunkGoal && group.length > 0) {
      yield await readTogether(connection, shard, group)
      group = []
      bytes = 0
    }
    group.push(line.tid)
    bytes += line.bytes
  }
  if (group.length > 0) yield await readTogether(connection, shard, group)
}

async function readTogether(connection: Connection, shard: Shard, tids: readonly string[]): Promise<Buffer> {
  const lines = linesOf(rowsOf(shard, null, `r.ctid = ANY(${literal(`{"${tids.join('","')}"}`)}::tid[])`))
  const [together] = await queryRows(
    connection,
    [shard],
    `SELECT string_agg(line, E'\\n') AS body FROM ${lines}`,
  )
  return Buffer.from(`${together?.body}\n`)
}

async function* readSliced(connection: Connection, shard: Shard, tid: string): AsyncGenerator<Buffer> {
  const lines = linesOf(rowsOf(shard, null, `r.ctid = ${literal(tid)}::tid`))
  // Sliced as bytes: to find the n-th character Postgres would count from the first one, for every slice. The inner
  // OFFSET 0 keeps the line from being made again for every slice.
  await connection.query(`DECLARE fat NO SCROLL CURSOR FOR
    SELECT encode(substr(bytes, piece * ${slice} + 1, ${slice}), 'base64') AS piece
    FROM (SELECT convert_to(line, 'UTF8') AS bytes FROM ${lines} OFFSET 0) AS whole,
      generate_series(0, (length(bytes) - 1) / ${slice}) AS piece`)
  for (;;) {
    const answer = await connection.query('FETCH 1 FROM fat')
    if (answer.rows.length === 0) break
    yield Buffer.from(answer.rows[0].piece, 'base64')
  }
  await connection.query(`CLOSE fat; ${ownSearchPath}`)
  yield Buffer.from('\n')
}
