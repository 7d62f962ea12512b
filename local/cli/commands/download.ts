import { resolve } from 'node:path'
import { counted } from '../../../lib/amounts.ts'
import { readBackup } from '../../../lib/backup/read.ts'
import { checkOwn, checkSigned } from '../../../lib/backup/trust.ts'
import type { Clients } from '../../../lib/clients.ts'
import { messageOf, StoreUnavailable } from '../../../lib/errors.ts'
import { named } from '../../../lib/http/request/backup-name.ts'
import { readLateNoted } from '../../../lib/ledger/documents.ts'
import { withConnection } from '../../../lib/postgres/with-connection.ts'
import { visibleName } from '../../../lib/visible.ts'
import type { Answer } from '../answer.ts'
import { type Arguments, WrongUsage } from '../arguments.ts'
import type { Connected } from '../connect.ts'
import { download, type Source } from '../download/download.ts'

/** Command "download": a backup as plain files on one's own disk. */
export async function downloadBackup({ clients }: Connected, args: Arguments): Promise<Answer> {
  const { name, ...wanted } = wantedOf(args)
  const { flags } = args
  const backupId = await named(clients, name)
  const { backups: bucket, config } = clients
  const late = await lateNoted(clients, backupId)
  const backup = await readBackup(bucket, config.BACKUP_PREFIX, backupId, { late })
  checkOwn(backup, config, { allowForeign: flags['allow-foreign'] })
  checkSigned(backup, { allowUnsigned: flags['allow-unsigned'] }) // psql carries out what is made of it
  return bring({ bucket, prefix: config.BACKUP_PREFIX, backup }, wanted)
}

type Wanted = { folder: string; format: 'files' | 'json' }

/** @throws WrongUsage */
export function wantedOf({ argument: name, second: folder, flags }: Arguments): Wanted & { name: string } {
  if (name === undefined || folder === undefined)
    throw new WrongUsage('download needs a backup and a folder; "backups" lists the first', 'download')
  const { format = 'files' } = flags
  if (format !== 'files' && format !== 'json')
    throw new WrongUsage(`--format is files or json, not "${format}"`, 'download')
  return { name, folder: resolve(folder), format }
}

/** Fetches a backup that may be fetched, and says where it lies. */
export async function bring(source: Source, { folder, format }: Wanted): Promise<Answer> {
  const done = await download(source, { folder, format, report }).catch(ofDisk)
  const { backupId, tables, rows, files, keys } = done
  const held = [
    `${counted(rows, 'row')} of ${counted(tables, 'table')}`,
    ...(format === 'json' ? [] : [counted(files, 'file'), counted(keys, 'key')]),
  ]
  const how = format === 'json' ? '' : ' README there says what is what, and how psql puts the rows back.'
  return { document: done, text: `${backupId} lies in ${done.folder}: ${held.join(', ')}.${how}\n`, code: 0 }
}

function report(text: string): void {
  process.stderr.write(`${visibleName(text)}\n`)
}

/**
 * The late file that counts; a backup can be fetched while the database is what is lost.
 * @see docs/decisions.md#without-the-ledger-the-highest-late-file-counts
 */
async function lateNoted(clients: Clients, backupId: string) {
  try {
    return await withConnection(clients, (connection) => readLateNoted(connection, backupId))
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error
    report(`The ledger cannot be asked (${messageOf(error)}): the last late file counts.`)
    return undefined
  }
}

/** What the disk refuses is no mistake of the backup's. */
function ofDisk(cause: unknown): never {
  if (!(cause instanceof Error && 'syscall' in cause && 'code' in cause)) throw cause
  throw new StoreUnavailable(
    `The folder cannot be written: ${messageOf(cause)}. What is whole there stays; the same command goes on with it`,
    { cause },
  )
}
