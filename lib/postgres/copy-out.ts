import type { Connection } from './connection.ts'
import type { CopiedBytes } from './copied-bytes.ts'
import type { PostgresWebSocket } from './web-socket.ts'

/** The driver's own connection, which speaks the protocol. */
type Wire = { stream: { ws: PostgresWebSocket }; query(text: string): void }

/**
 * The fields of a query's only row as the server sends them, in its binary formats: a text as UTF-8. The driver makes a
 * string of each field of a result, and leaves alone what a COPY sends.
 * @param after what runs behind the query, in the same round trip
 * @param copied holds the fields until it is given to the next call
 * @see docs/decisions.md#rows-are-taken-as-bytes
 */
export async function copyRow(
  connection: Connection,
  { query, after = '' }: { query: string; after?: string },
  copied: CopiedBytes,
): Promise<(Buffer | null)[]> {
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
  return fieldsOf(copied.bytes)
}

/** Of COPY's binary format: behind a signature, flags and a header, each field with its length, which is -1 for NULL. */
function fieldsOf(bytes: Buffer): (Buffer | null)[] {
  let at = 19 + bytes.readInt32BE(15)
  const count = bytes.readInt16BE(at)
  at += 2
  return Array.from({ length: count }, () => {
    const length = bytes.readInt32BE(at)
    at += 4
    if (length === -1) return null
    at += length
    return bytes.subarray(at - length, at)
  })
}
