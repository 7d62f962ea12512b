import type { SealedBackup } from '../../backup/sealed-backup.ts'
import type { Total } from '../../store/words.ts'
import { perStore, type Target, targets } from '../../store.ts'
import { words } from '../../stores/words.ts'

/** How many things of each store a listed backup holds; null: it leaves the store out. */
export function heldBy(backup: Pick<SealedBackup, Total>): Record<Target, number | null> {
  return perStore((target) => backup[words[target].total])
}

/** Whether a backup of these stores has something that passed through our hands, and was read back. */
export function isWritten(stores: readonly Target[]): boolean {
  return stores.some((target) => words[target].copied === undefined)
}

/** The stores of which there is something, or at least a count. */
export function storesIn(held: Record<Target, unknown>): Target[] {
  return targets.filter((target) => held[target] !== null)
}
