import { S3Client } from '@aws-sdk/client-s3'
import type { Redis } from 'ioredis'
import pg from 'pg'
import { inject } from 'vitest'
import { type Stack, type StackOptions, startStack } from '../../local/stack.ts'

/** A stack of its own, and clients that reach its services past the product: what they see is what is there. */
export type FreshStack = Stack & {
  /** As the role that owns the database. */
  sql: pg.Client
  /** As superuser, in the same database. */
  admin: pg.Client
  redis: Redis
  s3: S3Client
}

/**
 * Starts a stack with a fresh database in the server that all test files share, unless another is given, and everything else its own. Puts its
 * addresses into process.env until stop(). Retries and waits of the state machine take 5 ms, unless overridden.
 */
export async function freshStack(overrides: StackOptions = {}): Promise<FreshStack> {
  const adminUrl = overrides.postgresAdminUrl ?? inject('postgresAdminUrl')
  const stack = await startStack({
    // Nothing of the developer's own environment, which may name real services.
    environment: { PATH: process.env.PATH },
    postgresAdminUrl: adminUrl,
    retryIntervals: 5,
    ...overrides,
  })
  const url = stack.env.DATABASE_URL ?? ''
  const sql = await connect(url)
  const admin = await connect(Object.assign(new URL(adminUrl), { pathname: new URL(url).pathname }).href)
  const redis = stack.connectRedis?.()
  if (!redis) throw new Error('freshStack needs a cache that it can reach past its REST front.')
  const s3 = new S3Client({
    endpoint: stack.env.AWS_ENDPOINT_URL_S3 ?? '',
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    forcePathStyle: true,
  })

  async function stop(): Promise<void> {
    s3.destroy()
    redis?.disconnect()
    await Promise.all([sql.end(), admin.end()])
    await stack.stop()
  }
  return { ...stack, sql, admin, redis, s3, stop }
}

async function connect(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString })
  client.on('error', () => {}) // A test may end the server's side; the next query says so.
  await client.connect()
  return client
}
