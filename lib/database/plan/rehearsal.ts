import type { Warning } from '../../backup/manifest.ts'
import type { Backup } from '../../backup/read.ts'
import type { Clients } from '../../clients.ts'
import type { Connection } from '../../postgres/connection.ts'
import { readCatalog } from '../catalog/catalog.ts'
import { checkSchema } from '../catalog/schema-differences.ts'
import { checkLockNeed, readLockNeed } from '../locks/need.ts'
import { loadBatches } from '../parts/load-batches.ts'
import { dropLeftovers } from '../scratch/drop.ts'
import { checkScratchAllowed } from '../scratch/event-triggers.ts'
import { checkComparingHeld } from './single-works.ts'

/**
 * Whether a backup can be loaded and compared here, and in how many batches; what dead runs left is dropped.
 * @throws SchemaChanged, NotPermitted, DatabaseBusy; LimitExceeded for what one transaction cannot lock, or one invocation compare
 */
export async function planRehearsal(
  { config }: Pick<Clients, 'config'>,
  connection: Connection,
  { runId, held }: { runId: string; held: NonNullable<Backup['database']> },
): Promise<{ batches: number; warnings: Warning[] }> {
  const catalog = await readCatalog(connection, config.DATABASE_SCHEMAS)
  checkSchema(held, catalog)
  const loaded = new Set(held.tables.map(({ name }) => name))
  const oids = catalog.tables.filter(({ name }) => loaded.has(name)).map(({ oid }) => oid)
  const { need, settings } = await readLockNeed(connection, { oids, sequences: 0, reads: true })
  const warnings = [
    ...checkLockNeed({ does: 'The rehearsal', reads: true }, need, settings),
    ...checkComparingHeld(held.tables),
  ]
  await checkScratchAllowed(connection, runId)
  await dropLeftovers(connection, runId, config.LOCK_TIMEOUT_MS)
  return { batches: loadBatches(held.tables).length, warnings }
}
