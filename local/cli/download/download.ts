import { counted } from '../../../lib/amounts.ts'
import { documentBounds } from '../../../lib/backup/documents/json.ts'
import { readText } from '../../../lib/backup/documents/read.ts'
import { backupKeys, latePartOf } from '../../../lib/backup/layout.ts'
import type { Backup } from '../../../lib/backup/read.ts'
import type { Bucket } from '../../../lib/s3/bucket.ts'
import { linesOfCache } from './cache.ts'
import { fetchFiles } from './files.ts'
import { Folder, type Note } from './folder.ts'
import { documentOf } from './json.ts'
import { loadSql } from './load-sql.ts'
import { readmeOf } from './readme.ts'
import { schemaSql } from './schema-sql.ts'
import { filesOfTables, linesOfTable } from './tables.ts'

/** A backup that was read, and where it lies. */
export type Source = { bucket: Bucket; prefix: string; backup: Backup }

type Wanted = {
  folder: string
  format: Note['format']
  /** Told in a sentence how far it is. */
  report: (text: string) => void
}

export type Downloaded = {
  backupId: string
  folder: string
  tables: number
  rows: number
  files: number
  keys: number
  /** Whether files, tables or keys lay there already, whole. */
  resumed: boolean
}

/**
 * Brings a backup into a folder as files that need nothing of this tool: JSON Lines of each table and of the cache, the files
 * themselves, and a script with which psql puts the rows back; or, as `json`, one document of all rows. What an earlier try
 * brought is not fetched again, where it has its size; documents are always written. Every byte of a part that is fetched is
 * compared with the manifest's digest.
 * @throws InvalidRequest for a folder that holds something else; BackupDamaged, StoreUnavailable, NotPermitted: a further try
 *   goes on
 */
export async function download(source: Source, { folder, format, report }: Wanted): Promise<Downloaded> {
  const { bucket, prefix, backup } = source
  const { backupId, seen, database, cache } = backup
  const note = { backupId, seen, format }
  const tables = filesOfTables(backup)
  const script = database === null || format === 'json' ? [] : [...loadSql({ backupId, database }, tables)]
  const into = await Folder.open(folder, note)
  let resumed = false

  async function bring(path: string, what: string, chunks: Parameters<Folder['write']>[1]) {
    await into.write(path, chunks)
    report(`${path}: ${what}`)
  }

  async function bringOnce(
    path: string,
    what: string,
    chunks: AsyncIterable<Buffer | string>,
    bytes?: number,
  ) {
    if (await into.has(path, bytes)) resumed = true
    else await bring(path, what, chunks)
  }

  const [rows, keys] = [database?.rows ?? 0, cache?.keys ?? 0]
  const told = { backupId, folder, tables: tables.length, rows, keys }
  if (format === 'json') {
    await bringOnce('backup.json', counted(rows, 'row'), documentOf(bucket, backup, tables))
    await into.end(note)
    return { ...told, files: 0, keys: 0, resumed }
  }
  for (const [name, key] of documentsOf(source))
    await bring(name, 'as it lies in the backup', textOf(bucket, key))
  for (const { table, path } of tables)
    await bringOnce(path, counted(table.rows, 'row'), linesOfTable(bucket, table), bytesOf(table.parts))
  let files = 0
  if (backup.files !== null) {
    const total = backup.files.objects
    const found = await fetchFiles(source, into, (done) => report(`files: ${done} of ${total}`))
    files = found.files
    resumed ||= found.fetched < files
  }
  if (cache !== null)
    await bringOnce(
      'cache.jsonl',
      counted(keys, 'key'),
      linesOfCache(bucket, { prefix, backup }),
      bytesOfCache(source),
    )
  const definition = backup.authentic === 'signed' ? database?.definition : undefined
  const hasSchema = definition !== undefined && definition.sql !== ''
  if (hasSchema) await bring('schema.sql', 'how the tables are made', schemaSql(definition))
  if (database !== null) await bring('load.sql', 'for psql', script)
  await bring('README', 'what is what', [readmeOf(backup, { hasSchema })])
  await into.end(note)
  return { ...told, files, resumed }
}

/** Of parts as they are unpacked; undefined where the backup is of a version that did not write it down. */
function bytesOf(parts: readonly { plain?: number | undefined }[]): number | undefined {
  const sizes = parts.map(({ plain }) => plain ?? Number.NaN)
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  return Number.isNaN(bytes) ? undefined : bytes
}

/** Undefined, too, where late lines stand in the place of others. */
function bytesOfCache({ prefix, backup: { backupId, cache } }: Source): number | undefined {
  const keys = backupKeys(prefix, backupId)
  const parts = cache?.parts ?? []
  return parts.some(({ key }) => latePartOf(keys, key) !== undefined) ? undefined : bytesOf(parts)
}

/** The documents of the backup by their names in the folder. */
function documentsOf({ prefix, backup: { backupId, late } }: Source): [name: string, key: string][] {
  const keys = backupKeys(prefix, backupId)
  const all: [string, string][] = [['manifest.json', keys.manifest]]
  return late === null ? all : [...all, [`late-${late}.json`, keys.late(late)]]
}

async function* textOf(bucket: Bucket, key: string): AsyncGenerator<string> {
  yield (await readText(bucket, key, documentBounds)).text
}
