import type { Warning } from '../backup/manifest.ts'
import { readCacheMark } from '../cache/mark.ts'
import type { Clients } from '../clients.ts'
import type { Config } from '../config.ts'
import { ConfirmationMismatch, type EnvironmentProtected, StoreUnavailable } from '../errors.ts'
import { readFilesMark } from '../files/mark.ts'
import { checkMark, protectedError, readEnvironment } from '../ledger/environment.ts'
import type { Connection } from '../postgres/connection.ts'
import type { Target } from '../store.ts'
import { isDestructive, type Request } from './request.ts'

/**
 * What can be refused without asking a store. A dry run or a verify wipes nothing, so it needs no confirmation; one that
 * is given must still be right.
 * @throws ConfirmationMismatch, EnvironmentProtected
 */
export function checkConfirmation(request: Request, config: Config): void {
  const wipes = isDestructive(request)
  const needed = request.operation === 'claim' || wipes
  if (request.confirm === undefined && !needed) return
  if (request.confirm !== config.ENVIRONMENT) {
    const said = request.confirm === undefined ? 'is missing' : `is "${request.confirm}"`
    throw new ConfirmationMismatch(
      `confirm ${said}, but this is the environment "${config.ENVIRONMENT}". Nothing was touched; to ${request.operation} ${'backupId' in request ? `the backup ${request.backupId}` : 'it'}, say "confirm": "${config.ENVIRONMENT}"`,
    )
  }
  if (wipes && config.PROTECTED) throw protectedError(config)
}

/**
 * The environment's name must be in each store, and be the configured one.
 * @returns a warning when the cache cannot be asked and the run does not need it
 * @throws EnvironmentUnclaimed, EnvironmentMismatch, EnvironmentProtected, StoreUnavailable
 */
export async function checkMarks(
  clients: Clients,
  connection: Connection,
  { wipes, needsCache }: { wipes: boolean; needsCache: boolean },
): Promise<Warning[]> {
  const row = await readEnvironment(connection)
  checkMark('The database (taskmaster_reset.environment)', row?.name, clients.config)
  if (wipes && row?.protected) throw protectedError(clients.config)
  const object = `The files (s3://${clients.config.FILES_BUCKET}/.taskmaster/environment.json)`
  checkMark(object, await readFilesMark(clients), clients.config)
  try {
    checkMark('The cache (key taskmaster:environment)', await readCacheMark(clients), clients.config, [
      'database',
      'files',
    ])
    return []
  } catch (error) {
    if (needsCache || !(error instanceof StoreUnavailable)) throw error
    return [
      {
        code: 'CacheUnavailable',
        message: `${error.message}. This run does not need it`,
      },
    ]
  }
}

/**
 * Why the real run would be refused that a dry one stands for, where the dry one itself is not: it wipes nothing, and so may
 * look at a protected environment.
 * @see docs/decisions.md#a-dry-run-says-what-the-run-would-be-refused-with
 */
export async function refusalOfReal(
  { config }: Pick<Clients, 'config'>,
  connection: Connection,
  { operation }: Request,
): Promise<EnvironmentProtected | null> {
  if (operation === 'backup') return null
  const row = await readEnvironment(connection)
  return config.PROTECTED || row?.protected ? protectedError(config) : null
}

/** Other stores may be wiped by then. */
const thisStep = 'This step touched nothing'

/** The mark of one store, looked at once more right before it is wiped; the database's in its own transaction. */
export async function checkStoreMark(clients: Clients, target: Target): Promise<void> {
  const { config } = clients
  if (target === 'files') checkMark('The files bucket', await readFilesMark(clients), config, [], thisStep)
  if (target === 'cache') checkMark('The cache', await readCacheMark(clients), config, [], thisStep)
}
