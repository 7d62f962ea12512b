import { createHash } from 'node:crypto'

/** Where everything lies in the backup bucket. Keys are documented in docs/formats.md. */

const number = (value: number) => String(value).padStart(5, '0')
const again = (copy: number) => (copy === 1 ? '' : `.${copy}`)

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
  return {
    root,
    manifest: `${root}manifest.json`,
    late: (attempt: number) => `${root}late-${attempt}.json`,
    /** `copy` counts from 1: a repeated export writes beside the part that a first one left, never over it. */
    tablePart: (table: string, shard: number, copy: number) =>
      `${root}database/${encodeTable(table)}/${number(shard)}${again(copy)}.jsonl.zst`,
    latePart: (table: string, shard: number, attempt: number, copy: number) =>
      `${root}database/${encodeTable(table)}/late-${attempt}/${number(shard)}${again(copy)}.jsonl.zst`,
    /** `path` is the object's key below FILES_PREFIX; `copy` as for tablePart. Without a path: the folder of such copies. */
    file: (path: string, copy = 1) => `${root}files${again(copy)}/${path}`,
    filesIndex: `${root}files.jsonl.zst`,
    cachePart: (part: number, copy: number) => `${root}cache/${number(part)}${again(copy)}.jsonl.zst`,
    lateCachePart: (part: number, attempt: number, copy: number) =>
      `${root}cache/late-${attempt}/${number(part)}${again(copy)}.jsonl.zst`,
  }
}

/** Below it lies the work of all runs, which expires. */
export const workRoot = '.taskmaster/runs/'

/**
 * Keys of a run's work lists and step results, which are of use only while it runs. A Count that is repeated while its first
 * invocation is alive lists anew: so the plan is named by its digest, which the ledger notes, and the lists by the
 * try that the plan names. None is written twice, and no other lies where a later step looks.
 * @see docs/decisions.md#no-two-tries-write-to-one-name
 */
export function workKeys(run: { runId: string; attempt: number; tried?: string }) {
  const root = `${workRoot}${run.runId}/${run.attempt}/`
  const lists = run.tried === undefined ? root : `${root}lists-${run.tried}/`
  return {
    root,
    lists,
    plan: (digest: string) => `${root}plan-${digest.slice(0, 32)}.json`,
    databaseBatch: (batch: number) => `${lists}database/${number(batch)}.json`,
    /** The `list`-th piece of the listing of the files, JSON Lines. */
    filesList: (list: number) => `${lists}files/${number(list)}.jsonl`,
    /** The `list`-th piece of a restored backup's list of files, JSON Lines. */
    restoreList: (list: number) => `${lists}restore-files/${number(list)}.jsonl`,
    databaseResult: (batch: number) => `${root}results/database-${number(batch)}.json`,
    /** The parts that replace some of the batches', and the sequences, of one common snapshot. */
    reconciled: `${root}results/reconciled.json`,
    rehearsed: `${root}results/rehearsed.json`,
    filesResult: (batch: number) => `${root}results/files-${number(batch)}.json`,
    /** What was copied of one piece of the listing, JSON Lines. */
    filesCopied: (list: number) => `${root}results/copied-${number(list)}.jsonl`,
    cacheResult: `${root}results/cache.json`,
    filesWiped: (batch: number) => `${root}results/wiped-files-${number(batch)}.json`,
    cacheWiped: `${root}results/wiped-cache.json`,
    verified: `${root}results/verified.json`,
    /** What the rehearsal of a verify found. */
    compared: `${root}results/compared.json`,
  }
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
