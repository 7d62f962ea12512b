import { type Postgres, startPostgres } from '../../local/database/postgres.ts'
import { type Guarded, guardProcesses } from '../../local/processes/child-processes.ts'
import { findServers } from './programs.ts'

/** The one PostgreSQL, for the databases of all worlds, and what keeps its process. */
export type Server = Postgres & { guarded: Guarded; stop(): Promise<void> }

/**
 * A PostgreSQL of the system's, on a port and a folder of its own. It never waits for a disk, as whoever is measured here is
 * not to; the level of the write-ahead log and autovacuum are as they are by default.
 */
export async function startServer(onCrash: (error: Error) => void): Promise<Server> {
  const programs = await findServers()
  const guarded = await guardProcesses(onCrash)
  try {
    const settings = { wal_level: 'replica' }
    const postgres = await startPostgres(guarded, settings, programs)
    return { ...postgres, guarded, stop: guarded.stop }
  } catch (error) {
    await guarded.stop()
    throw error
  }
}
