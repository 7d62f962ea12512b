import { readCacheMark, writeCacheMark } from '../cache/mark.ts'
import type { Clients } from '../clients.ts'
import { readFilesMark, writeFilesMark } from '../files/mark.ts'
import { checkMark, readEnvironment, writeEnvironment } from '../ledger/environment.ts'
import { ensureLedger } from '../ledger/tables.ts'
import type { Connection } from '../postgres/connection.ts'

/**
 * Writes the environment's name into the three stores, and creates the ledger. A store that carries another name is
 * refused before any is written; repeating it changes nothing but the protection, which follows the configuration.
 * @throws EnvironmentMismatch
 */
export async function claim(clients: Clients, connection: Connection): Promise<void> {
  const { config } = clients
  const marks = [
    ['The database (taskmaster_reset.environment)', (await readEnvironment(connection))?.name],
    [`The files (s3://${config.FILES_BUCKET}/.taskmaster/environment.json)`, await readFilesMark(clients)],
    ['The cache (key taskmaster:environment)', await readCacheMark(clients)],
  ] as const
  for (const [where, name] of marks) if (name !== undefined) checkMark(where, name, config)
  await ensureLedger(connection)
  await writeEnvironment(connection, { name: config.ENVIRONMENT, protected: config.PROTECTED })
  await writeFilesMark(clients, { environment: config.ENVIRONMENT, at: clients.now().toISOString() })
  await writeCacheMark(clients, { environment: config.ENVIRONMENT })
}
