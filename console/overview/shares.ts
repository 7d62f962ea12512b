import type { Options } from '../../lib/http/answers/options.ts'
import { type Strategy, scopeOf } from '../../lib/run/strategy.ts'
import type { Target } from '../../lib/store.ts'

/** What of one thing goes with a reset of its store, and what stays. Counts of rows, files or keys. */
export type Share = { goes: number; stays: number; estimated: boolean }
/** What a strategy wipes: null for a store that it leaves alone, or that cannot be counted. */
export type Wiped = {
  rows: number | null
  files: number | null
  keys: number | null
  estimated: boolean
}

type Table = Extract<Options['database'], { available: true }>['tables'][number]

export function shareOfTable({ rows, keptRows, action, estimated }: Table): Share {
  const stays = action === 'kept' || action === null ? (rows ?? 0) : keptRows
  return { goes: (rows ?? 0) - stays, stays, estimated }
}

export function shareOfFiles({ files }: Options): Share | null {
  if (!files.available) return null
  const { objects, preservedObjects: stays, approximate: estimated } = files
  return { goes: objects - stays, stays, estimated }
}

export function shareOfCache({ cache }: Options): Share | null {
  if (!cache.available) return null
  const { keys, preservedKeys: stays, approximate: estimated } = cache
  return { goes: keys - stays, stays, estimated }
}

/** Of all tables; when the answer does not hold all of them, of those that it holds. */
function shareOfDatabase({ database, abridged }: Options): Share | null {
  if (!database.available) return null
  const shares = database.tables.map(shareOfTable)
  const sum = (pick: (share: Share) => number) => shares.reduce((total, share) => total + pick(share), 0)
  return {
    goes: sum(({ goes }) => goes),
    stays: sum(({ stays }) => stays),
    estimated: abridged === true || shares.some(({ estimated }) => estimated),
  }
}

/** What is in the three stores together. */
export function contentsOf(options: Options): Wiped {
  const [database, files, cache] = [shareOfDatabase(options), shareOfFiles(options), shareOfCache(options)]
  const all = (share: Share | null) => share && share.goes + share.stays
  return {
    rows: all(database),
    files: all(files),
    keys: all(cache),
    estimated: [database, files, cache].some((share) => share?.estimated),
  }
}

export function wipedBy(options: Options, strategy: Strategy): Wiped {
  const { clears } = scopeOf(strategy)
  const shares: Record<Target, Share | null> = {
    database: clears.includes('database') ? shareOfDatabase(options) : null,
    files: clears.includes('files') ? shareOfFiles(options) : null,
    cache: clears.includes('cache') ? shareOfCache(options) : null,
  }
  return {
    rows: shares.database?.goes ?? null,
    files: shares.files?.goes ?? null,
    keys: shares.cache?.goes ?? null,
    estimated: Object.values(shares).some((share) => share?.estimated),
  }
}
