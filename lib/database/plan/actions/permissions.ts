import { NotPermitted } from '../../../errors.ts'
import type { Catalog } from '../../catalog/catalog.ts'
import { sequencesOf } from '../../catalog/sequences.ts'
import { changedIn } from '../../schema/plan.ts'
import { shortNames, type TableActions } from './table-actions.ts'

/**
 * What the role is not allowed but the plan needs.
 * @throws NotPermitted naming the tables, and what to grant
 * @see docs/decisions.md#the-database-role-must-own-what-it-wipes
 */
export function checkPermissions(plan: TableActions, catalog: Catalog, wipes: boolean): void {
  const tables = plan.tables.map(({ table }) => table)
  const unreadable = tables.filter(({ mayRead }) => !mayRead)
  if (unreadable.length > 0) {
    throw new NotPermitted(
      `The database role may not read ${shortNames(unreadable)}, so no backup would hold them. Grant it SELECT, or name them in EXCLUDE_TABLES`,
    )
  }
  const hidden = sequencesOf(catalog.sequences, tables).filter(({ mayRead }) => !mayRead)
  if (hidden.length > 0) {
    throw new NotPermitted(
      `The database role may not read the sequences ${shortNames(hidden)}, so no backup would hold where they stand. Grant it SELECT on them`,
    )
  }
  if (!wipes) return
  // Owning, not only TRUNCATE: triggers are disabled for the wipe, which only the owner may.
  const foreign = changedIn(plan.tables).filter(({ owned, mayTruncate }) => !(owned && mayTruncate))
  if (foreign.length > 0) {
    throw new NotPermitted(
      `The database role may not truncate ${shortNames(foreign)}. Use the role that owns them, or name them in PRESERVE_TABLES`,
    )
  }
  const stuck = catalog.sequences.filter(
    ({ name, owned }) => !owned && plan.restart.some((one) => one.name === name),
  )
  if (stuck.length > 0) {
    throw new NotPermitted(
      `The database role does not own the sequences ${shortNames(stuck)}, so they cannot start again. Make it their owner`,
    )
  }
}
