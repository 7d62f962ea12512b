import { createHash } from 'node:crypto'
import { BackupIncomplete, StoreUnavailable } from '../errors.ts'
import type { Bucket } from '../s3/bucket.ts'
import { listSizes } from '../s3/list.ts'
import type { SigningKey } from '../signature.ts'
import { sealed } from './digest.ts'
import { documentBounds } from './documents/json.ts'
import { ifThere, readText } from './documents/read.ts'
import { jsonOf, putJson } from './documents/write.ts'
import { writeOnce } from './documents/write-once.ts'
import { type BackupKeys, lateFileOf, maxAttempt } from './layout.ts'
import type { Late, Seen } from './manifest.ts'

type Differences = Pick<Late, 'tables' | 'sequences' | 'cache'>

/**
 * Writes the next `late-<n>.json` of a backup, which lists all that differs from its manifest. Without differences it
 * writes none, unless there is one already, which would otherwise still count.
 * @param backup its `note` tells the ledger which n counts from here on, with the SHA-256 of the file; null: none does. A
 *   file that somebody adds later, or that a straggler writes, is then not believed
 * @param find makes the differences for the attempt's number
 * @throws StoreUnavailable also when another invocation took the number meanwhile
 */
export async function writeLate(
  bucket: Bucket & { signing: readonly SigningKey[] },
  backup: {
    keys: BackupKeys
    backupId: string
    environment: string
    /** Of the manifest. */
    version: Late['version']
    now: () => Date
    note: (late: Seen['late']) => Promise<void>
  },
  find: (attempt: number) => Promise<Differences>,
): Promise<Differences['tables']> {
  const attempt = 1 + (await lastAttempt(bucket, backup.keys))
  const key = backup.keys.late(attempt)
  if (attempt > maxAttempt) {
    throw new BackupIncomplete(
      `s3://${bucket.name}/${key} would be one late file too many: somebody put others there. Nothing was wiped; start a new run`,
    )
  }
  const differences = await find(attempt)
  const isNeeded = attempt > 1 || differences.tables.length > 0 || differences.cache !== undefined
  const counts = isNeeded ? await write(attempt, differences) : null
  await backup.note(counts)
  return differences.tables

  async function write(attempt: number, differences: Differences): Promise<Seen['late']> {
    const { backupId, environment, version } = backup
    const writtenAt = backup.now().toISOString()
    const late: Late = { version, backupId, environment, attempt, writtenAt, ...differences }
    const document = sealed(bucket.signing, late)
    const sha256 = createHash('sha256').update(jsonOf(document)).digest('hex')
    // What is there may be this very one: S3 had written it, and its answer was lost.
    const there = await writeOnce(
      sha256,
      (options) => putJson(bucket, key, document, options),
      async () => (await ifThere(readText(bucket, key, documentBounds)))?.sha256,
    )
    if (there === sha256) return { attempt, sha256 }
    throw new StoreUnavailable(
      `s3://${bucket.name}/${key} was written by another invocation of this step meanwhile, so that what this one found does not count, and it removes nothing. Where the step is not repeated, start again`,
    )
  }
}

/** The highest n of the backup's `late-<n>.json`, 0 when there is none. */
export async function lastAttempt(bucket: Bucket, keys: BackupKeys): Promise<number> {
  let last = 0
  for await (const { key } of listSizes(bucket, [keys.lateFiles]))
    last = Math.max(last, lateFileOf(keys, key) ?? 0)
  return last
}
