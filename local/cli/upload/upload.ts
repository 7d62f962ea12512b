import { randomUUID } from 'node:crypto'
import { manifestProblems } from '../../../lib/backup/consistency.ts'
import { sealed } from '../../../lib/backup/digest.ts'
import { putJson } from '../../../lib/backup/documents/write.ts'
import { writeOnce } from '../../../lib/backup/documents/write-once.ts'
import { type BackupKeys, backupIdOf, backupKeys } from '../../../lib/backup/layout.ts'
import { Manifest, type Warning } from '../../../lib/backup/manifest.ts'
import { findOwnManifest } from '../../../lib/backup/read.ts'
import { putTombstone } from '../../../lib/backup/retention/tombstone.ts'
import type { Clients } from '../../../lib/clients.ts'
import { checkRehearsal } from '../../../lib/database/plan/rehearsal.ts'
import { BackupIncomplete, StoreUnavailable } from '../../../lib/errors.ts'
import { checkMark, placeOfName, readEnvironment } from '../../../lib/ledger/environment.ts'
import { databaseClock } from '../../../lib/postgres/clock.ts'
import type { Connection } from '../../../lib/postgres/connection.ts'
import { checkObjects } from '../../../lib/run/seal.ts'
import { listFolders } from '../../../lib/s3/list.ts'
import { toolVersion } from '../../../lib/version.ts'
import { uploadCache } from './cache.ts'
import { uploadFiles } from './files.ts'
import { givingWay, whileIdle } from './give-way.ts'
import { OpenedFolder } from './opened-folder.ts'
import { readOriginal } from './original.ts'
import { fingerprintOf, rehearse } from './rehearse.ts'
import { uploadTables } from './tables.ts'

type Wanted = {
  folder: string
  by: string
  /** Told in a sentence how far it is. */
  report: (text: string) => void
  /** Ends it between two objects. */
  signal: AbortSignal
  /** Bytes of rows in a part; absent: as many as an export puts there. */
  partBytes?: number
}

type Work = {
  connection: Connection
  folder: OpenedFolder
  original: Manifest
  runId: string
  backupId: string
  keys: BackupKeys
  partBytes: number | undefined
  /** Looks whether a run has begun, of which `goOn` knows then. */
  look: () => Promise<void>
  /** Says how far it is. @throws what is in the way */
  goOn: (text?: string) => void
}

/**
 * Makes a backup of the folder of a download. It is written as every backup is, its manifest last: until all of it was read back, and
 * all rows were loaded and compared with what was signed of them, there is none, and nothing can be put back from it. What is
 * left of a try that did not come to its end, a prune takes away.
 * @throws InvalidRequest, BackupDamaged, BackupUnsigned, ForeignBackup, SchemaChanged, RehearsalFailed, RunActive, EnvironmentMismatch
 * @see docs/decisions.md#an-upload-is-a-backup-once-it-is-proved
 */
export async function upload(
  given: Clients,
  { folder: path, by, report, signal, partBytes }: Wanted,
): Promise<Manifest> {
  const clients = givingWay(given)
  const folder = await OpenedFolder.open(path)
  const original = await readOriginal(clients, folder)
  const prefix = clients.config.BACKUP_PREFIX
  return whileIdle(clients, async ({ connection, check, look }) => {
    const environment = await readEnvironment(connection)
    checkMark(placeOfName, environment?.name, clients.config)
    const runId = `upload-${randomUUID()}`
    const { startedAt, database: held } = original
    const backupId = backupIdOf({ runId, attempt: 0, startedAt })
    const keys = backupKeys(prefix, backupId)
    if (held !== null) await checkRehearsal(clients, connection, { runId, held })
    if ((await listFolders(clients.backups, prefix)).includes(backupId))
      throw new StoreUnavailable(`There is a folder ${backupId} already. Nothing was written; upload again`)
    const goOn = (text?: string) => {
      check()
      signal.throwIfAborted()
      if (text !== undefined) report(text)
    }
    const work = { connection, folder, original, runId, backupId, keys, partBytes, look, goOn }
    try {
      return await seal(clients, work, by)
    } catch (error) {
      const made = await leave(clients, work).catch(() =>
        report(
          `What was written of ${backupId} stays: it is a backup only where the list of backups has it.`,
        ),
      )
      if (made) return made // the answer alone was lost
      throw error
    }
  })
}

