import type { Warning } from '../../backup/manifest.ts'
import { LabelRefused } from '../../errors.ts'
import { keepRoomFor } from '../../ledger/labels/labels.ts'
import type { RunRow } from '../../ledger/runs.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Outcome } from '../outcome.ts'
import type { PlanSummary } from '../planning/plan-summary.ts'

type Naming = NonNullable<PlanSummary['naming']>

/**
 * What the run's backup is to be called from its end on, and what is said about that; in the transaction of the end. A run that
 * failed leaves each label where it was. There was room for a new one when the run was counted; somebody may have taken it
 * since, which must not fail a backup that is there.
 */
export async function namingLeft(
  connection: Connection,
  summary: Pick<PlanSummary, 'naming'> | null,
  error: Outcome['error'],
): Promise<{ naming: Naming | null; warnings: Warning[] }> {
  const naming = summary?.naming ?? null
  if (naming === null || error !== null) return { naming: null, warnings: [] }
  try {
    if (naming.label !== null) await keepRoomFor(connection, naming.label)
    return { naming, warnings: [] }
  } catch (refused) {
    if (!(refused instanceof LabelRefused)) throw refused
    const message = `The backup did not get the label ${naming.label}: ${refused.message}`
    return { naming: { ...naming, label: null }, warnings: [{ code: refused.name, message }] }
  }
}

export function namedBy(naming: Naming | null, row: RunRow, { backupId }: Outcome) {
  if (naming === null || backupId === null) return null
  return { label: naming.label, note: naming.note, backupId, by: row.requestedBy }
}
