import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import pg from 'pg'
import { bytes, counted } from '../../lib/amounts.ts'
import { codecOfNew } from '../../lib/backup/codec/codec.ts'
import { same } from '../demo/same.ts'
import type { Demonstration } from '../store.ts'
import { totalOf } from './store.ts'

/** Of each table how many rows it has, and one digest over the text of all of them. */
export type TableCounts = { rows: Record<string, number>; digests: Record<string, string> }

export const tables: Demonstration<TableCounts> = {
  count: ({ env }) => countTables(env.DATABASE_URL ?? ''),
  words,
  summary: ({ before, backup: { database }, outcome }) => [
    words(before),
    `${counted(database?.rows ?? 0, 'row')}, ${bytes(database?.bytes ?? 0)} ${codecOfNew.name}`,
    counted(outcome.targets.database.rows, 'row'),
    'the ledger (taskmaster_reset)',
  ],
  async proveWiped({ before, after, outcome, backup }, { s3 }) {
    same('rows left', totalOf(after.rows), 0)
    same('rows wiped per table', outcome.targets.database.tables, before.rows)
    same('rows in the manifest', await rowsInManifest(s3, backup), before.rows)
    return `SELECT count(*) of ${tablesOf(before)}: ${counted(totalOf(before.rows), 'row')} before, 0 after`
  },
  async use({ env }) {
    const client = new pg.Client({ connectionString: env.DATABASE_URL })
    await client.connect()
    try {
      await client.query(
        `INSERT INTO public.users (email, display_name, role) SELECT 'guest' || i || '@example.com', 'Guest ' || i, 'player'
         FROM generate_series(1, 3) AS i`,
      )
      return '3 users'
    } finally {
      await client.end()
    }
  },
  proveRestored({ before, after }) {
    same('rows per table', after.rows, before.rows)
    same('rows of each table', after.digests, before.digests)
    return `md5 over all rows of each of ${tablesOf(before)}: the same as in the beginning`
  },
}

function words(count: TableCounts): string {
  return `${counted(totalOf(count.rows), 'row')} in ${tablesOf(count)}`
}

function tablesOf({ rows }: TableCounts): string {
  return counted(Object.keys(rows).length, 'table')
}

async function countTables(connectionString: string): Promise<TableCounts> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    const tables = await client.query(
      `SELECT table_schema || '.' || table_name AS name FROM information_schema.tables
       WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1`,
    )
    const counts: TableCounts = { rows: {}, digests: {} }
    for (const { name } of tables.rows) {
      const answer = await client.query(
        `SELECT count(*) AS rows, md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) AS digest FROM ${name} AS t`,
      )
      counts.rows[name] = Number(answer.rows[0].rows)
      counts.digests[name] = String(answer.rows[0].digest)
    }
    return counts
  } finally {
    await client.end()
  }
}

/** The rows per table that the sealed backup says it holds. */
async function rowsInManifest(
  s3: S3Client,
  { bucket, prefix }: { bucket: string; prefix: string },
): Promise<Record<string, number>> {
  const object = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: `${prefix}manifest.json` }))
  const manifest: { database: { tables: { name: string; rows: number }[] } } = JSON.parse(
    (await object.Body?.transformToString()) ?? '',
  )
  return Object.fromEntries(manifest.database.tables.map(({ name, rows }) => [name, rows]))
}
