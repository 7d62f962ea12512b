import { listSizes } from '../s3/list.ts'
import { withDigest } from './digest.ts'
import type { backupKeys } from './layout.ts'
import type { Late } from './manifest.ts'
import { putJson, type Storage } from './storage.ts'

type Differences = Pick<Late, 'tables' | 'sequences' | 'cache'>

/**
 * Writes the next `late-<n>.json` of a backup, which lists all that differs from its manifest. Without differences it
 * writes none, unless an earlier attempt left one, which would otherwise still count.
 * @param find makes the differences for the attempt's number
 */
export async function writeLate(
  storage: Storage,
  backup: { keys: ReturnType<typeof backupKeys>; backupId: string; now: () => Date },
  find: (attempt: number) => Promise<Differences>,
): Promise<Differences['tables']> {
  const attempt = 1 + (await lastAttempt(storage, backup.keys.root))
  const differences = await find(attempt)
  if (attempt === 1 && differences.tables.length === 0 && differences.cache === undefined) return []
  const { backupId } = backup
  const late: Late = { version: 1, backupId, attempt, writtenAt: backup.now().toISOString(), ...differences }
  await putJson(storage, backup.keys.late(attempt), withDigest(late), { once: true })
  return differences.tables
}

/** The highest n of the backup's `late-<n>.json`, 0 when there is none. */
export async function lastAttempt(storage: Storage, root: string): Promise<number> {
  let last = 0
  for await (const { key } of listSizes(storage, [`${root}late-`])) {
    const found = /^late-(\d+)\.json$/.exec(key.slice(root.length))
    if (found !== null) last = Math.max(last, Number(found[1]))
  }
  return last
}
