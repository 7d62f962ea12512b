import type { BrokenKey } from '../../database/schema/difference.ts'
import { rowsThatBreak } from '../../database/words.ts'
import type { Refusal } from '../planning/plan-summary.ts'

/**
 * Why the run that a dry run stands for would be refused under its locks, as it would say then; null: all keys hold that were counted.
 * @param ofReset it would be a reset to the backup, of which tables are preserved; else a restore of some tables
 */
export function refusalOfKeys(broken: readonly BrokenKey[], ofReset: boolean): Refusal | null {
  const [key] = broken
  if (key === undefined) return null
  const more = broken.length > 1 ? `; and ${broken.length - 1} more foreign keys would not hold` : ''
  const message = `${rowsThatBreak(key)} (${key.name})${more}. Nothing would be changed; ${wayOut(key, ofReset)}`
  return { name: nameOf(key, ofReset), message }
}

function nameOf({ coming, later }: BrokenKey, ofReset: boolean): string {
  if (coming > 0) return ofReset ? 'PreservationConflict' : 'ParentsMissing'
  return later ? 'SchemaChanged' : 'PreservationConflict'
}

function wayOut({ from, to, coming, later }: BrokenKey, ofReset: boolean): string {
  if (later) {
    return coming > 0
      ? `put these rows into ${to} first, which the backup does not hold, or ${ofReset ? `preserve ${from}` : `leave ${from} out`}`
      : `correct the rows of ${from}, which the backup does not hold, or drop the key`
  }
  if (coming > 0)
    return ofReset
      ? `preserve ${from}, too, or do not preserve ${to}`
      : `say "includeParents", or name ${to} in "tables" as well`
  return ofReset
    ? `preserve ${to}, too, or do not preserve ${from}`
    : `name ${from} in "tables" as well, or leave ${to} out`
}
