import type { Catalog } from '../../catalog/catalog.ts'
import { chooseActions, type Preservation, type TableActions } from './table-actions.ts'

/**
 * What a restore does to the tables: those that the backup holds are emptied and filled again, the others stay. Foreign
 * keys between the two are no conflict here: they are validated when the rows are back, or nothing is changed.
 * @see docs/decisions.md#a-restore-replaces-what-a-reset-preserves
 */
export function chooseRestoreActions(
  catalog: Catalog,
  { excluded }: Pick<Preservation, 'excluded'>,
  backedUp: readonly { name: string }[],
): TableActions {
  const everything = catalog.tables.map(({ name }) => name)
  const untouched = chooseActions(catalog, { tables: everything, rows: {}, excluded })
  const names = new Set(backedUp.map(({ name }) => name))
  return {
    ...untouched,
    tables: untouched.tables.map((entry) =>
      names.has(entry.table.name) ? { ...entry, action: 'truncate' } : entry,
    ),
  }
}
