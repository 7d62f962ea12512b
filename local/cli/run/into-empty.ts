import { counted } from '../../../lib/amounts.ts'
import { readBackup } from '../../../lib/backup/read.ts'
import type { Definition } from '../../../lib/backup/sections/definition.ts'
import type { Clients } from '../../../lib/clients.ts'
import { createDefined, type WrittenDefinition } from '../../../lib/database/definition/sql.ts'
import { BackupUnsigned, InvalidRequest } from '../../../lib/errors.ts'
import { named } from '../../../lib/http/request/backup-name.ts'
import { withConnection } from '../../../lib/postgres/with-connection.ts'
import { checkStartable } from '../../../lib/run/check-start.ts'
import type { Request } from '../../../lib/run/request.ts'

/** `backupId`: of which backup, for a label may move until it is restored. */
type ReadDefinition = WrittenDefinition & { backupId: string }

/**
 * How the tables of the backup are made that is to be restored into a database which has none.
 * @throws BackupUnsigned also for who allows that: the text is run as it stands; InvalidRequest where the backup does not tell it
 * @see docs/decisions.md#a-backup-tells-how-its-tables-are-made
 */
export async function readDefinitionOf(clients: Clients, request: Request): Promise<ReadDefinition> {
  if (request.operation !== 'restore' || request.dryRun)
    throw new InvalidRequest('"--into-empty" makes tables, which only a restore does, and no dry run')
  const { backups, config } = clients
  const backup = await readBackup(backups, config.BACKUP_PREFIX, await named(clients, request.backupId))
  const { backupId, authentic, database } = backup
  if (authentic !== 'signed') {
    throw new BackupUnsigned(
      `The backup ${backupId} is signed with no key of SIGNING_KEYS, so its text is not run as SQL, whatever else is allowed. Nothing was touched; make the tables by the migrations, then restore without "--into-empty"`,
    )
  }
  const definition = database?.definition
  if (database && definition !== undefined && definition.sql !== '')
    return { ...definition, backupId, serverVersion: database.serverVersion }
  throw new InvalidRequest(
    `The backup ${backupId} does not tell how its tables are made${definition === undefined ? '' : ` (${definition.leftOut.join('; ')})`}. Nothing was touched; make them by the migrations, then restore without "--into-empty"`,
  )
}

/** What a person is shown before the tables are made. */
export function showDefinition({ sql, leftOut, migrations }: Definition): string {
  return [
    'These statements of the backup are run first, in one transaction:\n',
    sql,
    ...migrations.map(
      ({ schema, table, rows }) => `${counted(rows.length, 'row')} of ${schema}.${table} come with them.`,
    ),
    ...leftOut.map((line) => `Not made, and not in the backup: ${line}`),
    '',
  ].join('\n')
}

/** Makes the tables, if the restore would be let in at all. @throws what checkStartable and createDefined throw: nothing was made */
export async function makeTables(
  clients: Clients,
  request: Request,
  definition: WrittenDefinition,
): Promise<void> {
  await checkStartable(clients, request)
  await withConnection(clients, (connection) => createDefined(connection, definition))
}
