import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, isIP, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'

export type PostgresTarget = { host: string; port: number; tls: ConnectionOptions | undefined }

const CONNECT_TIMEOUT_MS = 15_000
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])

/** Where a database URL points to, and whether its `sslmode` asks for TLS on the way. */
export function postgresTarget(databaseUrl: string): PostgresTarget {
  const url = new URL(databaseUrl)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return { host, port: Number(url.port || 5432), tls: tlsOptions(url.searchParams, host) }
}

/** As libpq reads it: `require` encrypts without a look at the certificate, `verify-ca` and `verify-full` check it. */
function tlsOptions(parameters: URLSearchParams, host: string): ConnectionOptions | undefined {
  const mode = parameters.get('sslmode')
  if (mode !== 'require' && mode !== 'verify-ca' && mode !== 'verify-full') return undefined
  const rootCertificate = parameters.get('sslrootcert')
  return {
    rejectUnauthorized: mode !== 'require',
    ...(isIP(host) ? {} : { servername: host }),
    ...(mode === 'verify-ca' ? { checkServerIdentity: () => undefined } : {}),
    ...(rootCertificate && rootCertificate !== 'system' ? { ca: readFileSync(rootCertificate) } : {}),
  }
}

/** Opens the connection, with PostgreSQL's own way into TLS when it is asked for. */
export async function connectPostgres(target: PostgresTarget): Promise<Socket> {
  const socket = connect({ host: target.host, port: target.port, noDelay: true })
  const limit = { signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS) }
  try {
    await once(socket, 'connect', limit)
    if (!target.tls) return socket
    socket.write(SSL_REQUEST)
    const [answer] = (await once(socket, 'data', limit)) as [Buffer]
    if (answer.toString('latin1') !== 'S')
      throw new Error('The database offers no TLS, but its URL asks for it.')
    const encrypted = connectTls({ ...target.tls, host: target.host, socket })
    await once(encrypted, 'secureConnect', limit)
    return encrypted
  } catch (error) {
    socket.destroy()
    throw error
  }
}
