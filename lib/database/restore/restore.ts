import * as z from 'zod'
import { type Manifest, Warning } from '../../backup/manifest.ts'
import { fingerprintFormatOf } from '../../backup/sections/fingerprint.ts'
import type { Clients } from '../../clients.ts'
import { BackupIsStale, messageOf, ResetError, SchemaChanged } from '../../errors.ts'
import { checkEnvironmentRow } from '../../ledger/environment.ts'
import { recordRestored } from '../../ledger/records.ts'
import { fenceRun } from '../../ledger/step.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError } from '../../postgres/errors.ts'
import { acrossVersions } from '../../postgres/version.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { readCatalog } from '../catalog/catalog.ts'
import { checkSchema } from '../catalog/schema-differences.ts'
import type { Table } from '../catalog/table.ts'
import type { Tables } from '../catalog/tables.ts'
import { readWritten } from '../catalog/written.ts'
import type { Staying } from '../constraints/crossing.ts'
import { bytesHeld } from '../locks/duration.ts'
import { locksOfRestore } from '../locks/of-restore.ts'
import { type Locked, whileLocked } from '../locks/transaction.ts'
import { isOfTheRows } from '../savepoint.ts'
import { changedIn, type DatabasePlan, keptIn, type PlannedDatabase } from '../schema/plan.ts'
import { dropScratch } from '../scratch/drop.ts'
import { Refreshed, refreshViews } from '../views.ts'
import { proveBackup, readOwnManifest } from '../wipe/prove.ts'
import { divideTables } from './divide.ts'
import { lookAtKept, refuseKeptWritten } from './kept.ts'
import { compareLive, replaceRows } from './replace-rows.ts'
import { refuseWritten } from './unchanged.ts'

/** Rows that are there again, per table and in all; parts that the safety backup got anew; columns that kept their default. */
export const DatabaseRestored = z.strictObject({
  rows: z.number(),
  tables: z.record(z.string(), z.number()),
  lateParts: z.number(),
  newColumns: z.array(z.string()),
  /** Tables that held the backup's rows already, and were not touched. */
  unchanged: z.array(z.string()).default([]),
  /** Tables of which only rows that differed were taken out and put in. */
  differing: z.array(z.string()).default([]),
  /** What did not come back exactly as it was. */
  warnings: z.array(Warning).default([]),
  /** null: not tried yet. */
  views: Refreshed.nullable().default(null),
})
export type DatabaseRestored = z.output<typeof DatabaseRestored>

type DatabaseRestore = PlannedDatabase & {
  /** Without what is left out of it. */
  backup: Manifest
  /** The backup of what it replaces; null: the run was told to take none. */
  backupId: string | null
  /** What of the backup is left out because it stays as it is, by names; null: nothing is. */
  staying?: { names: readonly string[]; ofReset: boolean } | null
}

/**
 * Swaps the rows of all tables of `backup` for those that were loaded into the scratch schema, but for the tables that hold
 * them already, in one transaction, in which it first proves that the safety backup holds exactly what it is about to remove. A repeat after a lost answer
 * returns what the first try recorded. The scratch schema is left to Finish: dropping it would need as many locks again in
 * the same transaction, and after it a failure would be told of a restore that is done.
 * @throws SchemaChanged, BackupIsStale, DatabaseBusy, RunLost, RehearsalFailed, PreservationConflict, ParentsMissing: in each case the live tables are as before
 */
export async function restoreDatabase(
  clients: Clients,
  { run, planned, backup, backupId, staying = null }: DatabaseRestore,
): Promise<DatabaseRestored> {
  const { runId } = run
  const safety = backupId === null ? null : await readOwnManifest(clients, { runId, backupId })
  const restored = await withConnection(clients, async (connection) => {
    try {
      await connection.query(`SET lock_timeout = ${clients.config.LOCK_TIMEOUT_MS}`)
      // Before any lock: a run that is lost, or has restored already, must not hold up the application.
      const earlier = await fenceRun(connection, runId)
      if (earlier !== null) return DatabaseRestored.parse(earlier)
      const locks = await locksOfRestore(connection, planned)
      return await whileLocked(clients, connection, { runId, locks }, (within, locked) =>
        replaceTables(clients, within, { run, locked, planned, backup, safety, staying }),
      )
    } catch (cause) {
      const versions = { wroteBy: backup.database?.serverVersion ?? null, server: planned.serverVersion }
      const error = acrossVersions(refusal(databaseError(cause)), versions)
      // The next attempt rehearses its own safety backup first, in the same schema.
      if (error instanceof BackupIsStale) await startOver(connection, runId)
      throw error
    }
  })
  if (restored.views !== null || backup.database === null) return restored
  const tables = changedIn(planned.tables)
  const views = await refreshViews(clients, { runId, tables, planned: planned.views })
  return { ...restored, views }
}

