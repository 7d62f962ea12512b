import { readBackup } from '../backup/read.ts'
import { checkDeletable } from '../backup/retention/check-delete.ts'
import { checkVerifiable } from '../backup/trust.ts'
import type { Clients } from '../clients.ts'
import { checkIdle } from '../ledger/open.ts'
import type { Connection } from '../postgres/connection.ts'
import { withConnection } from '../postgres/with-connection.ts'
import { checkConfirmation, checkMarks } from './guard.ts'
import { checkScoped } from './planning/scope.ts'
import type { Request } from './request.ts'

/**
 * Refuses what the machine would refuse in its first state, as far as that is known without counting: so the caller
 * learns it at once, and nothing is started. The machine asks again, under its lock.
 * @throws the errors of the guards, RunActive
 */
export async function checkStartable(clients: Clients, request: Request): Promise<void> {
  checkConfirmation(request, clients.config)
  await withConnection(clients, async (connection) => {
    await checkIdle(connection)
    await checkGuards(clients, connection, request)
  })
}

async function checkGuards(clients: Clients, connection: Connection, request: Request): Promise<void> {
  const { backups, config } = clients
  switch (request.operation) {
    case 'claim':
      return // what it has to find is no mark, or ours; only the machine writes and so looks
    case 'verify':
      await checkMarks(clients, connection, { wipes: false, needs: [] })
      checkVerifiable(await readBackup(backups, config.BACKUP_PREFIX, request.backupId), config, request)
      return
    case 'delete':
      await checkMarks(clients, connection, { wipes: true, needs: [] })
      await checkDeletable(clients, connection, request)
      return
    default:
      await checkScoped(clients, connection, request)
  }
}
