import { randomBytes } from 'node:crypto'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { Redis } from 'ioredis'
import RedisMock from 'ioredis-mock'
import type { Guarded } from './guarded.ts'
import { freePort, LOOPBACK } from './loopback.ts'

export type RedisStore = {
  description: string
  /** True for ioredis-mock, which lives in this process and knows fewer commands. */
  mock: boolean
  /** A client of its own, to be ended by who asked for it. */
  connect(): Redis
}

const START_ATTEMPTS = 3

/** Starts redis-server when it is installed, and falls back to ioredis-mock. It ends with `guarded`. */
export async function startRedis(guarded: Guarded, path = process.env.PATH ?? ''): Promise<RedisStore> {
  const program = findProgram('redis-server', path)
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
  return { description: `Redis at ${host} (REDIS_URL)`, mock: false, connect }
}

async function startServer(guarded: Guarded, program: string): Promise<RedisStore> {
  const password = randomBytes(24).toString('hex')
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      const input = configuration(port, guarded.folder, password)
      const command = { service: 'redis-server', file: program, args: ['-'], input }
      await guarded.start(command, /Ready to accept connections/)
      const options = { host: LOOPBACK, port, password, maxRetriesPerRequest: 1 }
      return {
        description: `redis-server on ${LOOPBACK}:${port}`,
        mock: false,
        connect: () => quiet(new Redis(options)),
      }
    } catch (error) {
      if (attempt === START_ATTEMPTS || !String(error).includes('in use')) throw error
    }
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
    description: 'ioredis-mock (redis-server is not installed: no DUMP or RESTORE, keys are text only)',
    mock: true,
    connect: () => new RedisMock({ host, port: 6379 }),
  }
}

/** Without a listener a lost connection would end the process; each command that fails on it says so itself. */
function quiet(redis: Redis): Redis {
  return redis.on('error', () => {})
}

function findProgram(name: string, path: string): string | undefined {
  return path
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
