import { type BackupKeys, stemOf } from '../layout.ts'
import type { Backup } from '../read.ts'
import type { Extra, ObjectProblem } from './findings.ts'

/** The documents of a backup itself, which readBackup has read, and its pin. */
export function isOwnDocument(keys: BackupKeys, { late }: Backup, key: string): boolean {
  return key === keys.manifest || (late !== null && key === keys.late(late)) || key === keys.pin
}

/** What it means that an object is there which the backup does not name. */
export function judgeUnnamed(keys: BackupKeys, backup: Backup, key: string): ObjectProblem | Extra {
  return (
    sectionGap(keys, backup, key) ??
    lateGap(keys, backup, key) ?? { key, problem: 'extra', detail: whyExtra(keys, backup, key) }
  )
}

/** No step writes anything into a store's folder when the backup leaves that store out: then the manifest was edited. */
function sectionGap({ root, manifest }: BackupKeys, backup: Backup, key: string): ObjectProblem | null {
  const folder = /^(database|files|cache)[/.]/.exec(key.slice(root.length))?.[1]
  if (folder === undefined || backup[folder as 'database' | 'files' | 'cache'] !== null) return null
  const detail = `it says that the backup has no ${folder}, but there is ${key}`
  return { key: manifest, problem: 'changed', detail }
}

/**
 * A late part that no late file names. Its `late-<n>.json` was lost, or the wipe that wrote it never committed; from the
 * backup alone the two cannot be told apart, and in the first case rows are missing.
 */
function lateGap(keys: BackupKeys, backup: Backup, key: string): ObjectProblem | null {
  const path = key.slice(keys.root.length)
  const found = /^database\/([^/]+)\/late-(\d+)\/(\d+)/.exec(path)
  if (found === null) return lateCacheGap(keys, backup, key)
  const [folder, attempt, shard] = [found[1], Number(found[2]), Number(found[3])]
  const late = backup.late ?? 0
  if (attempt < late) return null
  const isReplaced = backup.database?.tables.some((table) =>
    table.parts.some(
      (part) => part.shard === shard && part.key?.startsWith(`${keys.root}database/${folder}/late-${late}/`),
    ),
  )
  if (attempt === late && isReplaced) return null
  const detail = `it does not name ${key}. Either it was lost, and rows with it, or the wipe of run ${backup.runId} that wrote the part did not take place; the run's outcome says which`
  return { key: keys.late(attempt), problem: attempt === late ? 'changed' : 'missing', detail }
}

/**
 * As lateGap, for keys of the cache. Of an attempt that a late file counts for, what is not named was left by a try that was
 * cut off before it wrote the file, and its keys were exported again.
 */
function lateCacheGap(keys: BackupKeys, backup: Backup, key: string): ObjectProblem | null {
  const attempt = Number(/^cache\/late-(\d+)\/\d+/.exec(key.slice(keys.root.length))?.[1] ?? 0)
  if (attempt === 0 || attempt <= (backup.late ?? 0)) return null
  const detail = `it does not name ${key}. Either it was lost, and values of keys with it, or the wipe of run ${backup.runId} that wrote the part ended before it wrote this file, and then it did not wipe those keys; the run's outcome says which`
  return { key: keys.late(attempt), problem: 'missing', detail }
}

function whyExtra(keys: BackupKeys, { late }: Backup, key: string): string {
  const path = key.slice(keys.root.length)
  if (key === keys.tombstone) return 'a prune of this backup was begun and not finished; the next one decides'
  if (/^late-\d+\.json$/.test(path)) return `harmless: late-${late}.json counts in its place`
  const stem = stemOf(path) ?? ''
  if (/^(database\/[^/]+|cache)\/(late-\d+\/)?\d+$/.test(stem))
    return 'harmless: a later part counts in its place, or a repeated step left it'
  if (stem === 'files') return 'harmless: a repeated step left it'
  if (/^files(\.\d)?\//.test(path)) return 'harmless: a repeated step left it, or somebody put it there'
  return 'no step writes such an object: somebody put it there'
}
