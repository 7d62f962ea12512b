import type { Backup } from '../../../backup/read.ts'
import { operations } from '../../../operations.ts'
import type { Connection } from '../../../postgres/connection.ts'
import { underOwnSearchPath } from '../../../postgres/search-path.ts'
import type { Planning } from '../../../store.ts'
import type { Catalog } from '../../catalog/catalog.ts'
import { leaveOut, leftOutBy } from '../exclusions.ts'
import { checkKeptRows } from './kept-rows.ts'
import { checkPermissions } from './permissions.ts'
import { chooseRestoreActions } from './restore-actions.ts'
import { stayingOf } from './staying.ts'
import { chooseActions, type TableActions } from './table-actions.ts'

export type Decided = {
  chosen: TableActions
  /** The backup that is restored, without what is left out of it. */
  toLoad: Backup | null
  /** What of it stays as it is. */
  stays: string[]
}

/**
 * What becomes of each table, by what is asked for, and that the rows and the role's rights allow it.
 * @throws InvalidRequest, NotPermitted, PreservationConflict
 */
export async function decideActions(
  connection: Connection,
  catalog: Catalog,
  asked: Pick<Planning, 'operation' | 'preserve' | 'selection' | 'backup'>,
): Promise<Decided> {
  const { preserve, selection, backup } = asked
  const { changes } = operations[asked.operation]
  const stays = backup?.database ? stayingOf(catalog, backup.database, asked) : []
  const toLoad = backup && leaveOut(backup, [...leftOutBy(selection), ...stays])
  const chosen = toLoad?.database
    ? chooseRestoreActions(catalog, preserve, toLoad.database.tables)
    : chooseActions(catalog, preserve)
  checkPermissions(chosen, catalog, changes !== null)
  if (changes === 'wiped') {
    await underOwnSearchPath(connection, () =>
      checkKeptRows(connection, { tables: chosen.tables, keys: chosen.dependsOnRows }),
    )
  }
  return { chosen, toLoad, stays }
}
