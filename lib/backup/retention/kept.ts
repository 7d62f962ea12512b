import type { Clients } from '../../clients.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { ifTime, timeToLook } from '../documents/in-time.ts'
import { lately } from '../lately.ts'
import { listBackupFolders, readFolders } from './folders.ts'
import { readLedger, readUnknown } from './ledger-view.ts'
import { decideRetention } from './retention.ts'

/** For more folders than these no request waits, and what it has begun would go on. */
const foldersMax = 1000

/**
 * Of each sealed backup of this environment why the retention keeps it; none: the next prune lets it go. Every manifest
 * is read for it, so that of very many backups, or where there is no time for all, it is not told: undefined. A prune that is dry tells it.
 * @throws StoreUnavailable, NotPermitted, EnvironmentUnclaimed, EnvironmentMismatch
 */
export const reasonsToKeep = lately(look)

async function look(clients: Clients): Promise<Map<string, string[]> | undefined> {
  const { config } = clients
  const hasTime = timeToLook(clients)
  const ids = await listBackupFolders(clients)
  if (ids.length > foldersMax) return undefined
  const [ledger, isUnknown] = await withConnection(clients, async (connection) => [
    await readLedger(connection, clients, null),
    await readUnknown(connection),
  ])
  const isNeeded = (backupId: string) => ledger.neededBy(backupId).length > 0
  const said = { isNeeded, labelsOf: ledger.labelsOf, isUnknown }
  const folders = await ifTime(readFolders(clients, said, ids, { hasTime }))
  if (folders === null) return undefined
  const policy = {
    last: config.RETENTION_LAST,
    daily: config.RETENTION_DAILY,
    weekly: config.RETENTION_WEEKLY,
  }
  const sealed = folders.filter((one) => one.is === 'sealed')
  return new Map(
    decideRetention(sealed, policy, clients.now()).map(({ backupId, keep, reasons }) => [
      backupId,
      keep ? reasons : [],
    ]),
  )
}
