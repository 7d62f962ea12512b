import type { Warning } from '../../backup/manifest.ts'
import type { Clients } from '../../clients.ts'
import type { Catalog } from '../../database/catalog/catalog.ts'
import type { Connection } from '../../postgres/connection.ts'

/** Warnings of labelled backups that the live tables have outgrown: a reset to them would be refused. */
export async function outdatedBaselines(
  _clients: Pick<Clients, 'backups' | 'config'>,
  _connection: Connection,
  _catalog: Catalog,
): Promise<Warning[]> {
  return []
}
