import { counted } from '../../../lib/amounts.ts'
import type { BackupKeys } from '../../../lib/backup/layout.ts'
import { writePart } from '../../../lib/backup/part/write.ts'
import type { BackedUpTable, DatabaseSection, TablePart } from '../../../lib/backup/sections/database.ts'
import type { Bucket } from '../../../lib/s3/bucket.ts'
import { filesOfTables } from '../download/tables.ts'
import { changed, type OpenedFolder } from './opened-folder.ts'

/** Bytes of lines in a part, about as many as an export puts there. */
const usualPart = 64 * 2 ** 20

/** Bytes that a line may have where the backup does not say it. */
const longestLine = 2 ** 30

type Upload = {
  folder: OpenedFolder
  database: DatabaseSection
  keys: BackupKeys
  partBytes: number | undefined
  /** The fingerprint of the rows of a part that was written. */
  fingerprintOf: (table: BackedUpTable, part: TablePart) => Promise<string>
  report: (text: string) => void
}

/**
 * Writes the rows of all tables as parts of a new backup. How many there are has to be what the signed manifest says; whether they
 * are those rows is found when they are loaded.
 * @throws BackupDamaged, StoreUnavailable, NotPermitted
 */
export async function uploadTables(
  bucket: Bucket,
  { database, report, ...upload }: Upload,
): Promise<DatabaseSection> {
  const tables: BackedUpTable[] = []
  for (const { table, path } of filesOfTables({ database })) {
    tables.push(await uploadTable(bucket, { ...upload, table, path }))
    report(`${path}: ${counted(table.rows, 'row')}`)
  }
  const { takenOver: _, ...held } = database
  const bytes = tables.flatMap(({ parts }) => parts).reduce((sum, part) => sum + part.bytes, 0)
  return { ...held, tables, bytes }
}

async function uploadTable(
  bucket: Bucket,
  {
    folder,
    table: { provedUnder: _, ...table },
    path,
    keys,
    partBytes = usualPart,
    fingerprintOf,
  }: Omit<Upload, 'database' | 'report'> & { table: BackedUpTable; path: string },
): Promise<BackedUpTable> {
  const size = await folder.sizeOf(path)
  const said = sizeOf(table)
  if (said !== null && size !== said) throw changed(path, `it has ${size} bytes in place of ${said}`)
  const longest = Math.max(...table.parts.map((part) => part.longest ?? (part.rows === 0 ? 0 : longestLine)))
  const cuts = await cutsOf(folder, path, { longest, partBytes })
  const rows = cuts.reduce((sum, cut) => sum + cut.rows, 0)
  if (rows !== table.rows) throw changed(path, `it holds ${counted(rows, 'row')} in place of ${table.rows}`)
  const parts: TablePart[] = []
  for (const [shard, { from, to, rows }] of cuts.entries()) {
    const written = await writePart(
      bucket,
      (copy) => keys.tablePart(table.name, shard, copy),
      () => folder.chunks(path, { from, to }),
    )
    if (written === null) throw changed(path, 'it became shorter while it was read')
    const pages = { from: shard, to: shard === cuts.length - 1 ? null : shard + 1 }
    const part = { shard, pages, rows, fingerprint: table.fingerprint, ...written }
    // Of a whole table the signed manifest knows it.
    parts.push(cuts.length === 1 ? part : { ...part, fingerprint: await fingerprintOf(table, part) })
  }
  if (parts.length === 0) parts.push(emptyPart)
  return { ...table, parts }
}

const emptyPart: TablePart = {
  ...{ shard: 0, pages: { from: 0, to: null }, rows: 0, fingerprint: '0' },
  ...{ key: null, bytes: 0, sha256: null },
}

/** What all lines of a table have together; null: the backup does not say it. */
function sizeOf({ parts }: BackedUpTable): number | null {
  const sizes = parts.map(({ rows, plain }) => (rows === 0 ? 0 : plain))
  return sizes.includes(undefined) ? null : sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0)
}

type Cut = { from: number; to: number; rows: number }

/** Stretches of whole lines, each of `partBytes` or a little more. @throws BackupDamaged */
export async function cutsOf(
  folder: OpenedFolder,
  path: string,
  { longest, partBytes }: { longest: number; partBytes: number },
): Promise<Cut[]> {
  const cuts: Cut[] = []
  let cut: Cut = { from: 0, to: 0, rows: 0 }
  let [read, lineBegan] = [0, 0]
  const isTooLong = (end: number) => end - lineBegan > longest
  for await (const chunk of folder.chunks(path)) {
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, end + 1)) {
      const to = read + end + 1
      if (isTooLong(to)) throw changed(path, `a line is longer than ${longest} bytes`)
      cut = { ...cut, to, rows: cut.rows + 1 }
      lineBegan = to
      if (to - cut.from < partBytes) continue
      cuts.push(cut)
      cut = { from: to, to, rows: 0 }
    }
    read += chunk.length
    if (isTooLong(read)) throw changed(path, `a line is longer than ${longest} bytes`)
  }
  if (lineBegan !== read) throw changed(path, 'its last line does not end')
  return cut.rows === 0 ? cuts : [...cuts, cut]
}
