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

type Rehearsed = { runId: string; held: NonNullable<Backup['database']> }

/**
 * Whether a backup can be loaded and compared here, and in how many batches; what dead runs left is dropped.
 * @throws as checkRehearsal; DatabaseBusy
 */
export async function planRehearsal(
  clients: Pick<Clients, 'config'>,
  connection: Connection,
  rehearsed: Rehearsed,
): Promise<{ batches: number; warnings: Warning[] }> {
  const warnings = await checkRehearsal(clients, connection, rehearsed)
  await dropLeftovers(connection, rehearsed.runId, clients.config.LOCK_TIMEOUT_MS)
  return { batches: loadBatches(rehearsed.held.tables).length, warnings }
}

/**
 * The same for who does not hold the lock, and leaves alone what is there.
 * @throws SchemaChanged, NotPermitted; LimitExceeded for what one transaction cannot lock, or one invocation compare
 */
export async function checkRehearsal(
  { config }: Pick<Clients, 'config'>,
  connection: Connection,
  { runId, held }: Rehearsed,
): Promise<Warning[]> {
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
  return warnings
}
