import { S3Client } from '@aws-sdk/client-s3'
import pg from 'pg'
import { tables } from '../lib/database/taskmaster.ts'
import { putKeys } from './cache/sample-keys.ts'
import { createTables } from './database/create-tables.ts'
import { insertRows, sampleSizes } from './database/sample-rows.ts'
import { putStories } from './files/sample-stories.ts'
import type { Stack } from './stack.ts'

export type Sample = { rows: Record<string, number>; objects: number; bytes: number; keys: number }

/**
 * Creates the seven tables and fills the three stores with a TaskMaster in use: about 5,400 rows, 120 stories and 300
 * keys times `scale`, the same ones every time. The database must not hold the tables yet.
 */
export async function fillSample(
  stack: Pick<Stack, 'env' | 'connectRedis'>,
  { scale = 1 }: { scale?: number } = {},
): Promise<Sample> {
  const [, stories, keys] = await Promise.all([
    fillTables(stack, scale),
    fillFiles(stack, scale),
    fillCache(stack, scale),
  ])
  return { rows: sampleSizes(scale), ...stories, keys }
}

async function fillTables({ env }: Pick<Stack, 'env'>, scale: number): Promise<void> {
  const client = new pg.Client({ connectionString: env.DATABASE_URL })
  await client.connect()
  try {
    await client.query(`BEGIN;\n${createTables(tables)};\n${insertRows(scale).join(';\n')};\nCOMMIT`)
    await client.query('ANALYZE')
  } finally {
    await client.end()
  }
}

async function fillFiles(
  { env }: Pick<Stack, 'env'>,
  scale: number,
): Promise<{ objects: number; bytes: number }> {
  const s3 = new S3Client({ forcePathStyle: env.AWS_ENDPOINT_URL_S3 !== undefined })
  try {
    return await putStories({ s3, bucket: env.FILES_BUCKET ?? '', prefix: env.FILES_PREFIX ?? '' }, scale)
  } finally {
    s3.destroy()
  }
}

async function fillCache({ connectRedis }: Pick<Stack, 'connectRedis'>, scale: number): Promise<number> {
  const redis = connectRedis?.()
  if (redis === undefined)
    throw new Error('The sample is written to a Redis that is reached directly, not over REST')
  try {
    return await putKeys(redis, scale)
  } finally {
    redis.disconnect()
  }
}
