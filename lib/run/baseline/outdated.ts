import type { Warning } from '../../backup/manifest.ts'
import type { Backup } from '../../backup/read.ts'
import { readBackup } from '../../backup/read.ts'
import type { Clients } from '../../clients.ts'
import { type Catalog, readCatalog } from '../../database/catalog/catalog.ts'
import { schemaDifferences } from '../../database/catalog/schema-differences.ts'
import { stayingOf } from '../../database/plan/actions/staying.ts'
import { leaveOut } from '../../database/plan/exclusions.ts'
import { messageOf, PreservationConflict } from '../../errors.ts'
import { labelsByBackup, readLabels } from '../../ledger/labels/labels.ts'
import type { Connection } from '../../postgres/connection.ts'
import { nothing, preservedBy } from '../../store/preserve.ts'

/** Differences that a warning names; the rest is counted. */
const named = 5

/**
 * Warnings of labelled backups to which a reset would be refused: the live tables have outgrown them, or they cannot be read or
 * believed. One manifest is read for each; what goes wrong with one is its warning, and never fails the backup that asks.
 * @param asked.moves a label that the run gives to its own backup, which is being renewed
 * @see docs/decisions.md#a-baseline-is-found-outdated-before-the-night
 */
export async function outdatedBaselines(
  clients: Pick<Clients, 'backups' | 'config'>,
  connection: Connection,
  { moves }: { moves: string | null },
): Promise<Warning[]> {
  const labels = await readLabels(connection)
  if (moves !== null) labels.delete(moves)
  if (labels.size === 0) return []
  const { DATABASE_SCHEMAS, LOCK_TIMEOUT_MS } = clients.config
  const catalog = await readCatalog(connection, DATABASE_SCHEMAS, LOCK_TIMEOUT_MS)
  const warnings: Warning[] = []
  for (const [backupId, its] of labelsByBackup(labels)) {
    const reason = await whyOutdated(clients, catalog, backupId)
    if (reason === null) continue
    const name = its.map((label) => `"${label}"`).join(' and ')
    const message = `A reset to ${name} (${backupId}) would be refused: ${reason}. Renew it: take a backup with that label when the stores hold what they should`
    warnings.push({ code: 'BaselineOutdated', message })
  }
  return warnings
}

/** null: a reset to it is not refused for that. */
async function whyOutdated(
  { backups, config }: Pick<Clients, 'backups' | 'config'>,
  catalog: Catalog,
  backupId: string,
): Promise<string | null> {
  try {
    const backup = await readBackup(backups, config.BACKUP_PREFIX, backupId)
    if (backup.authentic !== 'signed') return `nobody known here signed it (${backup.authentic})`
    const { database } = withoutStaying(backup, catalog, config)
    const { blocking } = database === null ? { blocking: [] } : schemaDifferences(database, catalog)
    if (blocking.length === 0) return null
    const more = blocking.length > named ? `; and ${blocking.length - named} more` : ''
    return `the live tables have outgrown it: ${blocking.slice(0, named).join('; ')}${more}`
  } catch (error) {
    return `it cannot be read: ${messageOf(error)}`
  }
}

/** What the configuration preserves stays as it is, so that it may differ. */
function withoutStaying(backup: Backup, catalog: Catalog, config: Clients['config']): Backup {
  if (backup.database === null) return backup
  const preserve = {
    ...preservedBy(nothing(), config),
    rows: config.PRESERVE_ROWS,
    excluded: config.EXCLUDE_TABLES,
  }
  try {
    const asked = { operation: 'reset-to', preserve, selection: {} } as const
    return leaveOut(backup, stayingOf(catalog, backup.database, asked))
  } catch (error) {
    if (error instanceof PreservationConflict) return backup // it is no matter of time: see the dry run of the reset
    throw error
  }
}
