import type { Warning } from '../../../backup/manifest.ts'
import type { Planning } from '../../../store.ts'
import type { ForeignKey } from '../../catalog/foreign-keys.ts'
import type { Table } from '../../catalog/table.ts'
import type { DatabaseInRestore } from '../../schema/plan.ts'
import { families } from './families.ts'
import { shortList } from './table-actions.ts'

/**
 * The foreign keys between tables that are put back and tables that stay. Whether all rows find what they refer to only shows
 * when they are there, under the locks: so a plan names the keys, and a run is refused where rows do not.
 * @see docs/decisions.md#keys-to-what-stays-are-asked-under-the-locks
 */
export function crossingKeys(
  { tables, foreignKeys }: { tables: readonly Table[]; foreignKeys: readonly ForeignKey[] },
  { back, stays }: { back: ReadonlySet<string>; stays: ReadonlySet<string> },
): ForeignKey[] {
  const { leavesBelow } = families(tables)
  const some = (name: string, of: ReadonlySet<string>) => leavesBelow(name).some((leaf) => of.has(leaf))
  return foreignKeys.filter(
    ({ derived, from, to }) =>
      !derived && ((some(from, back) && some(to, stays)) || (some(from, stays) && some(to, back))),
  )
}

/** A restore of all that the backup holds leaves rows that find no parent as they are, with a key that is NOT VALID. */
export function crossingIn({
  operation,
  selection,
}: Pick<Planning, 'operation' | 'selection'>): DatabaseInRestore['crossing'] {
  return operation === 'reset-to' || selection.tables !== undefined ? 'refuse' : 'warn'
}

/** What a dry run says of them. */
export function warnOfCrossing(keys: readonly ForeignKey[]): Warning[] {
  if (keys.length === 0) return []
  const named = keys.map(({ name, from, to }) => `${from} refers to ${to} (${name})`)
  const message = `Foreign keys between tables that are put back and tables that stay: ${shortList(named)}. Where a row does not find there what it refers to, the run is refused and changes nothing`
  return [{ code: 'KeysCrossSelection', message }]
}
