import { createHash } from 'node:crypto'
import { ownFolder } from '../config/variables.ts'
import { codecOfNew, stemOf } from './codec/codec.ts'

/**
 * Where everything lies in the two buckets: `backupKeys` and `workKeys` in that of the backups, `filesKeys` in that of the
 * files; and what a key says that was found there. Keys are documented in docs/formats.md.
 */

const number = (value: number) => String(value).padStart(5, '0')
const again = (copy: number) => (copy === 1 ? '' : `.${copy}`)
const part = (place: number, copy: number) => `/${number(place)}${again(copy)}${codecOfNew.suffix}`

/** Where the ranges of a part lie: beside it, `00000.ranges` for `00000.jsonl.zst`. */
export function rangesKeyOf(key: string): string {
  return `${stemOf(key) ?? key}.ranges`
}

/** Whether `key` is `first`, or one that a repeated step wrote beside it: `00000.2.jsonl.zst` for `00000.jsonl.zst`. */
export function isCopyOf(first: string, key: string): boolean {
  const [stem, other] = [stemOf(first), stemOf(key)]
  if (stem === undefined || !other?.startsWith(stem)) return false
  return /^(\.[1-9]\d*)?$/.test(other.slice(stem.length))
}

/**
 * The id of the backup that a run's attempt writes, `2026-11-22T19-05-33Z-3f9a2c`: sorts by time, and is the same when
 * the step that decides it is repeated.
 */
export function backupIdOf(run: { runId: string; attempt: number; startedAt: string }): string {
  const time = new Date(run.startedAt).toISOString().slice(0, 19).replaceAll(':', '-')
  const digest = createHash('sha256').update(`${run.runId}/${run.attempt}`).digest('hex')
  return `${time}Z-${digest.slice(0, 6)}`
}

/** Keys of one backup; `prefix` is BACKUP_PREFIX. */
export function backupKeys(prefix: string, backupId: string) {
  const root = `${prefix}${backupId}/`
  const late = `${root}late-`
  const table = (name: string) => `${root}database/${encodeTable(name)}`
  const cache = `${root}cache`
  return {
    root,
    manifest: `${root}manifest.json`,
    late: (attempt: number) => `${late}${attempt}.json`,
    /**
     * A backup that has this object is never deleted, whatever the object holds, unless that is a signed `"pinned": false`. Unpinning
     * writes over it: only the role that prunes may delete anything of a backup.
     */
    pin: `${root}pinned.json`,
    /**
     * Written before the manifest is deleted. A folder that has it and no manifest is what a prune left half deleted. A folder
     * without it is never cleared: without a manifest it may be a backup that is being written.
     */
    tombstone: `${root}pruning.json`,
    /** So begin the keys of objects that Count begins and gives up, to learn whether it may write. */
    probes: `${root}.probe-`,
    /** All of its late files, and nothing else, begin so. */
    lateFiles: late,
    /** `copy` counts from 1: a repeated export writes beside the part that a first one left, never over it. */
    tablePart: (name: string, shard: number, copy: number) => `${table(name)}${part(shard, copy)}`,
    latePart: (name: string, shard: number, attempt: number, copy: number) =>
      `${table(name)}/late-${attempt}${part(shard, copy)}`,
    /** `path` is the object's key below FILES_PREFIX; `copy` as for tablePart. Without a path: the folder of such copies. */
    file: (path: string, copy = 1) => `${root}files${again(copy)}/${path}`,
    filesIndex: (copy = 1) => `${root}files${again(copy)}${codecOfNew.suffix}`,
    /** So begin the keys of all parts, and of the files' index, also of those that a repeated step wrote. */
    parts: [`${root}database/`, `${cache}/`, `${root}files.`],
    cachePart: (shard: number, copy: number) => `${cache}${part(shard, copy)}`,
    lateCachePart: (shard: number, attempt: number, copy: number) =>
      `${cache}/late-${attempt}${part(shard, copy)}`,
  }
}

export type BackupKeys = ReturnType<typeof backupKeys>

/** The store in whose folder of a backup `key` lies; undefined: it lies in none. */
export function storeOf({ root }: BackupKeys, key: string): 'database' | 'files' | 'cache' | undefined {
  const store = /^(database|files|cache)[/.]/.exec(key.slice(root.length))?.[1]
  return store as ReturnType<typeof storeOf>
}

/** More digits than this in a name make no late file: a run tries its wipe a few times. */
export const maxAttempt = 99_999

/** Of which attempt `key` is the late file. */
export function lateFileOf({ root }: BackupKeys, key: string): number | undefined {
  const attempt = /^late-([1-9]\d{0,4})\.json$/.exec(key.slice(root.length))?.[1]
  return attempt === undefined ? undefined : Number(attempt)
}

