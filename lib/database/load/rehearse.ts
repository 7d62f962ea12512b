import * as z from 'zod'
import { putOnce } from '../../backup/documents/write-once.ts'
import { workKeys } from '../../backup/layout.ts'
import { Warning } from '../../backup/manifest.ts'
import type { Clients } from '../../clients.ts'
import { RehearsalFailed } from '../../errors.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError } from '../../postgres/errors.ts'
import { acrossVersions } from '../../postgres/version.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { exists } from '../../s3/bucket.ts'
import { refuseChanges } from '../catalog/changes.ts'
import { readTables } from '../catalog/tables.ts'
import { readRequirements } from '../constraints/requirements.ts'
import type { Rehearsed } from '../export/results.ts'
import { named } from '../plan/restore-rights.ts'
import { readSpared } from '../restore/spared.ts'
import type { PlannedDatabase } from '../schema/plan.ts'
import { checkLoaded, ensureScratch, findMigrated } from '../scratch/create.ts'
import { dropScratch } from '../scratch/drop.ts'
import { type Comparison, compareLoaded, compareRows } from './compare.ts'
import { loadParts } from './load.ts'
import { backupParts, exportedParts, type LoadedBackup, type Source } from './sources.ts'
import { tryReplace } from './trial-replace.ts'

/** What "Compare backup" of a verify found, for its outcome. A restore says itself what came back otherwise. */
export const Compared = z.strictObject({ warnings: z.array(Warning) })
export type Compared = z.output<typeof Compared>

type OnProgress = (done: number, total: number) => Promise<void>

/** Loads what one batch of the run exported into its scratch schema. Repeating it doubles nothing. */
export async function loadExported(
  clients: Clients,
  { batch, ...exported }: PlannedDatabase & { batch: number },
  progress: OnProgress,
): Promise<void> {
  const { run } = exported
  if (await exists(clients.backups, workKeys(run).rehearsed)) return // compared and dropped already
  await loadBatch(clients, { run, batch, source: exportedParts(clients, exported) }, progress)
}

/** The same with one batch of a backup's parts. */
export async function loadBackup(
  clients: Clients,
  { run, batch, ...loaded }: LoadedBackup & { run: RunRef; batch: number },
  progress: OnProgress,
): Promise<void> {
  await loadBatch(clients, { run, batch, source: backupParts(clients, loaded) }, progress)
}

async function loadBatch(
  clients: Clients,
  { run: { runId }, batch, source }: { run: RunRef; batch: number; source: Source },
  progress: OnProgress,
): Promise<void> {
  const { parts, wroteBy } = await source.partsOf(batch)
  if (parts.length === 0) return // all of it was proved before
  await loadParts(clients, { runId, parts, wroteBy, check: source.check }, progress)
}

/**
 * Compares the scratch schema with what was exported, and notes when. Then the schema is dropped, also when they differ; any
 * other error leaves it for the repeat, or for Finish.
 * @param wipes whether the run wipes or replaces the tables afterwards: then it may lock them to try a restore
 * @throws RehearsalFailed listing the tables, BackupIsStale when they were altered since
 * @throws DatabaseBusy when one of them is locked for longer than LOCK_TIMEOUT_MS
 */
export async function compareExported(
  clients: Clients,
  { wipes, ...exported }: PlannedDatabase & { wipes: boolean },
): Promise<void> {
  const { run } = exported
  const bucket = clients.backups
  const done = workKeys(run).rehearsed
  await withConnection(clients, async (connection) => {
    if (await exists(bucket, done)) return await dropScratch(connection, run.runId)
    const source = exportedParts(clients, exported)
    const backedUp = await source.tables()
    const warnings: Warning[] = []
    let requirements = new Map<string, string>()
    try {
      const compared = await compareTables(clients, connection, {
        run,
        source,
        backedUp,
        isComparedLater: false,
      })
      warnings.push(...compared.warnings)
      // What is to be told of rows has to be found again by the next run.
      if (warnings.length === 0) requirements = compared.requirements
      const { reading } = compared
      // A restore fills tables that are empty. A run that takes nothing away keeps nobody from his rows to try that.
      if (reading.length > 0 && !wipes) warnings.push(untried(reading))
      else if (reading.length > 0)
        warnings.push(
          ...(await tryReplace(clients, connection, { ...exported, tables: backedUp.tables, reading })),
        )
    } catch (error) {
      // Another invocation of the step was faster, and has dropped what this one was reading.
      const isDone = await exists(bucket, done)
      if (isDone || error instanceof RehearsalFailed) await dropScratch(connection, run.runId)
      if (isDone) return
      throw databaseError(error)
    }
    const noted: z.input<typeof Rehearsed> = {
      rehearsedAt: clients.now().toISOString(),
      warnings,
      requirements: Object.fromEntries(requirements),
    }
    await putOnce(bucket, done, noted)
    await dropScratch(connection, run.runId)
  })
}

