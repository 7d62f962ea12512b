import type { Warning } from '../../backup/manifest.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import type { FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import type { Clients } from '../../clients.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Planning } from '../../store.ts'
import type { Table } from '../catalog/table.ts'
import type { DatabasePlan } from '../schema/plan.ts'
import { findBase, tablesOf } from './find.ts'
import { standingProofs } from './standing-proofs.ts'

/** `held`: what the base holds of tables that it can be taken over for, by name, with the proofs that count. */
type Chosen = { base: DatabasePlan['base']; held: Map<string, BackedUpTable>; warnings: Warning[] }

/**
 * What a backup takes over from. A dry run looks for none, because it writes no work lists.
 * @throws StoreUnavailable, NotPermitted when S3 does not list the backups
 */
export async function chooseBase(
  clients: Pick<Clients, 'backups' | 'config'>,
  connection: Connection,
  { takesBackup, dryRun, takeOver, startedAt }: Planning,
  here: {
    tables: readonly Table[]
    fingerprints: FingerprintFormat
    serverVersion: string
    /** Whether what is exported is loaded; `all`: also what was proved. */
    rehearse: boolean | 'all'
    /** Tables are wiped or replaced. */
    wipes: boolean
  },
): Promise<Chosen> {
  const none = { base: null, held: new Map() }
  if (!takesBackup || dryRun || !takeOver) return { ...none, warnings: [] }
  const { base, warnings } = await findBase(clients, here)
  if (base === null) return { ...none, warnings }
  const { tables, ...proofs } = await standingProofs(connection, {
    tables: base.tables,
    live: here.tables,
    at: { startedAt, baseAt: base.startedAt, withinDays: clients.config.REHEARSE_WITHIN_DAYS },
    sameServer: base.serverVersion === here.serverVersion,
    rehearse: here.rehearse,
    wipes: here.wipes,
  })
  const { backupId, startedAt: baseAt } = base
  return {
    base: { backupId, startedAt: baseAt, ...proofs },
    held: tablesOf({ tables }, here.tables),
    warnings,
  }
}
