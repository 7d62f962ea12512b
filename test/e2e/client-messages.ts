import { connect, createServer } from 'node:net'
import { postgresTarget } from '../../local/database/socket.ts'
import { startWebSocketProxy } from '../../local/database/websocket-proxy.ts'
import { close, listen } from '../../local/loopback.ts'

/** A message of a client to Postgres: its type, one letter ("d": data of a COPY), and what it says. */
type ClientMessage = { type: string; body: Buffer }

/** A way to the database at `url` that remembers all that is sent to it; `address` is that of its WebSocket proxy. */
export async function recordMessages(url: string) {
  const messages: ClientMessage[] = []
  const target = postgresTarget(url)
  const relay = createServer((incoming) => {
    const outgoing = connect(target.port, target.host)
    const take = reader(messages)
    incoming.on('data', take)
    incoming.on('error', () => outgoing.destroy()).on('close', () => outgoing.destroy())
    outgoing.on('error', () => incoming.destroy()).on('close', () => incoming.destroy())
    incoming.pipe(outgoing).pipe(incoming)
  })
  const port = await listen(relay)
  const proxy = await startWebSocketProxy({ ...target, host: '127.0.0.1', port })
  return {
    address: proxy.address,
    messages,
    stop: async () => {
      await proxy.stop()
      await close(relay)
    },
  }
}

/** Takes messages out of the bytes of one connection; the first has no type. */
function reader(messages: ClientMessage[]): (bytes: Buffer) => void {
  let rest = Buffer.alloc(0)
  let isFirst = true
  return (bytes) => {
    rest = Buffer.concat([rest, bytes])
    for (;;) {
      const head = isFirst ? 0 : 1
      if (rest.length < head + 4) return
      const end = head + rest.readUInt32BE(head)
      if (rest.length < end) return
      const type = isFirst ? 'startup' : String.fromCharCode(rest[0] as number)
      messages.push({ type, body: Buffer.from(rest.subarray(head + 4, end)) })
      rest = rest.subarray(end)
      isFirst = false
    }
  }
}
