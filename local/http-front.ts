import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda'
import { messageOf } from '../lib/errors.ts'
import { close, LOOPBACK, listen } from './loopback.ts'

export type HttpHandler = (event: APIGatewayProxyEventV2) => Promise<APIGatewayProxyStructuredResultV2>

/** What API Gateway lets through. */
const maxBodyBytes = 10 * 2 ** 20

/**
 * API Gateway's HTTP API on loopback: each request becomes an event of payload format 2.0 for the handler of
 * functions/api.ts. There is no time limit and no throttling.
 * @param port 0: a free one
 */
export async function startHttpFront(
  handler: HttpHandler,
  port = 0,
): Promise<{ url: string; stop: () => Promise<void> }> {
  const server = createServer((request, response) => {
    void serve(handler, request, response)
  })
  const url = `http://${LOOPBACK}:${await listen(server, port)}`
  async function stop(): Promise<void> {
    const closed = close(server)
    server.closeAllConnections()
    await closed
  }
  return { url, stop }
}

async function serve(
  handler: HttpHandler,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const body = await read(request)
    if (body === 'too large') {
      end(response, { statusCode: 413, body: '{"message":"Request Too Long"}' })
      return
    }
    end(response, await handler(eventOf(request, body)))
  } catch (error) {
    // As for a function that failed: the caller learns nothing, the log all.
    process.stderr.write(`${request.method} ${request.url}: ${messageOf(error)}\n`)
    end(response, { statusCode: 500, body: '{"message":"Internal Server Error"}' })
  }
}

async function read(request: IncomingMessage): Promise<Buffer | 'too large'> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes <= maxBodyBytes) chunks.push(chunk)
  }
  return bytes > maxBodyBytes ? 'too large' : Buffer.concat(chunks)
}

function eventOf(request: IncomingMessage, body: Buffer): APIGatewayProxyEventV2 {
  const { method = 'GET', url = '/' } = request
  const [rawPath = '/', rawQueryString = ''] = url.split(/\?(.*)/s)
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, [value].flat().join(',')]),
  )
  const isText = /^(text\/|application\/([\w.-]+\+)?json)/i.test(headers['content-type'] ?? 'text/')
  const now = new Date()
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath,
    rawQueryString,
    headers,
    requestContext: {
      accountId: '000000000000',
      apiId: 'local',
      domainName: headers.host ?? LOOPBACK,
      domainPrefix: 'local',
      http: {
        method,
        path: rawPath,
        protocol: `HTTP/${request.httpVersion}`,
        sourceIp: request.socket.remoteAddress ?? LOOPBACK,
        userAgent: headers['user-agent'] ?? '',
      },
      requestId: randomUUID(),
      routeKey: '$default',
      stage: '$default',
      time: now.toISOString(),
      timeEpoch: now.getTime(),
    },
    ...(body.length > 0 && { body: body.toString(isText ? 'utf8' : 'base64') }),
    isBase64Encoded: body.length > 0 && !isText,
  }
}

function end(response: ServerResponse, answer: APIGatewayProxyStructuredResultV2): void {
  const { statusCode = 200, headers = {}, body = '', isBase64Encoded = false } = answer
  const fields = Object.entries(headers).map(([name, value]) => [name, String(value)] as const)
  response.writeHead(statusCode, Object.fromEntries(fields))
  response.end(Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8'))
}
