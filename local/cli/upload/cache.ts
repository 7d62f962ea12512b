import type { BackupKeys } from '../../../lib/backup/layout.ts'
import type { CacheSection } from '../../../lib/backup/sections/cache.ts'
import { exportLimits } from '../../../lib/cache/export/export.ts'
import { PartWriter } from '../../../lib/cache/export/part-writer.ts'
import { keyScope } from '../../../lib/cache/keys.ts'
import { continues, type DecodedLine, decode } from '../../../lib/cache/value/part-lines.ts'
import type { Bucket } from '../../../lib/s3/bucket.ts'
import { changed, type OpenedFolder } from './opened-folder.ts'

const file = 'cache.jsonl'

/** Bytes that a line may have where the backup does not say it. */
const longestLine = 64 * 2 ** 20

type Upload = { folder: OpenedFolder; cache: CacheSection; keys: BackupKeys; report: (text: string) => void }

/** What all lines have together; null: the backup does not say it, or holds keys twice, of which a download has the later. */
function sizeOf({ keys, parts }: CacheSection): number | null {
  const total = (sizes: number[]) => sizes.reduce((sum, size) => sum + size, 0)
  const bytes = total(parts.map(({ plain }) => plain ?? Number.NaN))
  return Number.isNaN(bytes) || total(parts.map((part) => part.keys)) !== keys ? null : bytes
}

/**
 * Writes the keys of the cache as parts of a new backup, each of which is read back. A line has to be one that an export writes, of a
 * key that one may hold.
 * @throws BackupDamaged, StoreUnavailable, NotPermitted, ReadBackMismatch
 */
export async function uploadCache(
  bucket: Bucket,
  { folder, cache, keys, report }: Upload,
): Promise<CacheSection> {
  const scope = keyScope(cache.prefix)
  const { partBytes } = exportLimits
  const writer = new PartWriter(bucket, { keyOf: keys.cachePart, partBytes })
  const size = await folder.sizeOf(file)
  const said = sizeOf(cache)
  // A long key goes on in lines of which the last does not say that it is the last.
  if (said !== null && size !== said) throw changed(file, `it has ${size} bytes in place of ${said}`)
  const longest = Math.max(0, ...cache.parts.map((part) => part.longest ?? longestLine))
  let before: DecodedLine | undefined
  let found = 0
  for await (const { text, number } of folder.lines(file, longest)) {
    const line = decode(text)
    const wrong = (problem: string) => changed(file, `its line ${number} ${problem}`)
    if (line === undefined) throw wrong('describes no key')
    const begins = line.part === 1
    if (!begins && !continues(line, before)) throw wrong('continues a key that is not the one before it')
    if (!scope.includes(line.key)) throw wrong(`is of a key that does not begin with "${cache.prefix}"`)
    before = { ...line, items: [] }
    found += await writer.add([{ line: `${text.toString()}\n`, begins }])
  }
  await writer.end()
  if (found !== cache.keys) throw changed(file, `it holds ${found} keys in place of ${cache.keys}`)
  report(`${file}: ${found} keys`)
  return { ...cache, parts: writer.parts }
}
