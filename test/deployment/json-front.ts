import { createServer, type IncomingHttpHeaders } from 'node:http'
import { close, listen } from '../../local/loopback.ts'

export type JsonCall = { operation: string; body: Record<string, string>; headers: IncomingHttpHeaders }

/** An AWS service that speaks JSON, such as SSM: `answer` gives the status and the body of each call. */
export async function startJsonService(
  answer: (call: JsonCall) => Promise<{ status: number; body: unknown }>,
) {
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk)
    const operation = String(incoming.headers['x-amz-target']).split('.').at(-1) ?? ''
    const body = JSON.parse(Buffer.concat(chunks).toString())
    const { status, body: answered } = await answer({ operation, body, headers: incoming.headers })
    outgoing.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(answered))
  })
  const url = `http://127.0.0.1:${await listen(server)}`
  async function stop(): Promise<void> {
    const closed = close(server)
    server.closeAllConnections()
    await closed
  }
  return { url, stop }
}