/**
 * Proves of a loaded backup, before a live table is touched, that these would take its rows; and that its rows are what was
 * backed up, unless a rehearsal on this very server has: the restore compares the live ones with the backup before it commits.
 * @throws RehearsalFailed listing the tables
 * @throws DatabaseBusy when one of the live tables is locked for longer than LOCK_TIMEOUT_MS
 * @see docs/decisions.md#a-restore-compares-rows-where-they-stay
 */
export async function compareBackup(clients: Clients, loaded: LoadedBackup & { run: RunRef }): Promise<void> {
  await compare(clients, loaded, true)
}

/** The same for the backup that a verify is about, of which every row is compared; what it found is left for the outcome. */
export async function compareVerified(
  clients: Clients,
  loaded: LoadedBackup & { run: RunRef },
): Promise<void> {
  const { warnings } = await compare(clients, loaded, false)
  const compared: Compared = { warnings }
  await putOnce(clients.backups, workKeys(loaded.run).compared, compared)
}

async function compare(
  clients: Clients,
  { run, ...loaded }: LoadedBackup & { run: RunRef },
  isComparedLater: boolean,
): Promise<Comparison> {
  const source = backupParts(clients, loaded)
  const backedUp = await source.tables()
  return withConnection(clients, async (connection) => {
    try {
      return await compareTables(clients, connection, { run, source, backedUp, isComparedLater })
    } catch (error) {
      if (error instanceof RehearsalFailed) await dropScratch(connection, run.runId)
      throw databaseError(error)
    }
  })
}

type Comparing = {
  run: RunRef
  source: Source
  backedUp: Awaited<ReturnType<Source['tables']>>
  isComparedLater: boolean
}

async function compareTables(
  clients: Clients,
  connection: Connection,
  { run: { runId }, source, backedUp, isComparedLater }: Comparing,
): Promise<Comparison & { requirements: Map<string, string> }> {
  const { tables, fingerprints, provedBy, wroteBy } = backedUp
  await connection.query(`SET lock_timeout = ${clients.config.LOCK_TIMEOUT_MS}`)
  const live = await readTables(connection, clients.config.DATABASE_SCHEMAS)
  source.check(tables, live)
  const { isCurrent } = source
  // Read before the trial takes constraints away.
  const requirements = isCurrent ? await readRequirements(connection, live.tables) : new Map<string, string>()
  checkRequirements(backedUp, requirements)
  await ensureScratch(connection, { runId, tables: backedUp.loaded.tables })
  source.refuseMigrated(await findMigrated(connection, { runId, tables }))
  // Only a restore spares any: what is noted by a load of the attempt before, which has woken up, is no rehearsal's.
  const spared = isComparedLater ? await readSpared(connection, runId) : new Map()
  const asksTheSame = (name: string) => requirements.get(name) === backedUp.requirements[name]
  const loaded = {
    ...backedUp.loaded,
    tables: backedUp.loaded.tables.filter(({ name }) => !spared.has(name)),
    known: new Set([...backedUp.loaded.known].filter(asksTheSame)),
  }
  await checkLoaded(connection, { runId, tables: loaded.tables })
  try {
    if (!(isComparedLater && provedBy === live.serverVersion))
      await compareRows(connection, { runId, tables: loaded.tables, fingerprints })
    const compared = await compareLoaded(connection, { runId, tables, loaded, fingerprints, live, isCurrent })
    return { ...compared, requirements }
  } catch (error) {
    throw acrossVersions(error, { wroteBy, server: live.serverVersion })
  }
}

/** Rows that are not loaded were proved under what their table asked then. @throws BackupIsStale when it asks another thing now */
function checkRequirements(
  { tables, loaded: { whole }, requirements }: Comparing['backedUp'],
  now: ReadonlyMap<string, string>,
): void {
  const changed = tables.filter(({ name }) => !whole.has(name) && now.get(name) !== requirements[name])
  refuseChanges(changed.map(({ name }) => `what ${name} asks of its rows was changed`))
}

function untried(reading: readonly string[]): Warning {
  const message = `It is not proved that a restore can put the rows back: ${named(reading)}, which ${reading.length === 1 ? 'reads' : 'read'} tables for each row that is put in, would have to be tried on the live tables, which a backup does not lock. A reset that rehearses its backup tries it before it wipes, where there is time`
  return { code: 'NotProved', message }
}
