import { PassThrough } from 'node:stream'
import type * as z from 'zod'
import { getJson } from '../../backup/documents/read.ts'
import { putOnce } from '../../backup/documents/write-once.ts'
import { type BackupKeys, backupKeys, workKeys } from '../../backup/layout.ts'
import { writeRangedPart } from '../../backup/ranges/write.ts'
import type { TablePart } from '../../backup/sections/database.ts'
import { addFingerprints, type FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import type { Clients } from '../../clients.ts'
import { BackupIncomplete, messageOf } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError } from '../../postgres/errors.ts'
import { ownSearchPath, pinnedSearchPath } from '../../postgres/search-path.ts'
import { connectionsFor, shareOut } from '../../postgres/share-out.ts'
import { type Bucket, exists } from '../../s3/bucket.ts'
import { changesOf, refuseChanges } from '../catalog/changes.ts'
import { readPositions, readSequences, sequencesOf } from '../catalog/sequences.ts'
import { readTables } from '../catalog/tables.ts'
import type { HashedShard, Shard } from '../parts/shards.ts'
import { readEndPages } from '../ranges.ts'
import { isOfTheRows } from '../savepoint.ts'
import type { PlannedDatabase } from '../schema/plan.ts'
import { withSnapshot } from '../snapshot.ts'
import { DatabaseBatch, type DatabaseResult, type ExportedPart } from './batch.ts'
import { readPages } from './chunks.ts'
import { composePart } from './compose.ts'
import {
  copyParts,
  type Damage,
  decideBatch,
  type ToCopy,
  type ToExport,
  warnOfDamages,
} from './take-over.ts'

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
  const { shards, base } = await getJson(bucket, work.databaseBatch(batch), DatabaseBatch)
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
    for (const connection of connections) await connection.query(ownSearchPath)
    const { parts, damages } = await exportShards(
      { bucket, connections, keys, fingerprints, endPages, progress },
      { shards, base },
    )
    await leader.query(pinnedSearchPath)
    const sequences = await readPositions(leader, sequencesOf(await readSequences(leader, schemas), known))
    const warnings = warnOfDamages(bucket, planned.base?.backupId ?? '', damages)
    return { batch, snapshotAt, parts, sequences, warnings } satisfies z.input<typeof DatabaseResult>
  })
  await putOnce(bucket, work.databaseResult(batch), result)
}

type Exporting = {
  bucket: Bucket
  connections: readonly Connection[]
  keys: BackupKeys
  fingerprints: FingerprintFormat
  endPages: ReadonlyMap<string, number>
  progress: (done: number, total: number) => Promise<void>
}

/** Copies and exports what is decided while other tables are looked at; then exports what could not be copied. */
async function exportShards(
  { bucket, connections, keys, fingerprints, endPages, progress }: Exporting,
  batch: Pick<DatabaseBatch, 'shards' | 'base'>,
): Promise<{ parts: ExportedPart[]; damages: Damage[] }> {
  const parts: ExportedPart[] = []
  const damages: Damage[] = []
  let [done, decided] = [0, 0]
  const told = () => progress(++done, Math.max(decided, batch.shards.length))
  const exportOne = async (connection: Connection, { shard, from, live }: ToExport) => {
    const endPage = shard.pages.to ?? endPages.get(shard.name) ?? 0
    const hashed = { ...shard, fingerprints }
    const keysOf = (copy: number) => keys.tablePart(shard.name, shard.shard, copy)
    const part = await composeOrExport().catch((cause: unknown) => {
      throw isOfTheRows(cause) && databaseError(cause) === cause ? unreadable(shard, cause) : cause
    })
    parts.push({ table: shard.name, ...part })
    await told()

    async function composeOrExport(): Promise<Omit<ExportedPart, 'table'>> {
      const composed =
        from && (await composePart(bucket, connection, { shard: hashed, part: from, live, endPage }, keysOf))
      if (composed !== null && 'reason' in composed) damages.push(composed)
      else if (composed !== null) return composed
      return await exportShard(bucket, connection, hashed, endPage, keysOf)
    }
  }
  const [copies, exports] = [new Queue<ToCopy>(), new Queue<ToExport>()]
  const failure = new AbortController()
  const end = (error?: Error) => {
    if (error !== undefined) failure.abort(error)
    copies.end(error)
    exports.end(error)
  }
  async function look(): Promise<void> {
    for await (const some of decideBatch(looking, batch, fingerprints, failure.signal)) {
      failure.signal.throwIfAborted()
      decided += some.copies.length + some.exports.length
      copies.add(some.copies)
      exports.add(some.exports)
    }
    end()
    await shareOut(looking, exports.items, exportOne)
  }
  // One looks, by workers of the server, while the others export what is decided.
  const looking = connections.slice(0, 1)
  const working = [
    copyParts(bucket, copies.items, keys.tablePart, told),
    shareOut(connections.slice(looking.length), exports.items, exportOne),
    look(),
  ] as const
  for (const one of working) one.catch(end) // the others begin nothing more
  await Promise.allSettled(working) // and are not left writing
  const [copied] = await Promise.all(working)
  decided += copied.again.length
  await shareOut(
    connections,
    copied.again.map((shard) => ({ shard, from: null, live: [] })),
    exportOne,
  )
  return { parts: [...copied.parts, ...parts], damages: [...copied.damages, ...damages] }
}

/** What is added comes out in order, each for one of those who wait. */
class Queue<Item> {
  readonly #stream = new PassThrough({ objectMode: true })
  readonly items: AsyncIterator<Item> = this.#stream[Symbol.asyncIterator]()

  constructor() {
    this.#stream.on('error', () => {}) // whoever waits is told
  }

  add(items: readonly Item[]): void {
    if (this.#stream.destroyed) return
    for (const item of items) this.#stream.write(item)
  }

  /** With an error, what was added comes out no more. */
  end(error?: Error): void {
    if (error === undefined) this.#stream.end()
    else this.#stream.destroy(error)
  }
}

/** A row that cannot be made text, as when a virtual generated column divides by zero. */
function unreadable({ name }: Shard, cause: unknown): BackupIncomplete {
  return new BackupIncomplete(
    `The rows of ${name} cannot be read: ${messageOf(cause)}. Nothing was wiped; look at its virtual generated columns and at the types of its columns, correct these rows, or name the table in EXCLUDE_TABLES`,
    { cause },
  )
}

/** Writes one shard as one part with its ranges, and reads it back. A shard without rows writes nothing. */
export async function exportShard(
  bucket: Bucket,
  connection: Connection,
  shard: HashedShard,
  endPage: number,
  keys: (copy: number) => string,
): Promise<TablePart> {
  let tally = { rows: 0, fingerprint: '0' }
  const written = await writeRangedPart(bucket, keys, async function* () {
    tally = { rows: 0, fingerprint: '0' }
    for await (const piece of readPages(connection, shard, [{ from: shard.pages.from, to: endPage }])) {
      yield piece
      if (!('end' in piece)) continue
      tally.rows += piece.end.rows
      tally.fingerprint = addFingerprints([tally.fingerprint, piece.end.fingerprint])
    }
  })
  return {
    shard: shard.shard,
    pages: shard.pages,
    ...tally,
    ...(written ?? { key: null, bytes: 0, sha256: null }),
  }
}
