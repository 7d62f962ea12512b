import { addFingerprints } from '../../backup/sections/fingerprint.ts'
import type { Connection } from '../../postgres/connection.ts'
import { CopiedBytes } from '../../postgres/copied-bytes.ts'
import { literal } from '../../postgres/identifiers.ts'
import { ownSearchPath } from '../../postgres/search-path.ts'
import type { HashedShard } from '../parts/shards.ts'
import { copyRowOf, linesOf, rowsOf } from '../rows.ts'

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
 * Yields the lines of `shard`, each with its line end; `tally` is complete when it ends. What is yielded holds until the next
 * is asked for: then the server's next bytes are put in its place.
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
  let [filling, free] = [new CopiedBytes(), new CopiedBytes()]
  const readNext = () => {
    if (page >= endPage) return undefined
    const read = readChunk(connection, shard, { from: page, to: Math.min(page + pages, endPage) }, filling)
    ;[filling, free] = [free, filling]
    return read
  }
  let next = readNext()
  while (next !== undefined) {
    const chunk = await next
    if (chunk.body === null) {
      pages = Math.max(1, Math.floor(pages / 2))
      next = readNext()
      continue
    }
    page = chunk.to
    if (chunk.body.length < chunkGoal / 2) pages = Math.min(chunkMaxPages, pages * 2)
    else if (chunk.body.length > chunkGoal) pages = Math.max(1, Math.floor(pages / 2))
    // The server makes the next chunk while this one is compressed and sent.
    const ahead = readNext()
    ahead?.catch(() => {}) // awaited in the next turn; this only keeps an early end from being an unhandled rejection
    tally.rows += chunk.rows
    tally.fingerprint = addFingerprints([tally.fingerprint, chunk.fingerprint])
    if (chunk.body.length > 0) yield chunk.body
    if (chunk.fat.length > 0) yield* readFatLines(connection, shard, chunk.fat)
    next = ahead
  }
}

/** Lines of up to `fatLine`, unless they are more than a chunk may have (null), and where the longer ones are. */
type Chunk = Tally & { to: number; body: Buffer | null; fat: { tid: string; bytes: number }[] }

async function readChunk(
  connection: Connection,
  shard: HashedShard,
  range: { from: number; to: number },
  copied: CopiedBytes,
): Promise<Chunk> {
  const thin = `octet_length(line) <= ${fatLine}`
  const max = range.to - range.from === 1 ? 2 ** 30 : chunkMax // a page cannot be halved
  const query = `
    SELECT rows::text, fingerprint, fat, octet_length(body) > ${max}, CASE WHEN octet_length(body) <= ${max} THEN body || E'\\n' END
    FROM (
      SELECT count(*) AS rows, coalesce(sum(hash), 0)::text AS fingerprint,
        string_agg(pg_catalog.format('%s %s', octet_length(line), tid), ';') FILTER (WHERE NOT ${thin}) AS fat,
        string_agg(line, E'\\n') FILTER (WHERE ${thin}) AS body
      FROM ${linesOf(rowsOf(shard, shard.fingerprints, range), shard.fingerprints)}
    ) AS chunk`
  const [rows, fingerprint, fat, isTooLarge, body] = await copyRowOf(connection, shard, query, copied)
  return {
    rows: Number(rows),
    fingerprint: String(fingerprint),
    to: range.to,
    body: isTooLarge?.[0] === 1 ? null : (body ?? Buffer.alloc(0)),
    fat: fat?.toString().split(';').map(fatLineOf) ?? [],
  }
}

/** `40000 (17,3)` */
function fatLineOf(text: string): Chunk['fat'][number] {
  const [bytes, tid = ''] = text.split(' ')
  return { tid, bytes: Number(bytes) }
}

/** Long lines: several at once while they fit a chunk; one that does not fit alone comes in slices through a cursor. */
async function* readFatLines(
  connection: Connection,
  shard: HashedShard,
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

async function readTogether(
  connection: Connection,
  shard: HashedShard,
  tids: readonly string[],
): Promise<Buffer> {
  const lines = linesOf(
    rowsOf(shard, shard.fingerprints, null, `r.ctid = ANY(${literal(`{"${tids.join('","')}"}`)}::tid[])`),
  )
  const query = `SELECT string_agg(line, E'\\n') || E'\\n' FROM ${lines}`
  const [body] = await copyRowOf(connection, shard, query, new CopiedBytes())
  if (!body)
    throw new Error(`The rows ${tids.join(' ')} of ${shard.name} are not there in their own snapshot.`)
  return body
}

async function* readSliced(connection: Connection, shard: HashedShard, tid: string): AsyncGenerator<Buffer> {
  const lines = linesOf(rowsOf(shard, shard.fingerprints, null, `r.ctid = ${literal(tid)}::tid`))
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
