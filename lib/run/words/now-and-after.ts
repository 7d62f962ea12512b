import { bytes, counted } from '../../amounts.ts'
import type { Backup } from '../../backup/read.ts'
import { type Target, targets } from '../../store.ts'
import type { ResetOptions } from '../options.ts'
import type { Request } from '../request.ts'

type Restore = Pick<Extract<Request, { operation: 'restore' }>, 'targets' | 'exact' | 'without'>

/** What a table or a store holds now, and what it holds after a restore. */
export type Change = { what: string; now: string; after: string }

/** The stores that the restore puts back. */
export function restoredStores(backup: Backup, request: Restore): Target[] {
  return targets.filter((target) => backup[target] !== null && (request.targets?.includes(target) ?? true))
}

/**
 * Each table of the database and of the backup, the files and the cache, as far as the restore changes them.
 * @see docs/decisions.md#a-sentence-is-made-from-what-is-known
 */
export function nowAndAfter(options: ResetOptions, backup: Backup, request: Restore): Change[] {
  const stores = restoredStores(backup, request)
  return [
    ...(stores.includes('database') ? tablesOf(options, backup, request.without ?? []) : []),
    ...(stores.includes('files') ? [filesOf(options, backup, request)] : []),
    ...(stores.includes('cache') ? [cacheOf(options, backup, request)] : []),
  ]
}

/**
 * What a person who confirms has to know of it: a restore is no reset, and preserves nothing.
 * @param stores those that are put back
 */
export function whatRestoreMeans(stores: readonly Target[], { exact }: Pick<Restore, 'exact'>): string[] {
  const beside = [
    ...(stores.includes('files') ? ['files'] : []),
    ...(stores.includes('cache') ? ['cache keys'] : []),
  ].join(' and ')
  return [
    ...(stores.includes('database')
      ? [
          'All rows of these tables become those of the backup, also of tables that a reset would keep: rows that were changed since are changed back, rows that came since go, and rows that went come back.',
        ]
      : []),
    ...(beside === ''
      ? []
      : [
          `${beside[0]?.toUpperCase()}${beside.slice(1)} of the backup replace those of the same name; those that are not in it ${exact ? 'are removed' : 'stay'}.`,
        ]),
  ]
}

function tablesOf({ database }: ResetOptions, backup: Backup, without: readonly string[]): Change[] {
  const live = new Map(
    database.available ? database.tables.map(({ name, rows }) => [name, rows] as const) : [],
  )
  const backedUp = backup.database?.tables ?? []
  const names = new Set(backedUp.map(({ name }) => name))
  const nowOf = (name: string) => {
    const rows = live.get(name)
    if (!database.available) return `not known: ${database.reason.name}`
    return rows === undefined ? 'no such table' : rows === null ? 'not readable' : counted(rows, 'row')
  }
  const afterOf = (name: string, rows: number) => {
    if (without.includes(name)) return 'left out'
    return database.available && !live.has(name)
      ? 'refused: create it, or leave it out'
      : counted(rows, 'row')
  }
  return [
    ...backedUp.map(({ name, rows }) => ({ what: name, now: nowOf(name), after: afterOf(name, rows) })),
    ...[...live.keys()]
      .filter((name) => !names.has(name))
      .map((name) => ({ what: name, now: nowOf(name), after: 'stays: it is not in the backup' })),
  ]
}

function filesOf({ files }: ResetOptions, backup: Backup, { exact }: Restore): Change {
  const { objects = 0, bytes: size = 0 } = backup.files ?? {}
  const now = files.available
    ? `${counted(files.objects, 'file')}, ${bytes(files.bytes)}`
    : `not known: ${files.reason.name}`
  const after = `${counted(objects, 'file')}, ${bytes(size)}`
  return { what: 'files', now, after: exact ? after : `${after}, and those that are not in the backup` }
}

function cacheOf({ cache }: ResetOptions, backup: Backup, { exact }: Restore): Change {
  const now = cache.available ? counted(cache.keys, 'key') : `not known: ${cache.reason.name}`
  const after = counted(backup.cache?.keys ?? 0, 'key')
  return { what: 'cache', now, after: exact ? after : `${after}, and those that are not in the backup` }
}
