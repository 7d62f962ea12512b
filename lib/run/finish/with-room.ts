import type { Clients } from '../../clients.ts'
import { dropScratch } from '../../database/scratch/drop.ts'
import { DatabaseFull } from '../../errors.ts'
import { databaseError } from '../../postgres/errors.ts'
import { withConnection } from '../../postgres/with-connection.ts'

/**
 * Writes a run's end. What the run has loaded may be what has filled the database, so that not even this can be written: then
 * that goes first, which needs no room.
 */
export async function withRoom<Result>(
  clients: Clients,
  runId: string,
  write: () => Promise<Result>,
): Promise<Result> {
  try {
    return await write()
  } catch (error) {
    if (!(databaseError(error) instanceof DatabaseFull)) throw error
    await withConnection(clients, (connection) => dropScratch(connection, runId))
    return write()
  }
}
