import type { ClientRequest, IncomingMessage } from 'node:http'

export type OwnAnswer = { status: number; headers: IncomingMessage['headers']; text: string }

type Waiting = {
  signal: AbortSignal | undefined
  /** Milliseconds in which a connection is made. */
  connectionTimeout: number | undefined
}

/**
 * Sends a request without a body. One that went over a socket that its server had closed meanwhile is sent once more, as
 * HTTP has it: nothing is wrong with the server.
 * @returns undefined when there is no answer
 */
export async function answerTo(
  send: () => ClientRequest,
  { signal, connectionTimeout }: Waiting,
): Promise<OwnAnswer | undefined> {
  const first = await answerOnce(send, { signal, connectionTimeout })
  const last = first === 'closed' ? await answerOnce(send, { signal, connectionTimeout }) : first
  return last === 'closed' ? undefined : last
}

/** `closed`: the socket, which had served before, ended before anything came. */
function answerOnce(
  send: () => ClientRequest,
  { signal, connectionTimeout }: Waiting,
): Promise<OwnAnswer | 'closed' | undefined> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve(undefined)
    const request = send()
    let isStopped = false
    let isAnswered = false
    const stop = () => {
      isStopped = true
      request.destroy()
    }
    const end = (answer?: OwnAnswer | 'closed') => {
      signal?.removeEventListener('abort', stop)
      resolve(answer)
    }
    signal?.addEventListener('abort', stop)
    request.once('timeout', stop)
    limitConnecting(request, connectionTimeout, stop)
    request.on('error', (error) => {
      const isClosed = request.reusedSocket && !isStopped && !isAnswered && closings.has(codeOf(error))
      end(isClosed ? 'closed' : undefined)
    })
    // Also without an error, after an answer that speaks no HTTP any more.
    request.once('close', () => isAnswered || end())
    request.once('response', (response) => {
      isAnswered = true
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', () => end())
      response.once('end', () => {
        const { statusCode: status = 0, headers } = response
        end({ status, headers, text: Buffer.concat(chunks).toString() })
      })
    })
    request.end()
  })
}

const closings = new Set(['ECONNRESET', 'EPIPE'])

const codeOf = ({ code = '' }: NodeJS.ErrnoException): string => code

function limitConnecting(request: ClientRequest, limit: number | undefined, stop: () => void): void {
  if (!limit) return
  request.once('socket', (socket) => {
    if (!socket.connecting) return
    const timer = setTimeout(stop, limit)
    socket.once('connect', () => clearTimeout(timer))
    request.once('close', () => clearTimeout(timer))
  })
}
