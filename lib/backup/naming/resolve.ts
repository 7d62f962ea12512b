import type { Clients } from '../../clients.ts'
import { InvalidRequest } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { isBackupId } from '../backup-id.ts'

/**
 * The id of the backup that a name means: its id, the beginning of one, a label, `latest` or `latest-rehearsed`.
 * @throws InvalidRequest when the text cannot be a name, UnknownBackup, AmbiguousBackup
 */
export async function resolveBackup(
  _clients: Pick<Clients, 'backups' | 'config'>,
  _connection: Connection,
  name: string,
): Promise<string> {
  if (isBackupId(name)) return name
  throw new InvalidRequest(`${JSON.stringify(name).slice(0, 120)} cannot be the name of a backup`)
}
