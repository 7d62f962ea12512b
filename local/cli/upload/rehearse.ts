import { counted } from '../../../lib/amounts.ts'
import type { Warning } from '../../../lib/backup/manifest.ts'
import type { BackedUpTable, DatabaseSection, TablePart } from '../../../lib/backup/sections/database.ts'
import { fingerprintFormatOf } from '../../../lib/backup/sections/fingerprint.ts'
import type { Clients } from '../../../lib/clients.ts'
import { checkTables } from '../../../lib/database/catalog/schema-differences.ts'
import { readTables } from '../../../lib/database/catalog/tables.ts'
import { readFingerprints } from '../../../lib/database/fingerprints.ts'
import { compareLoaded } from '../../../lib/database/load/compare.ts'
import { loadParts } from '../../../lib/database/load/load.ts'
import { wholeOf } from '../../../lib/database/load/loaded.ts'
import { differencesOf } from '../../../lib/database/row-differences.ts'
import { checkLoaded } from '../../../lib/database/scratch/create.ts'
import { dropScratch } from '../../../lib/database/scratch/drop.ts'
import { scratchTableOf } from '../../../lib/database/scratch/schema.ts'
import { BackupDamaged } from '../../../lib/errors.ts'
import type { Connection } from '../../../lib/postgres/connection.ts'
import { databaseError } from '../../../lib/postgres/errors.ts'
import { acrossVersions, otherVersion } from '../../../lib/postgres/version.ts'

type Part = { runId: string; table: BackedUpTable; part: TablePart; database: DatabaseSection }

/** The fingerprint of one part's rows, which no document tells, by loading it alone. @throws BackupDamaged, SchemaChanged */
export async function fingerprintOf(
  clients: Clients,
  connection: Connection,
  { runId, table, part, database }: Part,
): Promise<string> {
  const own = `${runId}/${table.oid}/${part.shard}`
  return dropping(connection, own, async () => {
    await load(clients, own, { table, part, wroteBy: database.serverVersion })
    const asked = [{ of: scratchTableOf(own, table), expected: part.rows }]
    const [found] = await readFingerprints(connection, asked, fingerprintFormatOf(database))
    return found?.fingerprint ?? '0'
  })
}

/**
 * Loads all parts of a database that is not sealed yet, compares every row with what was signed of its table, and tries what a restore
 * would meet. What it made is dropped again.
 * @param check throws when it is to end
 * @throws BackupDamaged when rows are not those that were signed; RehearsalFailed, SchemaChanged
 */
export async function rehearse(
  clients: Clients,
  connection: Connection,
  {
    runId,
    database,
    original,
    check,
  }: { runId: string; database: DatabaseSection; original: DatabaseSection; check: () => void },
): Promise<{ serverVersion: string; warnings: Warning[] }> {
  const { tables } = database
  const wroteBy = original.serverVersion
  return dropping(connection, runId, async () => {
    await connection.query(`SET lock_timeout = ${clients.config.LOCK_TIMEOUT_MS}`)
    for (const table of tables) {
      for (const part of table.parts) {
        check()
        await load(clients, runId, { table, part, wroteBy })
      }
    }
    const live = await readTables(connection, clients.config.DATABASE_SCHEMAS)
    checkTables(tables, live)
    const written = tables.filter(({ rows }) => rows > 0)
    await checkLoaded(connection, { runId, tables: written })
    const versions = { wroteBy, server: live.serverVersion }
    const fingerprints = fingerprintFormatOf(original)
    const signed = original.tables.filter(({ rows }) => rows > 0)
    refuse(
      await differencesOf(connection, { tables: signed, fingerprints }, (table) =>
        scratchTableOf(runId, table),
      ),
      otherVersion(versions),
    )
    check()
    const compared = await compareLoaded(connection, {
      ...{ runId, tables, loaded: wholeOf(tables), fingerprints, live, isCurrent: false },
    }).catch((error: unknown) => {
      throw acrossVersions(error, versions)
    })
    return { serverVersion: live.serverVersion, warnings: compared.warnings }
  })
}

/** Works with the scratch tables of `runId` and drops them again, whatever happens. What happened is told, not that nothing can be dropped on a connection that broke: the next run does. */
async function dropping<Result>(
  connection: Connection,
  runId: string,
  work: () => Promise<Result>,
): Promise<Result> {
  let result: Result
  try {
    result = await work()
  } catch (error) {
    await dropScratch(connection, runId).catch(() => {})
    throw databaseError(error)
  }
  await dropScratch(connection, runId).catch((error: unknown) => {
    throw databaseError(error)
  })
  return result
}

async function load(
  clients: Clients,
  runId: string,
  { table, part, wroteBy }: { table: BackedUpTable; part: TablePart; wroteBy: string },
): Promise<void> {
  await loadParts(clients, { runId, parts: [{ table, part }], wroteBy, check: checkTables }, async () => {})
}

function refuse(differences: readonly { what: string }[], versions: string): void {
  if (differences.length === 0) return
  const first = differences.slice(0, 5).map(({ what }) => what)
  throw new BackupDamaged(
    `The rows in the folder are not those that were signed, in ${counted(differences.length, 'table')}: ${first.join('; ')}. Nothing became a backup; download it once more${versions}`,
  )
}
