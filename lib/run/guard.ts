import type { Warning } from '../backup/manifest.ts'
import type { Clients } from '../clients.ts'
import type { Config } from '../config/variables.ts'
import { ConfirmationMismatch, type EnvironmentProtected, StoreUnavailable } from '../errors.ts'
import { checkMark, protectedError, readEnvironment } from '../ledger/environment.ts'
import { destroys } from '../operations.ts'
import type { Connection } from '../postgres/connection.ts'
import { type Target, targets } from '../store.ts'
import { marks } from '../stores.ts'
import { isDestructive, type Request, wantsConfirm } from './request.ts'

/**
 * What can be refused without asking a store. A dry run or a verify wipes nothing, so it needs no confirmation; one that
 * is given must still be right.
 * @throws ConfirmationMismatch, EnvironmentProtected
 * @see docs/decisions.md#a-dry-run-needs-no-confirm
 */
export function checkConfirmation(request: Request, config: Config): void {
  const wipes = isDestructive(request)
  if (request.confirm === undefined && !wantsConfirm(request)) return
  if (request.confirm !== config.ENVIRONMENT) {
    const said = request.confirm === undefined ? 'is missing' : `is "${request.confirm}"`
    throw new ConfirmationMismatch(
      `confirm ${said}, but this is the environment "${config.ENVIRONMENT}". Nothing was touched; to ${request.operation} ${whatIn(request)}, say "confirm": "${config.ENVIRONMENT}"`,
    )
  }
  if (wipes && config.PROTECTED) throw protectedError(config)
}

function whatIn(request: Request): string {
  if ('backupId' in request) return `the backup ${request.backupId}`
  return request.operation === 'reset' && request.to !== undefined ? `it to the backup ${request.to}` : 'it'
}

/**
 * The environment's name must be in each store, and be the configured one.
 * @param needs the stores that the run acts on
 * @returns a warning when a store cannot be asked that may be down while a run does not need it
 * @throws EnvironmentUnclaimed, EnvironmentMismatch, EnvironmentProtected, StoreUnavailable
 */
export async function checkMarks(
  clients: Clients,
  connection: Connection,
  { wipes, needs }: { wipes: boolean; needs: readonly Target[] },
): Promise<Warning[]> {
  const { config } = clients
  const warnings: Warning[] = []
  for (const [place, target] of targets.entries()) {
    const { where, read, isVolatile, isProtected } = marks[target]
    try {
      const name = await read(clients, connection)
      checkMark(where(config), name, config, isVolatile ? targets.slice(0, place) : [])
    } catch (error) {
      if (!isVolatile || needs.includes(target) || !(error instanceof StoreUnavailable)) throw error
      warnings.push({
        code: `${target[0]?.toUpperCase()}${target.slice(1)}Unavailable`,
        message: `${error.message}. This run does not need it`,
      })
    }
    if (wipes && (await isProtected?.(connection))) throw protectedError(config)
  }
  return warnings
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
  if (!destroys(operation)) return null
  const row = await readEnvironment(connection)
  return config.PROTECTED || row?.protected ? protectedError(config) : null
}

/** Other stores may be wiped by then. */
const thisStep = 'This step touched nothing'

/** The mark of one store, looked at once more right before it is changed, unless its own transaction does that. */
export async function checkStoreMark(clients: Clients, target: Target): Promise<void> {
  const mark = marks[target]
  if (!mark.isTransactional) checkMark(mark.store, await mark.read(clients), clients.config, [], thisStep)
}
