import { pipeline } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'
import { from as copyFrom } from 'pg-copy-streams'
import type { Connection } from '../../postgres/connection.ts'
import { qualified, quote } from '../../postgres/identifiers.ts'
import type { Rows } from '../rows.ts'

/** Bytes that one COPY sends before it waits: a WebSocket has no back-pressure, so this bounds what is under way. */
const copyBytes = 4 * 2 ** 20
const pieceBytes = 2 ** 20

/**
 * Sends rows by COPY, some megabytes at a time.
 * @param chunks whole rows of these columns each, as COPY's text has them
 * @returns how many rows there were
 */
export async function copyIn(
  connection: Connection,
  table: Rows,
  chunks: AsyncIterable<Buffer>,
): Promise<number> {
  const names = table.columns.map(({ name }) => quote(name)).join(', ')
  const into = `${qualified(table)}${names === '' ? '' : ` (${names})`}`
  let rows = 0
  let pending: Buffer[] = []
  let bytes = 0
  const flush = async () => {
    const pieces = pending
    pending = []
    bytes = 0
    rows += await copyOnce(connection, `COPY ${into} FROM STDIN`, takenOut(pieces))
  }
  for await (const chunk of chunks) {
    pending.push(chunk)
    bytes += chunk.length
    if (bytes >= copyBytes) await flush()
  }
  if (pending.length > 0) await flush()
  return rows
}

/** One COPY … FROM STDIN. @param pieces its data, each asked for when the one before has left @returns how many rows there were */
export async function copyOnce(
  connection: Connection,
  statement: string,
  pieces: Iterable<Buffer>,
): Promise<number> {
  const copy = copyFrom(statement)
  // biome-ignore lint/suspicious/noExplicitAny: the two packages' types of a submittable differ; it runs on both
  const stream = connection.query(copy as any) as unknown as NodeJS.WritableStream
  await pipeline(paced(connection, pieces), stream)
  return copy.rowCount
}

/** None is held once it was given. */
function* takenOut(pieces: Buffer[]): Generator<Buffer> {
  for (let piece = pieces.shift(); piece !== undefined; piece = pieces.shift()) yield piece
}

/** Gives each piece when what was sent before has left: else a row of 20 MB would lie in memory several times. */
async function* paced(connection: Connection, chunks: Iterable<Buffer>): AsyncGenerator<Buffer> {
  const { stream } = (
    connection as unknown as { connection: { stream?: { ws?: { bufferedAmount?: number } } } }
  ).connection
  for (const chunk of chunks) {
    for (let start = 0; start < chunk.length; start += pieceBytes) {
      yield chunk.subarray(start, start + pieceBytes)
      while ((stream?.ws?.bufferedAmount ?? 0) > 2 ** 20) await setTimeout(1)
    }
  }
}
