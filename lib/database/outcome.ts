import type { Warning } from '../backup/manifest.ts'
import type { DatabaseSection } from '../backup/sections/database.ts'
import type { RunRow } from '../ledger/runs.ts'
import { withConnection } from '../postgres/with-connection.ts'
import { isDue } from '../store/due.ts'
import type { Ender, Ending, TargetState } from '../store.ts'
import { DatabaseRestored } from './restore/restore.ts'
import type { DatabaseCounts } from './schema/outcome.ts'
import type { DatabaseRestoreInLedger, DatabaseSummary } from './schema/plan-summary.ts'
import { dropScratch } from './scratch/drop.ts'
import type { Refreshed } from './views.ts'
import { DatabaseWiped } from './wipe/wipe.ts'

type HeldDatabase = Pick<DatabaseSection, 'rows' | 'tables' | 'takenOver'>

type DatabaseEnding = Ending<DatabaseSummary, DatabaseRestoreInLedger, HeldDatabase>

/** What the steps recorded in the transaction that changed the rows. */
export type DatabaseLeft = { wiped: DatabaseWiped | null; restored: DatabaseRestored | null }

/** What became of the database. All of it stands in the ledger, and what was not committed was not done. */
export const databaseEnd: Ender<
  DatabaseSummary,
  DatabaseRestoreInLedger,
  HeldDatabase,
  DatabaseLeft,
  DatabaseCounts
> = {
  inLedger: ({ wiped, restored }) => ({
    wiped: wiped === null ? null : DatabaseWiped.parse(wiped),
    restored: restored === null ? null : DatabaseRestored.parse(restored),
  }),
  end: (ending, left) => ({
    counts: { state: stateOfDatabase(ending.row, ending.held), ...countsOf(ending, left) },
    warnings: warningsOf(ending, left),
    settled: (left.wiped ?? left.restored) === null ? [] : [staleViews],
    shortfall: {
      wipe: isDue('wiped', ending) && left.wiped === null ? 'the tables were not wiped' : null,
      restore: isDue('replaced', ending) && left.restored === null ? 'the tables were not put back' : null,
    },
  }),
  tidy: {
    otherwise: 'the scratch schema was not dropped',
    isForAll: true, // a verify loads a backup, too
    act: (clients, { runId }) => withConnection(clients, (connection) => dropScratch(connection, runId)),
  },
}

/** @param held the database's section of the manifest that the run sealed */
function stateOfDatabase(
  { wiped, restored }: Pick<RunRow, 'wiped' | 'restored'>,
  held: unknown,
): TargetState {
  if (restored !== null) return 'restored'
  if (wiped !== null) return 'wiped'
  return held ? 'backed_up' : 'untouched'
}

function countsOf({ held }: DatabaseEnding, { wiped, restored }: DatabaseLeft): DatabaseCounts {
  const taken = held === null ? {} : takenOverOf(held)
  const changed = restored ?? wiped
  if (changed !== null) return { rows: changed.rows, tables: changed.tables, ...taken }
  if (held === null) return { rows: 0, tables: {} }
  const tables = Object.fromEntries(held.tables.map(({ name, rows }) => [name, rows]))
  return { rows: held.rows, tables, ...taken }
}

function takenOverOf({ rows: all, takenOver }: HeldDatabase): Pick<DatabaseCounts, 'takenOver'> {
  if (takenOver === undefined) return {}
  const { backupId, rows, bytes } = takenOver
  return { takenOver: { backupId, rows, exported: all - rows, bytes } }
}

function warningsOf({ row, summary }: DatabaseEnding, { wiped, restored }: DatabaseLeft): Warning[] {
  const appeared = wiped?.appeared ?? []
  const before = row.backupId === null ? 'the count' : 'the backup'
  const message = `Created since ${before}, so not wiped: ${appeared.join(', ')}`
  return [
    ...warnOfStaleViews(summary?.planned?.views ?? [], wiped ?? restored),
    ...(restored?.warnings ?? []),
    ...(appeared.length === 0 ? [] : [{ code: 'TablesAppeared', message }]),
  ]
}

/** Also what a plan foretells; once the views were tried, that is what counts. */
const staleViews = 'ViewsNotRefreshed'

/**
 * The materialized views that still show what was wiped or replaced.
 * @param planned those that were to be refreshed
 * @param changed what the step that changed their tables left; null when it changed none
 */
export function warnOfStaleViews(
  planned: readonly string[],
  changed: { views: Refreshed | null } | null,
): Warning[] {
  if (changed === null) return []
  const stale =
    changed.views?.stale.map(({ name, reason }) => `${name} (${reason})`) ??
    planned.map((name) => `${name} (the step ended before)`)
  if (stale.length === 0) return []
  const more = stale.length > 20 ? ` and ${stale.length - 20} more` : ''
  return [
    {
      code: staleViews,
      message: `Materialized views that still show rows of before: ${stale.slice(0, 20).join(', ')}${more}. Refresh them (REFRESH MATERIALIZED VIEW)`,
    },
  ]
}