async function startOver(connection: Connection, runId: string): Promise<void> {
  await connection.query('ROLLBACK')
  await dropScratch(connection, runId)
}

/** Rows that the live tables refuse were fine when they were backed up: an index, a type or a function is another one now. */
function refusal(error: unknown): unknown {
  if (error instanceof ResetError || !isOfTheRows(error)) return error
  return new SchemaChanged(
    `The live tables do not take the backup's rows: ${messageOf(error)}. Nothing was changed; bring the index, the type or the function that refuses them back to what it was, then restore`,
    { cause: error },
  )
}

/** The tables that the plan leaves as they are, as they are now. */
function keptOf({ tables }: DatabasePlan, catalog: Tables): Table[] {
  const kept = new Set(keptIn(tables).map(({ name }) => name))
  return catalog.tables.filter(({ name }) => kept.has(name))
}

async function replaceTables(
  clients: Clients,
  connection: Connection,
  {
    run: { runId },
    planned,
    backup,
    safety,
    staying,
    locked: { checkNames, commit },
  }: Omit<DatabaseRestore, 'backupId'> & { safety: Manifest | null; locked: Locked },
): Promise<DatabaseRestored> {
  const { database } = backup
  if (database === null) return DatabaseRestored.parse({ rows: 0, tables: {}, lateParts: 0, newColumns: [] })
  const began = performance.now()
  const recorded = await fenceRun(connection, runId)
  if (recorded !== null) return DatabaseRestored.parse(recorded)
  await checkEnvironmentRow(connection, clients.config)
  const catalog = await readCatalog(connection, clients.config.DATABASE_SCHEMAS)
  const newColumns = checkSchema(database, catalog)
  const live = catalog.tables.filter(({ name }) => database.tables.some((table) => table.name === name))
  const before = await readWritten(connection, live)
  const kept = staying && (await lookAtKept(connection, keptOf(planned, catalog)))
  const proven =
    safety === null
      ? null
      : await proveBackup(clients, connection, {
          ...{ runId, manifest: safety, going: live, catalog, checkNames },
          backedUp: planned.tables.map(({ table }) => table),
        })
  const fingerprints = fingerprintFormatOf(database)
  const { pairs, others, differing } = await divideTables(connection, {
    ...{ runId, bucket: clients.backups, live, backedUp: { tables: database.tables, fingerprints } },
    held: proven && { tables: proven.tables, fingerprints: fingerprintFormatOf(safety?.database ?? {}) },
  })
  const warnings = await replaceRows(connection, {
    ...{ runId, sequences: database.sequences, pairs, differing },
    unchanged: others.map(({ live }) => live),
    staying: staying ? stayingIn(catalog, staying) : null,
  })
  warnings.push(...(await compareLive(connection, { runId, pairs, fingerprints, differing })))
  await refuseWritten(connection, others, { before, fingerprints })
  if (kept) await refuseKeptWritten(connection, kept)
  const restored: DatabaseRestored = {
    rows: database.rows,
    tables: Object.fromEntries(database.tables.map(({ name, rows }) => [name, rows])),
    lateParts: proven?.lateParts ?? 0,
    newColumns,
    unchanged: others.map(({ table }) => table.name),
    differing: [...differing.keys()],
    warnings,
    views: null,
  }
  // What was left alone took next to no time, of which the next one must not be estimated.
  const bytes = others.length + differing.size > 0 ? 0 : Math.max(planned.bytes, bytesHeld(database.tables))
  const took = { bytes, milliseconds: Math.round(performance.now() - began) }
  await recordRestored(connection, runId, restored, took)
  await commit()
  return restored
}

function stayingIn({ tables }: Tables, { names, ofReset }: NonNullable<DatabaseRestore['staying']>): Staying {
  return { tables: new Set(tables.flatMap(({ name, oid }) => (names.includes(name) ? oid : []))), ofReset }
}