/** Where a late part lies: `folder` is that of its table, or the cache's. The end of the key may be anything. */
export function latePartOf({ root }: BackupKeys, key: string) {
  const found = /^(database\/[^/]+|cache)\/late-(\d+)\/(\d+)/.exec(key.slice(root.length))
  return found === null ? undefined : { folder: found[1], attempt: Number(found[2]), shard: Number(found[3]) }
}

/** What a step that writes such a key writes; undefined: no step does. */
export function kindOf(
  { root }: BackupKeys,
  key: string,
): 'part' | 'ranges' | 'files index' | 'copy of a file' | undefined {
  const path = key.slice(root.length)
  if (/^files(\.\d)?\//.test(path)) return 'copy of a file'
  if (/^database\/[^/]+\/(late-\d+\/)?\d+(\.\d+)?\.ranges$/.test(path)) return 'ranges'
  const stem = stemOf(path)?.replace(/\.\d+$/, '') ?? ''
  if (/^(database\/[^/]+|cache)\/(late-\d+\/)?\d+$/.test(stem)) return 'part'
  return stem === 'files' ? 'files index' : undefined
}

/** Below it lies the work of all runs, which expires. */
export const workRoot = `${ownFolder}runs/`

/**
 * Keys of a run's work lists and step results, which are of use only while it runs. A Count that is repeated while its first
 * invocation is alive lists anew: so the plan is named by its digest, which the ledger notes, and the lists by the
 * try that the plan names. None is written twice, and no other lies where a later step looks.
 * @see docs/decisions.md#no-two-tries-write-to-one-name
 */
export function workKeys(run: { runId: string; attempt: number; tried?: string }) {
  const root = `${workRoot}${run.runId}/${run.attempt}/`
  const lists = run.tried === undefined ? root : `${root}lists-${run.tried}/`
  const result = (name: string) => `${root}results/${name}.json`
  return {
    root,
    lists,
    plan: (digest: string) => `${root}plan-${digest.slice(0, 32)}.json`,
    databaseBatch: (batch: number) => `${lists}database/${number(batch)}.json`,
    /** The `list`-th piece of the listing of the files, JSON Lines. */
    filesList: (list: number) => `${lists}files/${number(list)}.jsonl`,
    /** The `list`-th piece of a restored backup's list of files, JSON Lines. */
    restoreList: (list: number) => `${lists}restore-files/${number(list)}.jsonl`,
    databaseResult: (batch: number) => result(`database-${number(batch)}`),
    /** The parts that replace some of the batches', and the sequences, of one common snapshot. */
    reconciled: result('reconciled'),
    rehearsed: result('rehearsed'),
    filesResult: (batch: number) => result(`files-${number(batch)}`),
    /** What was copied of one piece of the listing, JSON Lines. */
    filesCopied: (list: number) => `${root}results/copied-${number(list)}.jsonl`,
    cacheResult: result('cache'),
    filesWiped: (batch: number) => result(`wiped-files-${number(batch)}`),
    cacheWiped: result('wiped-cache'),
    /** What a wipe of the cache did before it was interrupted. */
    cacheWipedSoFar: result('wiped-cache-so-far'),
    filesRestored: (batch: number) => result(`restored-files-${number(batch)}`),
    /** A restore of the cache has begun: its repeat may find keys that it wrote itself. */
    cacheRestoring: result('restoring-cache'),
    /** By how much a restore lets the keys expire later. */
    cacheShift: result('cache-shift'),
    cacheRestored: result('restored-cache'),
    /** What was found of the objects of one batch, and of the whole backup. */
    verifiedBatch: (batch: number) => result(`verified-${number(batch)}`),
    verified: result('verified'),
    /** What became of a store since a backup. */
    difference: (store: string) => result(`difference-${store}`),
    /** What the rehearsal of a verify found. */
    compared: result('compared'),
    /** What S3 does with conditions of copies and deletions is tried with these two. */
    probe: (which: 1 | 2) => `${root}probe-${which}`,
  }
}

/** Of a run's results the first rows of one table that differ, JSON Lines; apart, for only who tells rows needs it. */
export function rowsKeyOf(run: { runId: string; attempt: number }): string {
  return `${workKeys(run).root}results/difference-rows.jsonl`
}

/** The key of a result that left something undone, beside that of a complete one. */
export function unfinishedKey(key: string): string {
  return key.replace(/(?=\.json$)/, '.unfinished')
}

export const filesKeys = {
  /** Below it nothing is a file of the application's, so nothing there is copied, wiped or restored. */
  own: ownFolder,
  /** Holds the environment's name. */
  mark: `${ownFolder}environment.json`,
  probe: (run: { runId: string; attempt: number }) => `${ownFolder}probe-${run.runId}-${run.attempt}`,
}

/** A table's name as one segment of a key: everything outside A-Z a-z 0-9 . _ - is percent-encoded. */
function encodeTable(table: string): string {
  return Array.from(new TextEncoder().encode(table), (byte) => {
    const character = String.fromCharCode(byte)
    return /[A-Za-z0-9._-]/.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }).join('')
}
