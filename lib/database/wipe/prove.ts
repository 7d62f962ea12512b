import { writeLate } from '../../backup/late.ts'
import { backupKeys } from '../../backup/layout.ts'
import type { Manifest, Seen } from '../../backup/manifest.ts'
import { findOwnManifest } from '../../backup/read.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import { fingerprintFormatOf } from '../../backup/sections/fingerprint.ts'
import { mergeLate } from '../../backup/sections/merge-tables.ts'
import type { Clients } from '../../clients.ts'
import { BackupIncomplete, NotFound } from '../../errors.ts'
import { noteLate } from '../../ledger/documents.ts'
import type { Connection } from '../../postgres/connection.ts'
import { underOwnSearchPath } from '../../postgres/search-path.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { changesOf, refuseChanges } from '../catalog/changes.ts'
import { readPositions, sequencesOf } from '../catalog/sequences.ts'
import type { Table } from '../catalog/table.ts'
import { reconcile } from '../export/reconcile.ts'
import type { Locked } from '../locks/transaction.ts'

/** The manifest of the backup that this very run sealed. @throws NotFound, BackupDamaged, BackupIncomplete */
export async function readOwnManifest(
  { backups, config }: Pick<Clients, 'backups' | 'config'>,
  { runId, backupId }: { runId: string; backupId: string },
): Promise<Manifest> {
  const manifest = await findOwnManifest(backups, config.BACKUP_PREFIX, { backupId, runId })
  if (manifest === null)
    throw new NotFound(`There is no sealed backup ${backupId}. Nothing was wiped; start again`)
  if (manifest.environment === config.ENVIRONMENT) return manifest
  throw new BackupIncomplete(
    `The backup ${backupId} was made by run ${manifest.runId} in ${manifest.environment}, not by this one. Nothing was wiped; start a new run`,
  )
}

type Proof = {
  manifest: Manifest
  /** Tables that lose their rows; each must be in the backup. */
  going: readonly Table[]
  /** Whose backup it is, and who is about to remove the rows. */
  runId: string
  /** All tables that the backup holds. */
  backedUp: readonly Table[]
  catalog: Catalog
  checkNames: Locked['checkNames']
}

/**
 * Makes backup and rows agree: late parts are written and listed for every difference. To be called under the locks of
 * the transaction that is about to remove the rows.
 * @throws BackupIncomplete, BackupIsStale
 */
export async function proveBackup(
  clients: Clients,
  connection: Connection,
  { runId, manifest, going, backedUp, catalog, checkNames }: Proof,
): Promise<{ tables: BackedUpTable[]; lateParts: number }> {
  const { database, backupId, environment, version } = manifest
  const held = database?.tables ?? []
  const names = new Set(held.map(({ name }) => name))
  const missing = going.filter(({ name, partitioned }) => !partitioned && !names.has(name))
  if (missing.length > 0) {
    throw new BackupIncomplete(
      `The backup ${manifest.backupId} does not hold ${missing.map(({ name }) => name).join(', ')}. Nothing was wiped; start a new run`,
    )
  }
  // Of a column that came since, nothing would be compared.
  const losing = new Set(going.map(({ name }) => name))
  refuseChanges(
    changesOf(
      catalog,
      held.filter(({ name }) => losing.has(name)),
    ),
  )
  const bucket = clients.backups
  const keys = backupKeys(clients.config.BACKUP_PREFIX, manifest.backupId)
  // In the same transaction: the ledger knows of the late file exactly when the rows are gone.
  const note = (late: Seen['late']) => noteLate(connection, runId, late)
  const late = await writeLate(
    bucket,
    { keys, backupId, environment, version, now: clients.now, note },
    async (attempt) => {
      const tables = await underOwnSearchPath(connection, () =>
        reconcile(connection, {
          ...{ bucket, tables: held, fingerprints: fingerprintFormatOf(database ?? {}) },
          maxBytes: clients.config.LATE_MAX_BYTES,
          keys: (table, shard, copy) => keys.latePart(table, shard, attempt, copy),
        }),
      )
      const sequences = await readPositions(connection, sequencesOf(catalog.sequences, backedUp))
      await checkNames() // who reads the backup without the ledger goes by the late file, also when nothing is removed after it
      return { tables, sequences }
    },
  )
  return { tables: mergeLate(held, late), lateParts: late.flatMap(({ parts }) => parts).length }
}
