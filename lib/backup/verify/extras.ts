import { type BackupKeys, kindOf, lateFileOf, latePartOf, storeOf } from '../layout.ts'
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
function sectionGap(keys: BackupKeys, backup: Backup, key: string): ObjectProblem | null {
  const store = storeOf(keys, key)
  if (store === undefined || backup[store] !== null) return null
  const detail = `it says that the backup has no ${store}, but there is ${key}`
  return { key: keys.manifest, problem: 'changed', detail }
}

/**
 * A late part that no late file names. Its `late-<n>.json` was lost, or the wipe that wrote it never committed; from the
 * backup alone the two cannot be told apart, and in the first case rows are missing.
 */
function lateGap(keys: BackupKeys, backup: Backup, key: string): ObjectProblem | null {
  const found = latePartOf(keys, key)
  if (found === undefined || kindOf(keys, key) === 'ranges') return null // what there is to say is said of their part
  const { folder, attempt, shard } = found
  if (folder === 'cache') return lateCacheGap(keys, backup, { key, attempt })
  const late = backup.late ?? 0
  if (attempt < late) return null
  const isReplaced = backup.database?.tables.some(({ parts }) =>
    parts.some((part) => {
      const by = part.shard === shard ? latePartOf(keys, part.key ?? '') : undefined
      return by !== undefined && by.folder === folder && by.attempt === late
    }),
  )
  if (attempt === late && isReplaced) return null
  const detail = `it does not name ${key}. Either it was lost, and rows with it, or the wipe of run ${backup.runId} that wrote the part did not take place; the run's outcome says which`
  return { key: keys.late(attempt), problem: attempt === late ? 'changed' : 'missing', detail }
}

/**
 * As lateGap, for keys of the cache. Of an attempt that a late file counts for, what is not named was left by a try that was
 * cut off before it wrote the file, and its keys were exported again.
 */
function lateCacheGap(
  keys: BackupKeys,
  backup: Backup,
  { key, attempt }: { key: string; attempt: number },
): ObjectProblem | null {
  if (attempt <= (backup.late ?? 0)) return null
  const detail = `it does not name ${key}. Either it was lost, and values of keys with it, or the wipe of run ${backup.runId} that wrote the part ended before it wrote this file, and then it did not wipe those keys; the run's outcome says which`
  return { key: keys.late(attempt), problem: 'missing', detail }
}

function whyExtra(keys: BackupKeys, { late }: Backup, key: string): string {
  if (key === keys.tombstone) return 'a prune of this backup was begun and not finished; the next one decides'
  if (lateFileOf(keys, key) !== undefined) return `harmless: late-${late}.json counts in its place`
  const kind = kindOf(keys, key)
  if (kind === undefined) return 'no step writes such an object: somebody put it there'
  return why[kind]
}

const why = {
  part: 'harmless: a later part counts in its place, or a repeated step left it',
  ranges: 'harmless: they are of a part that does not count',
  'files index': 'harmless: a repeated step left it',
  'copy of a file': 'harmless: a repeated step left it, or somebody put it there',
}
