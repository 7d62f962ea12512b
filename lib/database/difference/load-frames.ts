import { readFrames } from '../../backup/ranges/read-frames.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import type { Connection } from '../../postgres/connection.ts'
import { qualified } from '../../postgres/identifiers.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { copyIn } from '../copy/copy-in.ts'
import { copyTextOf } from '../copy/copy-text.ts'
import type { Rows } from '../rows.ts'
import { heldColumns } from '../scratch/create.ts'
import type { WantedFrames } from './stored-hashes.ts'

/**
 * Loads rows of a backup into a TEMP table that is like the live one, those of one part after those of another.
 * @param use looks at what is there of one part, and leaves the role's own search path
 * @throws BackupDamaged
 */
export async function loadFrames(
  connection: Connection,
  bucket: Bucket,
  { table, frames }: { table: BackedUpTable; frames: readonly WantedFrames[] },
  use: (loaded: Rows) => Promise<void>,
): Promise<void> {
  const { columns } = table
  const loaded: Rows = { schema: 'pg_temp', table: `difference_loaded_${table.oid}`, columns }
  await connection.query(
    `CREATE TEMP TABLE ${qualified(loaded)} ON COMMIT DROP AS SELECT ${heldColumns(table)} FROM ONLY ${qualified(table)} WITH NO DATA`,
  )
  for (const { part, wanted } of frames) {
    await copyIn(connection, loaded, copyTextOf(readFrames(bucket, part, wanted), columns))
    await use(loaded)
    await connection.query(`TRUNCATE ${qualified(loaded)}`)
  }
  await connection.query(`DROP TABLE ${qualified(loaded)}`)
}
