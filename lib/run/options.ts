import { countCache } from '../cache/count.ts'
import { readCacheMark } from '../cache/mark.ts'
import type { Clients } from '../clients.ts'
import { countFiles } from '../files/list.ts'
import { readFilesMark } from '../files/mark.ts'
import { askDatabase, type DatabaseOption, type Reason, reasonOf } from './options-tables.ts'
import { type Strategy, scopeOf, strategies, type Target } from './strategy.ts'

/** What is known of one store, or why it is not. `mark` is the environment's name it carries. */
export type Asked<Found> =
  | ({ available: true; mark: string | null } & Found)
  | { available: false; reason: Reason }

export type FilesOption = {
  bucket: string
  prefix: string
  objects: number
  bytes: number
  preservedObjects: number
  preservedBytes: number
  /** Preserved prefixes below which nothing lies. */
  unmatched: string[]
}

export type CacheOption = {
  prefix: string
  keys: number
  preservedKeys: number
  /** Preserved patterns that match no key. */
  unmatched: string[]
}

export type ResetOptions = {
  environment: string
  /** True when all three stores carry the environment's name. */
  claimed: boolean
  protected: boolean
  strategies: { name: Strategy; clears: Target[]; preserves: Target[]; description: string }[]
  database: Asked<DatabaseOption>
  files: Asked<FilesOption>
  cache: Asked<CacheOption>
}

type Preserve = { tables: readonly string[]; files: readonly string[]; keys: readonly string[] }

/**
 * What can be reset, with live and exact counts; nothing is written. A store that is down is told as such, the others
 * are counted all the same.
 * @param preserve what a request would preserve in addition to the configuration
 */
export async function getOptions(
  clients: Clients,
  preserve: Preserve = { tables: [], files: [], keys: [] },
): Promise<ResetOptions> {
  const { config } = clients
  const [database, files, cache] = await Promise.all([
    ask(() => askDatabase(clients, preserve.tables)),
    ask(() => askFiles(clients, preserve)),
    ask(() => askCache(clients, preserve)),
  ])
  return {
    environment: config.ENVIRONMENT,
    claimed: [database, files, cache].every((store) => store.available && store.mark === config.ENVIRONMENT),
    protected: config.PROTECTED || (database.available && database.protected),
    strategies: strategies.map((name) => ({ name, ...scopeOf(name), description: describe(name, clients) })),
    database,
    files,
    cache,
  }
}

async function ask<Found>(
  store: () => Promise<{ mark: string | undefined } & Found>,
): Promise<Asked<Omit<Found, 'mark'>>> {
  try {
    const found = await store()
    return { ...found, available: true, mark: found.mark ?? null }
  } catch (error) {
    return { available: false, reason: reasonOf(error) }
  }
}

async function askFiles(
  clients: Clients,
  preserve: Preserve,
): Promise<{ mark: string | undefined } & FilesOption> {
  const { FILES_BUCKET: bucket, FILES_PREFIX: prefix, PRESERVE_FILES } = clients.config
  const mark = await readFilesMark(clients)
  const { complete: _, ...totals } = await countFiles(clients, {
    preserve: [...PRESERVE_FILES, ...preserve.files],
  })
  return { mark, bucket, prefix, ...totals }
}

async function askCache(
  clients: Clients,
  preserve: Preserve,
): Promise<{ mark: string | undefined } & CacheOption> {
  const { CACHE_PREFIX: prefix, PRESERVE_KEYS } = clients.config
  const mark = await readCacheMark(clients)
  const { complete: _, ...counts } = await countCache(clients, {
    preserve: [...PRESERVE_KEYS, ...preserve.keys],
  })
  return { mark, prefix, ...counts }
}

function describe(strategy: Strategy, { config }: Clients): string {
  const what: Record<Target, string> = {
    database: `the tables of ${config.DATABASE_SCHEMAS.join(', ')}`,
    files: `the files below s3://${config.FILES_BUCKET}/${config.FILES_PREFIX}`,
    cache: config.CACHE_PREFIX === '*' ? 'all cache keys' : `the cache keys ${config.CACHE_PREFIX}…`,
  }
  const { clears, preserves } = scopeOf(strategy)
  const list = (targets: readonly Target[]) =>
    new Intl.ListFormat('en').format(targets.map((target) => what[target]))
  return `Clears ${list(clears)}. Preserves ${preserves.length > 0 ? list(preserves) : 'only what is said to be preserved'}.`
}
