import { checkMark, placeOfName, readEnvironment, writeEnvironment } from '../ledger/environment.ts'
import { ensureLedger } from '../ledger/tables.ts'
import type { Mark, MarkWriter } from '../store.ts'

/** The environment's row of the ledger, which alone can protect. */
export const databaseMark: Mark = {
  where: () => placeOfName,
  store: 'The database',
  isTransactional: true,
  read: async (_clients, connection) => (await readEnvironment(connection))?.name,
  isProtected: async (connection) => (await readEnvironment(connection))?.protected ?? false,
}

/** The ledger comes with it. */
export const claimDatabase: MarkWriter = async ({ config }, connection) => {
  await ensureLedger(connection)
  await writeEnvironment(connection, { name: config.ENVIRONMENT, protected: config.PROTECTED })
  // Another's name is left as it is, also one that was written since claim looked.
  checkMark(placeOfName, (await readEnvironment(connection))?.name, config)
}
