import { createServer } from 'node:http'
import { close, listen } from '../../local/loopback.ts'

export type RestAnswer = { status: number; body: string }

/** A fault: looks at a request's commands, and may answer it, change the answer, or do something else meanwhile. */
export type RestFault = (
  commands: string[][],
  forward: () => Promise<RestAnswer>,
) => Promise<RestAnswer | 'drop' | undefined> | RestAnswer | 'drop' | undefined

/** A server in front of the REST API that puts in the faults of a network or a server. */
export async function startRestFront(upstream: string) {
  const front = {
    url: '',
    faults: [] as RestFault[],
    /** The commands of each request that arrived. */
    seen: [] as string[][][],
    stop: async () => {
      const closed = close(server)
      server.closeAllConnections()
      await closed
    },
  }
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    const parsed = JSON.parse(body.toString())
    const commands: string[][] = Array.isArray(parsed[0]) ? parsed : [parsed]
    front.seen.push(commands)
    /** The commands as a fault may have changed them. */
    async function forward(): Promise<RestAnswer> {
      const headers = { ...incoming.headers } as Record<string, string>
      for (const name of ['host', 'connection', 'content-length', 'transfer-encoding']) delete headers[name]
      const answer = await fetch(`${upstream}${incoming.url}`, {
        method: 'POST',
        headers,
        body: JSON.stringify(parsed),
      })
      return { status: answer.status, body: await answer.text() }
    }
    let answer: RestAnswer | 'drop' | undefined
    for (const fault of front.faults) {
      answer = await fault(commands, forward)
      if (answer !== undefined) break
    }
    answer ??= await forward()
    if (answer === 'drop') return void incoming.socket.destroy()
    outgoing.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body)
  })
  front.url = `http://127.0.0.1:${await listen(server)}`
  return front
}

/** Lists are of a type that no backup holds: for whoever asks, and inside scripts. */
export const listsAsJson: RestFault = async (commands, forward) => {
  const asked = "redis.call('TYPE', key)"
  const told = `(${asked}.ok == 'list' and 'ReJSON-RL' or ${asked})`
  for (const command of commands)
    if (command[0] === 'EVAL') command[1] = command[1]?.replaceAll(asked, told) ?? ''
  const answer = await forward()
  if (!commands.some(([name]) => name === 'TYPE')) return answer
  const [list = '', json = ''] = ['list', 'ReJSON-RL'].map((type) => Buffer.from(type).toString('base64'))
  return { ...answer, body: answer.body.replaceAll(list, json) }
}

/** A server of before Redis 7: it knows PTTL, and no PEXPIRETIME, neither when asked nor in scripts. */
export const withoutExpiryTime: RestFault = (commands) => {
  for (const command of commands)
    for (const [at, text] of command.entries()) command[at] = text.replaceAll('PEXPIRETIME', 'NOSUCHCOMMAND')
  return undefined
}

/** A server of which the clock says that so many seconds more have passed, so that nobody has to wait for them. */
export const laterBy =
  (seconds: number): RestFault =>
  async (commands, forward) => {
    if (commands[0]?.[0] !== 'TIME') return undefined
    const answer = await forward()
    const body = JSON.parse(answer.body)
    const now = Number(Buffer.from(body[0].result[0], 'base64').toString())
    body[0].result[0] = Buffer.from(String(now + seconds)).toString('base64')
    return { ...answer, body: JSON.stringify(body) }
  }

/** Whether a request runs the script by which strings are read. */
export const readsStrings = ([first]: string[][]): boolean =>
  first?.[0] === 'EVAL' && (first[1]?.startsWith('local exact') ?? false)

/** A server that does not run that script, so that all keys are looked at one by one. */
export const withoutStrings: RestFault = (commands) =>
  readsStrings(commands)
    ? { status: 200, body: JSON.stringify([{ error: 'ERR unknown command' }]) }
    : undefined