async function seal(clients: Clients, work: Work, by: string): Promise<Manifest> {
  const { backups: bucket, config } = clients
  const { original, runId, backupId, keys, goOn } = work
  const now = await databaseClock(clients)
  const stores = await writeStores(clients, work)
  const readBackAt = now().toISOString()
  const { database, warnings } = await proved(clients, work, stores)
  const { environment, strategy, startedAt, preserved } = original
  const manifest: Manifest = Manifest.parse({
    ...{ version: 2, backupId, runId, environment, strategy, toolVersion, startedAt },
    ...{ sealedAt: now().toISOString(), readBackAt, rehearsedAt: database && now().toISOString() },
    imported: { from: original.backupId, by: by.slice(0, 200), at: now().toISOString() },
    ...{ ...stores, database, preserved, warnings },
  } satisfies Manifest)
  const prefix = config.BACKUP_PREFIX
  const [problem] = manifestProblems(manifest, { prefix, backupId })
  if (problem !== undefined)
    throw new BackupIncomplete(`What was uploaded does not fit together: ${problem}. It became no backup`)
  await checkObjects(bucket, keys, manifest)
  await work.look()
  goOn()
  const isSealed = async () => (await findOwnManifest(bucket, prefix, { backupId, runId })) !== null
  await writeOnce<unknown>(
    null,
    (options) => putJson(bucket, keys.manifest, sealed(bucket.signing, manifest), options),
    async () => (await isSealed()) || undefined,
  )
  return manifest
}

type Stores = Pick<Manifest, 'database' | 'files' | 'cache'>

async function writeStores(clients: Clients, work: Work): Promise<Stores> {
  const { folder, original, keys, partBytes, runId, connection, goOn } = work
  const { database, files, cache } = original
  const bucket = clients.backups
  const to = { folder, keys, report: goOn }
  return {
    database:
      database &&
      (await uploadTables(bucket, {
        ...{ ...to, database, partBytes },
        fingerprintOf: (table, part) => fingerprintOf(clients, connection, { runId, table, part, database }),
      })),
    files: files && (await uploadFiles(bucket, { ...to, files, below: clients.config.FILES_PREFIX })),
    cache: cache && (await uploadCache(bucket, { ...to, cache })),
  }
}

/** The database as it is sealed: loaded, and compared, by the server that is there now. */
async function proved(
  clients: Clients,
  { connection, original, runId, goOn }: Work,
  { database, files }: Stores,
): Promise<{ database: Manifest['database']; warnings: Warning[] }> {
  const known = original.warnings.filter(({ code }) => code !== withoutProperties.code)
  const ofFiles = files === null || files.objects === 0 ? [] : [withoutProperties]
  if (database === null || original.database === null) return { database, warnings: [...known, ...ofFiles] }
  goOn('loading all rows, and comparing them')
  const asked = { runId, database, original: original.database, check: () => goOn() }
  const { serverVersion, warnings } = await rehearse(clients, connection, asked)
  return { database: { ...database, serverVersion }, warnings: [...known, ...ofFiles, ...warnings] }
}

const withoutProperties: Warning = {
  code: 'FilesWithoutProperties',
  message:
    'The files came from a folder, which keeps their bytes alone: a restore brings them back without content type, metadata and tags',
}

/** What a prune takes for the rest of a backup that it began to delete; what was sealed after all stays, and is returned. */
async function leave(clients: Clients, { backupId, runId, keys }: Work): Promise<Manifest | undefined> {
  const { backups: bucket, config } = clients
  const sealed = await findOwnManifest(bucket, config.BACKUP_PREFIX, { backupId, runId })
  if (sealed !== null) return sealed
  const reasons = ['an upload that did not come to its end']
  await putTombstone(bucket, keys, { backupId, reasons, at: clients.now() })
  return undefined
}
