import type { Backup } from '../../backup/read.ts'
import type { Clients } from '../../clients.ts'
import type { Connection } from '../../postgres/connection.ts'
import { readCatalog } from '../catalog/catalog.ts'
import { checkSchema } from '../catalog/schema-differences.ts'
import { loadBatches } from '../parts/load-batches.ts'
import { dropLeftovers } from '../scratch/drop.ts'
import { checkScratchAllowed } from '../scratch/event-triggers.ts'

/**
 * Whether a backup can be loaded and compared here, and in how many batches; what dead runs left is dropped.
 * @throws SchemaChanged, NotPermitted, DatabaseBusy
 */
export async function planRehearsal(
  { config }: Pick<Clients, 'config'>,
  connection: Connection,
  { runId, held }: { runId: string; held: NonNullable<Backup['database']> },
): Promise<{ batches: number }> {
  checkSchema(held, await readCatalog(connection, config.DATABASE_SCHEMAS))
  await checkScratchAllowed(connection, runId)
  await dropLeftovers(connection, runId, config.LOCK_TIMEOUT_MS)
  return { batches: loadBatches(held.tables).length }
}
