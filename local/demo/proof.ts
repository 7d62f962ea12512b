import { deepStrictEqual } from 'node:assert'
import type { S3Client } from '@aws-sdk/client-s3'
import { bytes, counted } from '../../lib/amounts.ts'
import type { Outcome } from '../../lib/run/outcome.ts'
import type { Stack } from '../stack.ts'
import { type Counts, countObjects, countStores, digestTables, rowsInManifest, totalOf } from './counts.ts'

/**
 * Compares what the run says with what the stores hold, asked past the product.
 * @returns a line per thing that was found to be so
 * @throws Error naming the first thing that is not
 */
export async function prove(
  stack: Pick<Stack, 'env' | 'connectRedis'>,
  s3: S3Client,
  { before, outcome }: { before: Counts; outcome: Outcome },
): Promise<string[]> {
  const { database, files, cache } = outcome.targets
  const prefix = outcome.backupPrefix?.replace(/^s3:\/\/[^/]+\//, '')
  if (prefix === undefined) throw new Error('The run names no backup')
  const bucket = stack.env.BACKUP_BUCKET ?? ''

  const tables = Object.keys(before.rows).length
  const after = await countStores(stack, s3)
  same('rows left', totalOf(after.rows), 0)
  same('files left', after.files.objects, 0)
  same('keys left', after.keys, 0)
  same('rows wiped per table', database.tables, before.rows)
  same('files wiped', { objects: files.objects, bytes: files.bytes }, before.files)
  same('keys wiped', cache.keys, before.keys)
  same('rows in the manifest', await rowsInManifest(s3, bucket, `${prefix}manifest.json`), before.rows)
  const copies = await countObjects(s3, bucket, `${prefix}files/`)
  same('copies of files in the backup', copies, before.files)
  const all = await countObjects(s3, bucket, prefix)

  return [
    `SELECT count(*) of ${counted(tables, 'table')}: ${counted(totalOf(before.rows), 'row')} before, 0 after`,
    `ListObjectsV2 below ${stack.env.FILES_PREFIX}: ${counted(before.files.objects, 'file')} before, 0 after`,
    `DBSIZE: ${counted(before.keys, 'key')} before, 0 after, not counting the environment's own`,
    `ListObjectsV2 of the backup: ${counted(all.objects, 'object')}, ${bytes(all.bytes)}; every file is there, and the manifest has the rows of each table`,
  ]
}

/** The same after the restore: everything is back as it was. */
export async function proveRestored(
  stack: Pick<Stack, 'env' | 'connectRedis'>,
  s3: S3Client,
  { before, digests }: { before: Counts; digests: Record<string, string> },
): Promise<string[]> {
  const after = await countStores(stack, s3)
  same('rows per table', after.rows, before.rows)
  same('rows of each table', await digestTables(stack), digests)
  same('files', after.files, before.files)
  same('keys', after.keys, before.keys)
  const tables = Object.keys(before.rows).length
  return [
    `md5 over all rows of each of ${counted(tables, 'table')}: the same as before the reset`,
    `ListObjectsV2 below ${stack.env.FILES_PREFIX}: ${counted(after.files.objects, 'file')}, ${bytes(after.files.bytes)}, as before`,
    `DBSIZE: ${counted(after.keys, 'key')}, as before`,
  ]
}

function same(what: string, actual: unknown, expected: unknown): void {
  deepStrictEqual(
    actual,
    expected,
    new Error(`${what}: found ${JSON.stringify(actual)}, where it should be ${JSON.stringify(expected)}`),
  )
}
