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
import { withConnection } from '../../postgres/with-connection.ts'
import { nothing, preservedBy } from '../../store/preserve.ts'
import type { Plan } from '../planning/plan.ts'
import { lastPassed, readDoubts } from './doubts.ts'

/** Differences that a warning names; the rest is counted. */
const named = 5

/** Milliseconds for all of it, and for one statement: what is being sealed is worth more than a warning. */
const patience = { all: 60_000, statement: 15_000 }

/**
 * Warnings of labelled backups to which a reset would be refused, for the live tables have outgrown them, or they cannot be read or
 * believed; and of those to which it may be. One manifest is read for each, or two. Whatever goes wrong is a warning, and never fails the
 * backup that is being sealed. A label that this one is to have is not looked at: it is being renewed.
 * @see docs/decisions.md#a-baseline-is-found-outdated-before-the-night
 */
export async function lookAtBaselines(
  clients: Clients,
  { clears, naming }: Pick<Plan, 'clears' | 'naming'>,
  within = patience,
): Promise<Warning[]> {
  if (!clears.includes('database')) return []
  try {
    return await withConnection(clients, (connection) =>
      outdatedBaselines(clients, connection, naming?.label ?? null, within),
    )
  } catch (error) {
    const message = `Whether a reset to a labelled backup would be refused could not be looked at: ${messageOf(error)}. The next backup looks again`
    return [{ code: 'BaselineMayBeOutdated', message }]
  }
}

async function outdatedBaselines(
  clients: Pick<Clients, 'backups' | 'config'>,
  connection: Connection,
  moves: string | null,
  within: typeof patience,
): Promise<Warning[]> {
  const labels = await readLabels(connection)
  if (moves !== null) labels.delete(moves)
  if (labels.size === 0) return []
  const { DATABASE_SCHEMAS, LOCK_TIMEOUT_MS } = clients.config
  const until = performance.now() + within.all
  await connection.query(`SET statement_timeout = ${within.statement}; SET lock_timeout = ${LOCK_TIMEOUT_MS}`)
  const catalog = await readCatalog(connection, DATABASE_SCHEMAS, LOCK_TIMEOUT_MS)
  const warnings: Warning[] = []
  const late: string[] = []
  for (const [backupId, its] of labelsByBackup(labels)) {
    const name = its.map((label) => `"${label}"`).join(' and ')
    if (performance.now() >= until) {
      late.push(name)
      continue
    }
    const { refused, doubts } = await lookAt(clients, connection, catalog, backupId)
    const renew = `enew it: take a backup with that label when the stores hold what they should`
    if (refused !== null) {
      const message = `A reset to ${name} (${backupId}) would be refused: ${refused}. R${renew}`
      warnings.push({ code: 'BaselineOutdated', message })
    } else if (doubts.length > 0) {
      const message = `A reset to ${name} (${backupId}) may be refused, or leave a check or a foreign key NOT VALID, which only its rows can tell: ${listed(doubts)}. Reset to it once while somebody looks, or r${renew}`
      warnings.push({ code: 'BaselineMayBeOutdated', message })
    }
  }
  if (late.length > 0) {
    const message = `Whether a reset to ${listed(late)} would be refused was not looked at: after ${within.all / 1000} s the backup was sealed. Remove labels that nobody uses`
    warnings.push({ code: 'BaselineMayBeOutdated', message })
  }
  return warnings
}

function listed(lines: readonly string[]): string {
  const more = lines.length > named ? `; and ${lines.length - named} more` : ''
  return `${lines.slice(0, named).join('; ')}${more}`
}

/** `refused`: why a reset to it would be, null: not for what can be told; then `doubts` has what it may be refused for. */
async function lookAt(
  { backups, config }: Pick<Clients, 'backups' | 'config'>,
  connection: Connection,
  catalog: Catalog,
  backupId: string,
): Promise<{ refused: string | null; doubts: string[] }> {
  const read = (id: string) => readBackup(backups, config.BACKUP_PREFIX, id)
  const refused = (why: string) => ({ refused: why, doubts: [] })
  try {
    const backup = await read(backupId)
    if (backup.authentic !== 'signed') return refused(`nobody known here signed it (${backup.authentic})`)
    const { database } = withoutStaying(backup, catalog, config)
    if (database === null || backup.database === null) return { refused: null, doubts: [] }
    const { blocking } = schemaDifferences(database, catalog)
    if (blocking.length > 0) return refused(`the live tables have outgrown it: ${listed(blocking)}`)
    const passed = async () => {
      const id = await lastPassed(connection, backupId)
      const before = id === undefined ? null : await read(id).catch(() => null)
      return before?.authentic === 'signed' ? before.database : null
    }
    const asked = { held: backup.database, back: database, excluded: config.EXCLUDE_TABLES, passed }
    const doubts = await readDoubts(connection, catalog, asked).catch((error: unknown) => [
      `what the live tables ask of rows cannot be read (${messageOf(error)})`,
    ])
    return { refused: null, doubts }
  } catch (error) {
    return refused(`it cannot be read: ${messageOf(error)}`)
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
