import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { ListBucketsCommand, S3Client } from '@aws-sdk/client-s3'
import { SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn'
import { Client, neonConfig } from '@neondatabase/serverless'
import { Redis } from '@upstash/redis'
import { describe, expect, inject, test } from 'vitest'
import { startRedis } from '../../local/cache/redis.ts'
import { createDatabase, dropDatabase } from '../../local/database/postgres.ts'
import { guardProcesses } from '../../local/processes/child-processes.ts'
import { isRunning } from '../../local/processes/sweep.ts'
import { type StackOptions, startStack } from '../../local/stack.ts'
import { freshStack } from '../support/stack.ts'
import { task } from '../support/step-functions.ts'

const PATH = process.env.PATH
const small: StackOptions = {
  environment: { PATH },
  definition: { StartAt: 'Look', States: { Look: task('look') } },
  loadFunctions: async () => ({ look: () => process.env.FILES_PREFIX }),
}

describe('the embedded stack', () => {
  test('answers with every client of the product, and leaves nothing behind when it is stopped', async () => {
    const before = { ...process.env }
    const stack = await startStack(small)
    try {
      expect(stack.services.map(({ name, embedded }) => [name, embedded])).toEqual([
        ['database', true],
        ['cache', true],
        ['files', true],
        ['state machine', true],
      ])
      expect(await databaseAnswers(stack.env)).toEqual([{ user: 'taskmaster', superuser: false }])
      expect(await cacheAnswers(stack.env)).toBe('PONG')
      expect(await bucketsOf(stack.env)).toEqual(['taskmaster-backups', 'taskmaster-files'])
      expect(await machineAnswers(stack.env)).toContain(':execution:taskmaster-reset:')
      expect(process.env.DATABASE_URL).toBe(stack.env.DATABASE_URL)
    } finally {
      await Promise.all([stack.stop(), stack.stop()])
    }
    await stack.stop()
    expect(stack.processes.pids.filter(isRunning)).toEqual([])
    expect(existsSync(stack.processes.folder!)).toBe(false)
    expect(process.env).toEqual(before)
  })

  test('listens on 127.0.0.1 and on no other address', { skip: process.platform !== 'linux' }, async () => {
    const stack = await startStack(small)
    const ports = Object.values(stack.env).flatMap((value) => /127\.0\.0\.1:(\d+)/.exec(value)?.[1] ?? [])
    ports.push(
      ...stack.services.flatMap(({ description }) => /127\.0\.0\.1:(\d+)/.exec(description)?.[1] ?? []),
    )
    // What listens on every address would answer on this one too.
    const answers = await Promise.all(ports.map((port) => reaches('127.0.0.2', Number(port))))
    await stack.stop()
    expect(ports.length).toBeGreaterThanOrEqual(8)
    expect(answers.filter(Boolean)).toEqual([])
  })

  test('says what runs where, without a secret', async () => {
    const stack = await freshStack(small)
    const secrets = [
      new URL(stack.env.DATABASE_URL!).password,
      stack.env.UPSTASH_REDIS_REST_TOKEN!,
      stack.redis.options.password,
    ].filter((secret) => secret !== undefined && secret !== null)
    const text = JSON.stringify(stack.services)
    await stack.stop()
    for (const secret of secrets) expect(text).not.toContain(secret)
    expect(text).toMatch(/PostgreSQL.*(redis-server|ioredis-mock).*S3, in memory only.*Step Functions/)
  })

  test('runs without redis-server, and says so', async () => {
    const stack = await freshStack({ ...small, environment: { PATH: '' } })
    try {
      expect(stack.services[1]?.description).toContain('ioredis-mock')
      expect(await cacheAnswers(stack.env)).toBe('PONG')
      await stack.redis.set('seen', 'past the front')
      const client = new Redis({
        url: stack.env.UPSTASH_REDIS_REST_URL!,
        token: stack.env.UPSTASH_REDIS_REST_TOKEN!,
      })
      expect(await client.get('seen')).toBe('past the front')
    } finally {
      await stack.stop()
    }
  })

  test('keeps the values that are given', async () => {
    const given = {
      PATH,
      ENVIRONMENT: 'staging',
      FILES_BUCKET: 'mine',
      FILES_PREFIX: 'tales/',
      CACHE_PREFIX: 'app:',
      AWS_REGION: 'eu-west-1',
    }
    const stack = await freshStack({ ...small, environment: given })
    const buckets = await bucketsOf(stack.env)
    await stack.stop()
    const { PATH: _, ...kept } = given
    expect(stack.env).toMatchObject(kept)
    expect(buckets).toEqual(['mine', 'taskmaster-backups'])
  })
})

describe('a stack with services that are given', () => {
  test('uses them, and puts a proxy and a REST front before them', async () => {
    const guarded = await guardProcesses()
    const store = await startRedis(guarded)
    const database = await createDatabase(inject('postgresAdminUrl'))
    const environment = {
      PATH,
      DATABASE_URL: database,
      AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9',
      ...redisUrl(store.connect()),
    }
    const stack = await startStack({ ...small, environment })
    try {
      expect(stack.env.DATABASE_URL).toBe(database)
      expect(await databaseAnswers(stack.env)).toMatchObject([{ superuser: false }])
      expect(await cacheAnswers(stack.env)).toBe('PONG')
      expect(stack.services[0]).toMatchObject({
        embedded: false,
        description: expect.stringContaining('127.0.0.1'),
      })
      expect(stack.services[2]).toMatchObject({ embedded: false, description: 'S3 at 127.0.0.1:9' })
      expect(stack.env.AWS_ACCESS_KEY_ID).toBeUndefined()
    } finally {
      await stack.stop()
      await dropDatabase(inject('postgresAdminUrl'), database)
      await guarded.stop()
    }

    // Without redis-server the cache cannot be given, and stays embedded: then S3 is what makes the combination lasting.
    function redisUrl(redis: ReturnType<typeof store.connect>): { REDIS_URL?: string } {
      const { port, password } = redis.options
      redis.disconnect()
      return store.mock ? {} : { REDIS_URL: `redis://:${password}@127.0.0.1:${port}` }
    }
  })

  test('is refused, before anything is started, when only the embedded S3 would hold its backups', async () => {
    const environment = { PATH, DATABASE_URL: 'postgres://u:p@localhost/app' }
    await expect(startStack({ ...small, environment })).rejects.toMatchObject({
      name: 'EmbeddedFilesRefused',
    })
  })
})

describe('a stack that cannot start', () => {
  test('is torn down again when a given Redis does not answer', async () => {
    const environment = {
      PATH,
      // Nobody listens there, and nobody is given it, as a port that was given back may be.
      REDIS_URL: 'redis://:sesame@127.0.0.1:1',
      AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9',
    }
    const before = { ...process.env }
    const start = startStack({ ...small, environment })
    await expect(start).rejects.toThrow(
      /^(?!.*sesame)REDIS_URL: the Redis at 127\.0\.0\.1:\d+ does not answer/,
    )
    expect(process.env).toEqual(before)
  })

  test('is torn down again when a state calls a function that is not there', async () => {
    const before = { ...process.env }
    await expect(freshStack({ ...small, loadFunctions: async () => ({}) })).rejects.toThrow(
      '"Look" calls the function "look"',
    )
    expect(process.env).toEqual(before)
  })
})

function reaches(host: string, port: number): Promise<boolean> {
  const socket = connect(port, host)
  return new Promise((resolve) => {
    socket.once('error', () => resolve(false))
    socket.once('connect', () => resolve(socket.destroy() !== undefined))
  })
}

type Env = Record<string, string>

async function databaseAnswers(env: Env): Promise<unknown[]> {
  neonConfig.wsProxy = () => `${env.DATABASE_WEBSOCKET_PROXY}/v1`
  neonConfig.useSecureWebSocket = false
  neonConfig.pipelineTLS = false
  neonConfig.pipelineConnect = false
  const client = new Client(env.DATABASE_URL)
  await client.connect()
  const sql =
    'SELECT current_user AS "user", rolsuper OR rolbypassrls AS superuser FROM pg_roles WHERE rolname = current_user'
  const { rows } = await client.query(sql)
  await client.end()
  return rows
}

async function cacheAnswers(env: Env): Promise<string> {
  return await new Redis({ url: env.UPSTASH_REDIS_REST_URL!, token: env.UPSTASH_REDIS_REST_TOKEN! }).ping()
}

// These two find endpoint, Region and credentials in process.env, as the handlers' clients do.
async function bucketsOf(env: Env): Promise<unknown[] | undefined> {
  expect(process.env.AWS_ENDPOINT_URL_S3).toBe(env.AWS_ENDPOINT_URL_S3)
  const { Buckets } = await new S3Client({ forcePathStyle: true }).send(new ListBucketsCommand({}))
  return Buckets?.map(({ Name }) => Name).sort()
}

async function machineAnswers(env: Env): Promise<string | undefined> {
  const command = new StartExecutionCommand({ stateMachineArn: env.STATE_MACHINE_ARN, input: '{}' })
  return (await new SFNClient().send(command)).executionArn
}
