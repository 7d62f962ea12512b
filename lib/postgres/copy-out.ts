import type { Connection } from './connection.ts'
import type { CopiedBytes } from './copied-bytes.ts'
import type { PostgresWebSocket } from './web-socket.ts'

/** The driver's own connection, which speaks the protocol. */
type Wire = { stream: { ws: PostgresWebSocket }; query(text: string): void }

/**
 * The fields of a query's rows as the server sends them, in its binary formats: a text as UTF-8. The driver makes a
 * string of each field of a result, and leaves alone what a COPY sends.
 * @param after what runs behind the query, in the same round trip
 * @param copied holds the fields until it is given to the next call
 * @see docs/decisions.md#rows-are-taken-as-bytes
 */
export async function copyRows(
  connection: Connection,
  { query, after = '' }: { query: string; after?: string },
  copied: CopiedBytes,
): Promise<(Buffer | null)[][]> {
  copied.clear()
  await new Promise<void>((resolve, reject) => {
    connection.query({
      submit(wire: Wire) {
        wire.stream.ws.tap = (bytes) => copied.take(bytes)
        wire.query(`COPY (${query}) TO STDOUT (FORMAT binary); ${after}`)
      },
      handleCopyData: ({ chunk }: { chunk: Buffer }) => copied.add(chunk),
      handleError: reject,
      handleReadyForQuery: resolve,
      handleCommandComplete() {},
      handleRowDescription() {},
      handleDataRow() {},
      handleEmptyQuery() {},
    })
  })
  return rowsOf(copied.bytes)
}

/** Of COPY's binary format: behind a signature, flags and a header each row has the number of its fields; -1 ends them. */
function rowsOf(bytes: Buffer): (Buffer | null)[][] {
  const rows: (Buffer | null)[][] = []
  let at = 19 + bytes.readInt32BE(15)
  for (;;) {
    const count = bytes.readInt16BE(at)
    at += 2
    if (count === -1) return rows
    rows.push(Array.from({ length: count }, field))
  }

  /** Each with its length, which is -1 for NULL. */
  function field(): Buffer | null {
    const length = bytes.readInt32BE(at)
    at += 4
    if (length === -1) return null
    at += length
    return bytes.subarray(at - length, at)
  }
}
