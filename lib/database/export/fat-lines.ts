import type { Connection } from '../../postgres/connection.ts'
import { CopiedBytes } from '../../postgres/copied-bytes.ts'
import { literal } from '../../postgres/identifiers.ts'
import { ownSearchPath } from '../../postgres/search-path.ts'
import type { HashedShard } from '../parts/shards.ts'
import { copyRowsOf, linesOf, rowsOf } from '../rows.ts'

/** A line that is not read with others of its pages: where its row is, its bytes and its hash. */
export type FatLine = { tid: string; bytes: number; hash: bigint }

/** What is read at once, unless it is one line. */
const groupMax = 2 * 2 ** 20
/** Bytes of a very long line that one message carries. */
const slice = 2 ** 20

/** Long lines, in their order: several at once while they fit; one that does not fit alone comes in slices through a cursor. */
export async function* readFatLines(
  connection: Connection,
  shard: HashedShard,
  fat: readonly FatLine[],
): AsyncGenerator<Buffer> {
  let group: string[] = []
  let bytes = 0
  for (const line of fat) {
    const isAlone = line.bytes > groupMax
    if ((isAlone || bytes + line.bytes > groupMax) && group.length > 0) {
      yield await readTogether(connection, shard, group)
      group = []
      bytes = 0
    }
    if (isAlone) {
      yield* readSliced(connection, shard, line.tid)
      continue
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
  const asked = `${literal(`{"${tids.join('","')}"}`)}::pg_catalog.tid[]`
  const lines = linesOf(rowsOf(shard, shard.fingerprints, null, `r.ctid = ANY(${asked})`))
  const query = `SELECT pg_catalog.string_agg(line, E'\\n' ORDER BY pg_catalog.array_position(${asked}, tid)) || E'\\n' FROM ${lines}`
  const [[body] = []] = await copyRowsOf(connection, shard, query, new CopiedBytes())
  if (!body)
    throw new Error(`The rows ${tids.join(' ')} of ${shard.name} are not there in their own snapshot.`)
  return body
}

async function* readSliced(connection: Connection, shard: HashedShard, tid: string): AsyncGenerator<Buffer> {
  const lines = linesOf(rowsOf(shard, shard.fingerprints, null, `r.ctid = ${literal(tid)}::pg_catalog.tid`))
  // Sliced as bytes: to find the n-th character Postgres would count from the first one, for every slice. The inner
  // OFFSET 0 keeps the line from being made again for every slice.
  await connection.query(`DECLARE fat NO SCROLL CURSOR FOR
    SELECT pg_catalog.encode(pg_catalog.substr(bytes, piece * ${slice} + 1, ${slice}), 'base64') AS piece
    FROM (SELECT pg_catalog.convert_to(line, 'UTF8') AS bytes FROM ${lines} OFFSET 0) AS whole,
      pg_catalog.generate_series(0, (pg_catalog.length(bytes) - 1) / ${slice}) AS piece`)
  for (;;) {
    const answer = await connection.query('FETCH 1 FROM fat')
    if (answer.rows.length === 0) break
    yield Buffer.from(answer.rows[0].piece, 'base64')
  }
  await connection.query(`CLOSE fat; ${ownSearchPath}`)
  yield Buffer.from('\n')
}
