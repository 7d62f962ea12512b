import { placeOfName, readEnvironment, writeEnvironment } from '../ledger/environment.ts'
import { ensureLedger } from '../ledger/tables.ts'
import type { Mark } from '../store.ts'

/** The environment's row of the ledger, which alone can protect. */
export const databaseMark: Mark = {
  where: () => placeOfName,
  store: 'The database',
  isTransactional: true,
  read: async (_clients, connection) => (await readEnvironment(connection))?.name,
  async write({ config }, connection) {
    await ensureLedger(connection)
    await writeEnvironment(connection, { name: config.ENVIRONMENT, protected: config.PROTECTED })
  },
  isProtected: async (connection) => (await readEnvironment(connection))?.protected ?? false,
}
