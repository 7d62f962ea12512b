import { setTimeout } from 'node:timers/promises'
import type { Connection } from './connection.ts'

/** What opens connections: the clients, or whatever stands for them. */
export type Opener = { connect: () => Promise<Connection> }

/**
 * Runs `use` with a connection that is ended afterwards, whatever happens.
 * @see docs/decisions.md#connections-are-opened-per-step-and-closed-at-its-end
 */
export async function withConnection<Result>(
  clients: Opener,
  use: (connection: Connection) => Promise<Result>,
): Promise<Result> {
  const { connection, close } = await openConnection(clients)
  try {
    return await use(connection)
  } finally {
    await close()
  }
}

/** The same with `count` connections. */
export async function withConnections<Result>(
  clients: Opener,
  count: number,
  use: (connections: Connection[]) => Promise<Result>,
): Promise<Result> {
  const tried = await Promise.allSettled(Array.from({ length: count }, () => openConnection(clients)))
  const opened = tried.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  try {
    for (const one of tried) if (one.status === 'rejected') throw one.reason
    return await use(opened.map(({ connection }) => connection))
  } finally {
    // One that broke may fail to end; what broke it is thrown above.
    await Promise.allSettled(opened.map(({ close }) => close()))
  }
}

/** Milliseconds. Ending takes a few; a connection that broke may take half a minute to say so, or never does. */
const endPatience = 1_000

/** A connection, and how to end it: waiting for its end, but not for long. */
export async function openConnection(clients: Opener) {
  const connection = await clients.connect()
  const ended = new Promise<void>((resolve) => connection.once('end', resolve))
  async function close(): Promise<void> {
    const patience = new AbortController()
    const patient = setTimeout(endPatience, undefined, { signal: patience.signal }).catch(() => {})
    await Promise.race([ended, connection.end(), patient])
    patience.abort()
  }
  return { connection, close }
}
