import type { Clients } from '../clients.ts'
import { checkMark } from '../ledger/environment.ts'
import type { Connection } from '../postgres/connection.ts'
import { targets } from '../store.ts'
import { marks, markWriters } from '../stores.ts'

/**
 * Writes the environment's name into every store, and creates the ledger. A store that carries another name is refused
 * before any is written; repeating it changes nothing but the protection, which follows the configuration.
 * @throws EnvironmentMismatch
 */
export async function claim(clients: Clients, connection: Connection): Promise<void> {
  const { config } = clients
  for (const { read, where } of targets.map((target) => marks[target])) {
    const name = await read(clients, connection)
    if (name !== undefined) checkMark(where(config), name, config)
  }
  for (const target of targets) await markWriters[target](clients, connection)
}
