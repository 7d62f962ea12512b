import { GetObjectCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3'
import pg from 'pg'
import type { Stack } from '../stack.ts'

/** What the three stores hold, asked with plain clients and none of the product's code. */
export type Counts = {
  rows: Record<string, number>
  files: Objects
  /** Without the keys that carry the environment's name and the fencing number. */
  keys: number
}
export type Objects = { objects: number; bytes: number }

export async function countStores(
  { env, connectRedis }: Pick<Stack, 'env' | 'connectRedis'>,
  s3: S3Client,
): Promise<Counts> {
  const [rows, files, keys] = await Promise.all([
    countRows(env.DATABASE_URL ?? ''),
    countObjects(s3, env.FILES_BUCKET ?? '', env.FILES_PREFIX ?? ''),
    countKeys(connectRedis),
  ])
  return { rows, files, keys }
}

export function totalOf(rows: Record<string, number>): number {
  return Object.values(rows).reduce((sum, rows) => sum + rows, 0)
}

export async function countObjects(s3: S3Client, Bucket: string, Prefix: string): Promise<Objects> {
  const total = { objects: 0, bytes: 0 }
  let ContinuationToken: string | undefined
  do {
    const page = await s3.send(new ListObjectsV2Command({ Bucket, Prefix, ContinuationToken }))
    for (const { Size = 0 } of page.Contents ?? []) {
      total.objects++
      total.bytes += Size
    }
    ContinuationToken = page.NextContinuationToken
  } while (ContinuationToken !== undefined)
  return total
}

/** The rows per table that the sealed backup of that id says it holds. */
export async function rowsInManifest(
  s3: S3Client,
  Bucket: string,
  Key: string,
): Promise<Record<string, number>> {
  const object = await s3.send(new GetObjectCommand({ Bucket, Key }))
  const manifest: { database: { tables: { name: string; rows: number }[] } } = JSON.parse(
    (await object.Body?.transformToString()) ?? '',
  )
  return Object.fromEntries(manifest.database.tables.map(({ name, rows }) => [name, rows]))
}

/** One digest per table over the text of all its rows. */
export function digestTables({ env }: Pick<Stack, 'env'>): Promise<Record<string, string>> {
  return askEachTable(
    env.DATABASE_URL ?? '',
    (name) =>
      `SELECT md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) AS answer FROM ${name} AS t`,
    String,
  )
}

function countRows(connectionString: string): Promise<Record<string, number>> {
  return askEachTable(connectionString, (name) => `SELECT count(*) AS answer FROM ${name}`, Number)
}

async function askEachTable<Answer>(
  connectionString: string,
  question: (name: string) => string,
  read: (answer: unknown) => Answer,
): Promise<Record<string, Answer>> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    const tables = await client.query(
      `SELECT table_schema || '.' || table_name AS name FROM information_schema.tables
       WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1`,
    )
    const answers: Record<string, Answer> = {}
    for (const { name } of tables.rows)
      answers[name] = read((await client.query(question(name))).rows[0].answer)
    return answers
  } finally {
    await client.end()
  }
}

async function countKeys(connect: Stack['connectRedis']): Promise<number> {
  const redis = connect?.()
  if (redis === undefined) throw new Error('The cache of the demo cannot be reached past its REST front')
  try {
    return (
      (await redis.dbsize()) - (await redis.exists('taskmaster:environment', 'taskmaster:environment:fence'))
    )
  } finally {
    redis.disconnect()
  }
}
