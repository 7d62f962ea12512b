import { createServer, type Server } from 'node:net'

/** Every server of the embedded stack listens here and nowhere else: none of them is meant for a network. */
export const LOOPBACK = '127.0.0.1'

/** Starts listening on loopback and gives the port; 0 lets the system choose a free one. */
export function listen(server: Server, port = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, LOOPBACK, () => {
      server.off('error', reject)
      const address = server.address()
      resolve(address !== null && typeof address === 'object' ? address.port : port)
    })
  })
}

/** Resolves when the server no longer listens. Connections still open are the caller's to end. */
export function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}

/** A port that is free now. A child that takes it a moment later may find it taken, so its start is tried again. */
export async function freePort(): Promise<number> {
  const server = createServer()
  const port = await listen(server)
  await close(server)
  return port
}
