import * as z from 'zod'
import { getJson } from '../../backup/documents/read.ts'
import { putOnce } from '../../backup/documents/write-once.ts'
import { backupKeys, workKeys } from '../../backup/layout.ts'
import { writePart } from '../../backup/part/write.ts'
import { BackedUpSequence, TablePart } from '../../backup/sections/database.ts'
import type { Clients } from '../../clients.ts'
import { BackupIncomplete, messageOf } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError } from '../../postgres/errors.ts'
import { qualified } from '../../postgres/identifiers.ts'
import { ownSearchPath, pinnedSearchPath } from '../../postgres/search-path.ts'
import { connectionsFor, shareOut } from '../../postgres/share-out.ts'
import { type Bucket, exists } from '../../s3/bucket.ts'
import { changesOf, refuseChanges } from '../catalog/changes.ts'
import { readPositions, readSequences, sequencesOf } from '../catalog/sequences.ts'
import { readTables } from '../catalog/tables.ts'
import { type HashedShard, Shard } from '../parts/shards.ts'
import { isOfTheRows } from '../savepoint.ts'
import type { PlannedDatabase } from '../schema/plan.ts'
import { withSnapshot } from '../snapshot.ts'
import { readShard, type Tally } from './chunks.ts'

/** One batch of shards as Count wrote it. */
export const DatabaseBatch = z.strictObject({ batch: z.number(), shards: z.array(Shard) })

/** What one batch exported: a part per shard, and the sequences as they stood after the snapshot. */
export const DatabaseResult = z.strictObject({
  batch: z.number(),
  snapshotAt: z.string(),
  parts: z.array(TablePart.extend({ table: z.string() })),
  sequences: z.array(BackedUpSequence),
})

/** Connections that read one snapshot side by side, one for so many bytes; memory grows with each by about 30 MB. */
const limits = { connections: 3, bytesEach: 16 * 2 ** 20 }

type DatabaseExport = PlannedDatabase & { backupId: string; batch: number }

/**
 * Exports one batch of the database into the backup; every part is read back before it counts.
 * @throws BackupIsStale when a table is no longer the one that was counted
 */
export async function exportDatabase(
  clients: Clients,
  { run, planned, backupId, batch }: DatabaseExport,
  progress: (done: number, total: number) => Promise<void>,
): Promise<void> {
  const bucket = clients.backups
  const work = workKeys(run)
  if (await exists(bucket, work.databaseResult(batch))) return // by a try whose answer was lost
  const { shards } = await getJson(bucket, work.databaseBatch(batch), DatabaseBatch)
  const { fingerprints } = planned
  const schemas = clients.config.DATABASE_SCHEMAS
  const tables = [...new Map(shards.map((shard) => [shard.name, shard])).values()]
  const keys = backupKeys(clients.config.BACKUP_PREFIX, backupId)
  const result = await withSnapshot(clients, tables, connectionsFor(shards, limits), async (connections) => {
    const leader = connections[0] as Connection
    const snapshotAt = clients.now().toISOString()
    const known = planned.tables.map(({ table }) => table)
    refuseChanges(
      changesOf(
        await readTables(leader, schemas),
        known.filter(({ name }) => tables.some((table) => table.name === name)),
      ),
    )
    const endPages = await readEndPages(leader, tables)
    const parts: z.output<typeof DatabaseResult>['parts'] = []
    for (const connection of connections) await connection.query(ownSearchPath)
    await shareOut(connections, shards, async (connection, shard) => {
      const endPage = shard.pages.to ?? endPages.get(shard.name) ?? 0
      const part = await exportShard(bucket, connection, { ...shard, fingerprints }, endPage, (copy) =>
        keys.tablePart(shard.name, shard.shard, copy),
      ).catch((cause: unknown) => {
        throw isOfTheRows(cause) && databaseError(cause) === cause ? unreadable(shard, cause) : cause
      })
      parts.push({ table: shard.name, ...part })
      await progress(parts.length, shards.length)
    })
    await leader.query(pinnedSearchPath)
    const sequences = await readPositions(leader, sequencesOf(await readSequences(leader, schemas), known))
    return { batch, snapshotAt, parts, sequences } satisfies z.input<typeof DatabaseResult>
  })
  await putOnce(bucket, work.databaseResult(batch), result)
}

/** A row that cannot be made text, as when a virtual generated column divides by zero. */
function unreadable({ name }: Shard, cause: unknown): BackupIncomplete {
  return new BackupIncomplete(
    `The rows of ${name} cannot be read: ${messageOf(cause)}. Nothing was wiped; look at its virtual generated columns and at the types of its columns, correct these rows, or name the table in EXCLUDE_TABLES`,
    { cause },
  )
}

/** Writes one shard as one part and reads it back. A shard without rows writes nothing. */
export async function exportShard(
  bucket: Bucket,
  connection: Connection,
  shard: HashedShard,
  endPage: number,
  keys: (copy: number) => string,
): Promise<TablePart> {
  let tally: Tally = { rows: 0, fingerprint: '0' }
  const written = await writePart(bucket, keys, () => {
    tally = { rows: 0, fingerprint: '0' }
    return readShard(connection, shard, endPage, tally)
  })
  return {
    shard: shard.shard,
    pages: shard.pages,
    ...tally,
    ...(written ?? { key: null, bytes: 0, sha256: null }),
  }
}

/** How many pages each table has now; an open-ended shard ends there. To be asked after the snapshot was taken. */
export async function readEndPages(
  connection: Connection,
  tables: readonly { name: string; schema: string; table: string }[],
): Promise<Map<string, number>> {
  const answer = await connection.query(
    `SELECT name, (pg_relation_size(relation::regclass) / current_setting('block_size')::int)::int AS pages
     FROM unnest($1::text[], $2::text[]) AS t(name, relation)`,
    [tables.map(({ name }) => name), tables.map((table) => qualified(table))],
  )
  return new Map(answer.rows.map((row) => [row.name, row.pages]))
}
