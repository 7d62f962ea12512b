import { readPartChunks } from '../../../lib/backup/part/read.ts'
import type { Backup } from '../../../lib/backup/read.ts'
import type { BackedUpTable } from '../../../lib/backup/sections/database.ts'
import type { Bucket } from '../../../lib/s3/bucket.ts'
import type { LoadedTable } from './load-sql.ts'
import { PathNames } from './names.ts'

/** Each table, and the file in which its rows are to lie. */
export function filesOfTables({ database }: Pick<Backup, 'database'>): LoadedTable[] {
  const names = new PathNames()
  return (database?.tables ?? []).map((table) => ({
    table,
    path: `database/${names.pathOf(`${table.name}.jsonl`)}`,
  }))
}

/** The lines of all rows of a table, as they lie in its parts; those of the late file stand in their place already. @throws BackupDamaged */
export async function* linesOfTable(bucket: Bucket, { parts }: BackedUpTable): AsyncGenerator<Buffer> {
  for (const { key, bytes, sha256, plain, longest } of parts) {
    if (key === null || sha256 === null) continue
    yield* readPartChunks(bucket, key, { bytes, sha256, plain, longest })
  }
}
