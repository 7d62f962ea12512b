import { findOwnManifest } from '../../backup/read.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import { fingerprintFormatOf } from '../../backup/sections/fingerprint.ts'
import type { Clients } from '../../clients.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { Table } from '../catalog/table.ts'
import type { LoadablePart } from '../parts/load-batches.ts'
import { findDiffering, mayDiffer, readLive } from '../restore/differing.ts'
import { beginLook, type Look, lookOf, noteLooks } from '../restore/looked.ts'
import { noteSpared, readSpared, type Spared } from '../restore/spared.ts'
import { findUnchanged, mayBeSpared } from '../restore/unchanged.ts'
import type { FingerprintedTables } from '../row-differences.ts'
import { loadParts } from './load.ts'
import { backupParts, type LoadedBackup } from './sources.ts'

/**
 * Loads one batch of the backup's parts into the run's scratch schema, but for rows that are there already; a run that begins
 * again loads them all. Repeating it doubles nothing.
 * @param safetyBackupId the backup of what the restore replaces; null: the run was told to take none
 */
export async function loadToRestore(
  clients: Clients,
  {
    run,
    batch,
    safetyBackupId,
    ...loaded
  }: LoadedBackup & { run: RunRef; batch: number; safetyBackupId: string | null },
  progress: (done: number, total: number) => Promise<void>,
): Promise<void> {
  const { runId, attempt } = run
  const { check, ...source } = backupParts(clients, loaded)
  const { parts, wroteBy } = await source.partsOf(batch)
  // What was looked at before was written to meanwhile, and will be again.
  if (attempt > 0) return loadParts(clients, { runId, parts, wroteBy, check }, progress)
  const backedUp = await source.tables()
  const held = await readHeld(clients, { runId, backupId: safetyBackupId })
  const looking: Looking = { runId, bucket: clients.backups, backedUp, held, parts }
  await loadParts(
    clients,
    { runId, parts, wroteBy, check, choose: (connection, { tables }) => choose(connection, looking, tables) },
    progress,
  )
}

type Looking = {
  runId: string
  bucket: Bucket
  backedUp: FingerprintedTables
  held: FingerprintedTables | null
  parts: readonly LoadablePart[]
}

/**
 * What of a batch is loaded: of tables that hold the backup's rows nothing, and where few rows differ the frames with these. Both
 * are noted in the scratch schema. Tables are looked at by the safety backup, or by reading them: then only those of which the
 * batch has all parts, or each batch would read the whole of them.
 */
async function choose(
  connection: Connection,
  { runId, bucket, backedUp, held, parts }: Looking,
  live: readonly Table[],
): Promise<LoadablePart[]> {
  const partsOf = Map.groupBy(parts, ({ table }) => table.name)
  const isWhole = ({ name, parts }: BackedUpTable) => partsOf.get(name)?.length === parts.length
  const tables = backedUp.tables.filter((table) => (held === null ? isWhole(table) : partsOf.has(table.name)))
  const pairs = await mayBeSpared(connection, { ...backedUp, tables }, live)
  const asked = { ...backedUp, held }
  const known = held === null ? new Set<string>() : await findUnchanged(connection, pairs, asked)
  const mayBe = pairs.filter(({ table }) => isWhole(table) && !known.has(table.name))
  const noted = [...(await readSpared(connection, runId))]
  const already = noted.filter(([name, how]) => how === 'differing' && !partsOf.has(name)).length
  const differing = await mayDiffer(connection, mayBe, already)
  const others = pairs.filter((pair) => !differing.includes(pair))
  const unchanged = held === null ? await findUnchanged(connection, others, asked) : known
  const spared = new Map<string, Spared>([...unchanged].map((name) => [name, 'unchanged']))
  const frames: LoadablePart[] = []
  const looks = new Map<string, Look>()
  for (const pair of differing) {
    const { table } = pair
    const looking = { bucket, table, format: backedUp.fingerprints }
    await beginLook(connection, pair)
    const ranges = await readLive(connection, looking)
    const found = await findDiffering(connection, { ...looking, live: ranges })
    const look = found && (await lookOf(connection, pair, ranges))
    await connection.query('ROLLBACK')
    if (found === null) continue
    spared.set(table.name, found.surplus + found.missing === 0 ? 'unchanged' : 'differing')
    if (look) looks.set(table.name, look)
    frames.push(...found.frames.map(({ part, wanted }) => ({ table, part, frames: wanted })))
  }
  await noteLooks(connection, runId, looks)
  await noteSpared(connection, runId, spared)
  return [...parts.filter(({ table }) => !spared.has(table.name)), ...frames]
}

async function readHeld(
  { backups, config }: Pick<Clients, 'backups' | 'config'>,
  { runId, backupId }: { runId: string; backupId: string | null },
): Promise<FingerprintedTables | null> {
  if (backupId === null) return null
  const found = await findOwnManifest(backups, config.BACKUP_PREFIX, { runId, backupId })
  const database = found?.database ?? null
  return database && { tables: database.tables, fingerprints: fingerprintFormatOf(database) }
}
