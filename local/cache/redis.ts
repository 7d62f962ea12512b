import { randomBytes } from 'node:crypto'
import { basename } from 'node:path'
import { Redis } from 'ioredis'
import RedisMock from 'ioredis-mock'
import { freePort, LOOPBACK } from '../loopback.ts'
import { findProgram } from '../packages/programs.ts'
import type { Guarded } from '../processes/child-processes.ts'

export type RedisStore = {
  description: string
  /** The program and its version. */
  version: string
  /** True for ioredis-mock, which lives in this process and knows fewer commands. */
  mock: boolean
  /** A client of its own, to be ended by who asked for it. */
  connect(): Redis
}

const START_ATTEMPTS = 3

/** What a person can do to have a real server. */
export function howToInstall(platform: NodeJS.Platform = process.platform): string {
  const how = {
    darwin: 'Install one with: brew install redis',
    linux: 'Install redis or valkey with the package manager, for example: sudo apt-get install redis-server',
  }
  return (
    how[platform as keyof typeof how] ?? 'Install redis-server or valkey-server so that it is on the PATH.'
  )
}

/** The servers that will do, best known first. Both speak the same protocol. */
export const servers = ['redis-server', 'valkey-server'] as const

type Where = { PATH?: string | undefined; REDIS_SERVER?: string | undefined }

/** The first server on the path; undefined: there is none, or `REDIS_SERVER=none` asks for the imitation. */
export function findServer({ PATH = '', REDIS_SERVER }: Where = process.env): string | undefined {
  return REDIS_SERVER === 'none' ? undefined : findProgram(servers, PATH)
}

/** Starts it, and falls back to ioredis-mock. It ends with `guarded`. */
export async function startRedis(guarded: Guarded, where?: Where): Promise<RedisStore> {
  const program = findServer(where)
  return program ? await startServer(guarded, program) : startMock()
}

/** The Redis of a REDIS_URL. Rejects when it does not answer. */
export async function givenRedis(url: string): Promise<RedisStore> {
  const { host } = new URL(url)
  const connect = () => quiet(new Redis(url, { maxRetriesPerRequest: 3 }))
  const probe = quiet(
    new Redis(url, { maxRetriesPerRequest: 1, retryStrategy: null as never, lazyConnect: true }),
  )
  try {
    await probe.connect()
    await probe.ping()
  } catch (cause) {
    throw new Error(`REDIS_URL: the Redis at ${host} does not answer (${(cause as Error).message}).`, {
      cause,
    })
  } finally {
    probe.disconnect()
  }
  return { description: `Redis at ${host} (REDIS_URL)`, version: 'Redis', mock: false, connect }
}

/** @throws Error when the program is none that answers */
export async function startServer(guarded: Guarded, program: string): Promise<RedisStore> {
  const password = randomBytes(24).toString('hex')
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      const input = configuration(port, guarded.folder, password)
      const command = { service: basename(program), file: program, args: ['-'], input }
      await guarded.start(command, /Ready to accept connections/)
      const options = { host: LOOPBACK, port, password, maxRetriesPerRequest: 1 }
      const connect = () => quiet(new Redis(options))
      return {
        version: `${basename(program)} ${await versionOf(connect)}`,
        description: `${basename(program)} on ${LOOPBACK}:${port}`,
        mock: false,
        connect,
      }
    } catch (error) {
      if (attempt === START_ATTEMPTS || !String(error).includes('in use')) throw error
    }
  }
}

/** As the server says it; of a valkey-server its own, not that of the Redis it is compatible with. */
async function versionOf(connect: () => Redis): Promise<string> {
  const redis = connect()
  try {
    const info = await redis.info('server')
    return (
      /^(?:valkey_version|server_version):(\S+)/m.exec(info)?.[1] ??
      /^redis_version:(\S+)/m.exec(info)?.[1] ??
      ''
    )
  } finally {
    redis.disconnect()
  }
}

/** Given on stdin, not as arguments: those, and so the password, stand in the list of processes for all to read. */
function configuration(port: number, folder: string, password: string): string {
  return [
    `port ${port}`,
    `bind ${LOOPBACK}`,
    `dir "${folder}"`,
    `requirepass ${password}`,
    'save ""',
    'appendonly no',
    'daemonize no',
  ].join('\n')
}

function startMock(): RedisStore {
  // Mocks of one host and port share their data; a name nobody else has keeps two stacks in one process apart.
  const host = `mock-${randomBytes(8).toString('hex')}`
  return {
    description:
      'ioredis-mock (an imitation, as there is no redis-server: no DUMP or RESTORE, keys are text only)',
    version: 'ioredis-mock',
    mock: true,
    connect: () => new RedisMock({ host, port: 6379 }),
  }
}

/** Without a listener a lost connection would end the process; each command that fails on it says so itself. */
function quiet(redis: Redis): Redis {
  return redis.on('error', () => {})
}
