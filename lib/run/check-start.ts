import type { Clients } from '../clients.ts'
import { checkIdle } from '../ledger/open.ts'
import type { Connection } from '../postgres/connection.ts'
import { withConnection } from '../postgres/with-connection.ts'
import { checkConfirmation, checkMarks } from './guard.ts'
import { checkOnBackup } from './on-backup/operations.ts'
import { checkScoped } from './planning/scope.ts'
import { resolveRequest } from './planning/target.ts'
import { isDestructive, isOnBackup, type Request } from './request.ts'

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
  // What a claim has to find is no mark, or ours; only the machine writes and so looks.
  if (request.operation === 'claim') return
  if (!isOnBackup(request)) {
    const { request: scoped, target } = await resolveRequest(clients, connection, request)
    await checkScoped(clients, connection, scoped, target)
    return
  }
  await checkMarks(clients, connection, { wipes: isDestructive(request), needs: [] })
  const resolved = await resolveRequest(clients, connection, request)
  await checkOnBackup(clients, connection, resolved.request)
}
