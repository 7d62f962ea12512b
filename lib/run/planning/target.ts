import { isLabelLike, resolveBackup, resolveLabel } from '../../backup/naming/resolve.ts'
import type { Clients } from '../../clients.ts'
import { LabelMoved } from '../../errors.ts'
import { findRun } from '../../ledger/runs.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Request } from '../request.ts'

/** `target`: the id of the backup that the request is about; null: it is about none. */
export type Resolved<R extends Request> = { request: R; target: string | null }

/**
 * The request with ids in place of names; but what a reset calls the backup that it goes back to stays as it was said.
 * @param runId of a run that may have been counted before: its backup is the one that its row says, whatever the name
 *   means by now
 * @throws InvalidRequest, UnknownBackup, AmbiguousBackup, LabelMoved
 * @see docs/decisions.md#a-name-is-resolved-once
 * @see docs/decisions.md#what-was-confirmed-was-shown
 */
export async function resolveRequest<R extends Request>(
  clients: Pick<Clients, 'backups' | 'config' | 'now'>,
  connection: Connection,
  request: R,
  runId?: string,
): Promise<Resolved<R>> {
  const name = nameIn(request)
  if (name === undefined) return { request, target: null }
  const row = runId === undefined ? undefined : await findRun(connection, runId)
  // Who may reset to a label may not say with it what takes the scope of a restore.
  const isLabel = request.operation === 'reset' && isLabelLike(name)
  const find = () => (isLabel ? resolveLabel(connection, name) : resolveBackup(clients, connection, name))
  const target = row?.targetBackupId ?? (await find())
  if (request.operation === 'reset') {
    const { toBackupId = target } = request
    if (toBackupId !== target) throw movedLabel(name, toBackupId, target)
    return { request, target }
  }
  const resolved = { ...request, backupId: target }
  if (resolved.operation === 'diff' && resolved.to !== undefined)
    return { request: { ...resolved, to: await resolveBackup(clients, connection, resolved.to) }, target }
  return { request: resolved, target }
}

function nameIn(request: Request): string | undefined {
  if ('backupId' in request) return request.backupId
  return request.operation === 'reset' ? request.to : undefined
}

function movedLabel(name: string, shown: string, means: string): LabelMoved {
  return new LabelMoved(
    `${name} means the backup ${means} by now, and when the reset was confirmed it meant ${shown}. Nothing was touched; look at that backup, and confirm again`,
  )
}
