import { setTimeout } from 'node:timers/promises'
import type { Connection } from './connection.ts'

/** The driver's own connection, which speaks the protocol. */
type Wire = { stream: { write(bytes: Buffer): void; ws: { bufferedAmount: number; readyState: number } } }

/** Bytes that may wait for the network: a WebSocket has no back-pressure, and a row of 20 MB would lie in memory twice. */
const waiting = 2 ** 20

/**
 * Executes one statement whose only parameter, $1, are bytes of JSON, as they are: the driver would make copies of them.
 * @param pieces of the parameter
 * @returns how many rows it was about
 */
export function executeWithBytes(
  connection: Connection,
  text: string,
  pieces: readonly Buffer[],
): Promise<number> {
  return new Promise((resolve, reject) => {
    let rows = 0
    connection.query({
      submit(wire: Wire) {
        send(wire, text, pieces).catch(reject)
      },
      handleCommandComplete({ text: tag }: { text: string }) {
        rows = Number(tag.split(' ').at(-1))
      },
      handleError: reject,
      handleReadyForQuery: () => resolve(rows),
      handleRowDescription() {},
      handleDataRow() {},
      handleEmptyQuery() {},
    })
  })
}

/** To its end also when the statement is refused meanwhile: the server takes no other before it has read all of this one. */
async function send({ stream }: Wire, text: string, pieces: readonly Buffer[]): Promise<void> {
  const { ws } = stream
  stream.write(Buffer.concat([parse(text), bindHead(pieces)]))
  for (const piece of pieces) {
    stream.write(piece)
    while (ws.bufferedAmount > waiting && ws.readyState === isOpen) await setTimeout(1)
    if (ws.readyState !== isOpen) return // the driver tells it
  }
  stream.write(Buffer.concat([noResultFormats, execute, sync]))
}

const isOpen = 1
const typeJson = 114

function parse(text: string): Buffer {
  return message('P', Buffer.from(`\0${text}\0`), int16(1), int32(typeJson))
}

/** Of a Bind all that comes before the parameter's bytes; its length counts those, too, and what comes behind them. */
function bindHead(pieces: readonly Buffer[]): Buffer {
  const bytes = pieces.reduce((sum, { length }) => sum + length, 0)
  const [portalAndStatement, binary] = [Buffer.from('\0\0'), 1]
  const fields = [portalAndStatement, int16(1), int16(binary), int16(1), int32(bytes)]
  return message('B', ...fields, { length: bytes + noResultFormats.length })
}

const noResultFormats = int16(0)
const execute = message('E', Buffer.from('\0'), int32(0))
const sync = message('S')

/** What has a length alone is counted, and comes by itself. */
function message(type: string, ...fields: (Buffer | { length: number })[]): Buffer {
  const length = fields.reduce((sum, field) => sum + field.length, 4)
  return Buffer.concat([
    Buffer.from(type),
    int32(length),
    ...fields.filter((field) => Buffer.isBuffer(field)),
  ])
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
