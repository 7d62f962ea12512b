import { NotPermitted } from '../../../errors.ts'
import type { Catalog } from '../../catalog/catalog.ts'
import { sequencesOf } from '../../catalog/sequences.ts'
import { shortList, type TableActions } from './table-actions.ts'

/**
 * What the role is not allowed but the plan needs.
 * @throws NotPermitted naming the tables, and what to grant
 * @see docs/decisions.md#the-database-role-must-own-what-it-wipes
 */
export function checkPermissions(plan: TableActions, catalog: Catalog, wipes: boolean): void {
  const unreadable = plan.tables.filter(({ table }) => !table.mayRead)
  if (unreadable.length > 0) {
    const names = shortList(unreadable.map(({ table }) => table.name))
    throw new NotPermitted(
      `The database role may not read ${names}, so no backup would hold them. Grant it SELECT, or name them in EXCLUDE_TABLES`,
    )
  }
  const hidden = sequencesOf(
    catalog.sequences,
    plan.tables.map(({ table }) => table),
  ).filter(({ mayRead }) => !mayRead)
  if (hidden.length > 0) {
    const names = shortList(hidden.map(({ name }) => name))
    throw new NotPermitted(
      `The database role may not read the sequences ${names}, so no backup would hold where they stand. Grant it SELECT on them`,
    )
  }
  if (!wipes) return
  // Owning, not only TRUNCATE: triggers are disabled for the wipe, which only the owner may.
  const foreign = plan.tables.filter(
    ({ table, action }) => action !== 'keep' && !(table.owned && table.mayTruncate),
  )
  if (foreign.length > 0) {
    const names = shortList(foreign.map(({ table }) => table.name))
    throw new NotPermitted(
      `The database role may not truncate ${names}. Use the role that owns them, or name them in PRESERVE_TABLES`,
    )
  }
  const stuck = catalog.sequences.filter(
    ({ name, owned }) => !owned && plan.restart.some((one) => one.name === name),
  )
  if (stuck.length > 0) {
    const names = shortList(stuck.map(({ name }) => name))
    throw new NotPermitted(
      `The database role does not own the sequences ${names}, so they cannot start again. Make it their owner`,
    )
  }
}
