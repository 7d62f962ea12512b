import { backupKeys, latePartOf } from '../../../lib/backup/layout.ts'
import { readPartLines } from '../../../lib/backup/part/read.ts'
import type { Backup } from '../../../lib/backup/read.ts'
import type { CachePart } from '../../../lib/backup/sections/cache.ts'
import { BackupDamaged } from '../../../lib/errors.ts'
import type { Bucket } from '../../../lib/s3/bucket.ts'

const lineEnd = Buffer.from('\n')

/**
 * The lines of all keys, each key once: what a wipe added to the backup stands in the place of what was there before. Memory: the
 * names of the keys that were added.
 * @throws BackupDamaged
 */
export async function* linesOfCache(
  bucket: Bucket,
  { prefix, backup: { backupId, cache } }: { prefix: string; backup: Backup },
): AsyncGenerator<Buffer> {
  const keys = backupKeys(prefix, backupId)
  const parts = cache?.parts ?? []
  const isLate = ({ key }: CachePart) => latePartOf(keys, key) !== undefined
  const comesLast = new Map<string, number>()
  let late = 0
  for (const part of parts.filter(isLate)) {
    for await (const line of readPartLines(bucket, part.key, part)) {
      const { name, isFirst } = headOfLine(line)
      if (isFirst) comesLast.set(name, late++)
    }
  }
  late = 0
  for (const part of parts) {
    let stays = true // what continues a key goes the way of its beginning
    for await (const line of readPartLines(bucket, part.key, part)) {
      const { name, isFirst } = headOfLine(line)
      if (isFirst) stays = comesLast.size === 0 || comesLast.get(name) === (isLate(part) ? late++ : undefined)
      if (stays) yield Buffer.concat([line, lineEnd])
    }
  }
}

/** Whose line it is, and whether a key begins with it: others continue it. */
function headOfLine(line: Buffer): { name: string; isFirst: boolean } {
  try {
    const { key, part = 1 } = JSON.parse(line.toString()) as { key: unknown; part?: number }
    return { name: JSON.stringify(key), isFirst: part === 1 }
  } catch {
    throw new BackupDamaged('A part of the cache holds a line that is no JSON. Use another backup')
  }
}
