import { type CacheOption, lookAtCache } from '../cache/options.ts'
import type { Clients } from '../clients.ts'
import { type DatabaseOption, lookAtDatabase, type Reason, reasonOf } from '../database/options.ts'
import { StoreUnavailable } from '../errors.ts'
import { type FilesOption, lookAtFiles } from '../files/options.ts'
import type { Limits, Preserve, Target } from '../store.ts'
import { type Strategy, scopeOf, strategies } from './strategy.ts'

/** What is known of one store, or why it is not. `mark` is the environment's name it carries. */
export type Asked<Found> =
  | ({ available: true; mark: string | null } & Found)
  | { available: false; reason: Reason }

export type ResetOptions = {
  environment: string
  /** True when all three stores carry the environment's name; false also when one cannot be asked. */
  claimed: boolean
  protected: boolean
  strategies: { name: Strategy; clears: Target[]; preserves: Target[]; description: string }[]
  database: Asked<DatabaseOption>
  files: Asked<FilesOption>
  cache: Asked<CacheOption>
}

/** For an answer in under two seconds, however much there is. */
export const quickly: Limits = {
  storeMs: 1_800,
  countMs: 900,
  bytes: 64 * 2 ** 20,
  objects: 10_000,
  keys: 50_000,
}

/**
 * What can be reset, with live counts; nothing is written. A store that is down is told as such, the others are counted
 * all the same.
 * @param preserve what a request would preserve in addition to the configuration
 * @param limits null: everything is counted exactly, however long that takes
 */
export async function getOptions(
  clients: Clients,
  preserve: Preserve = { tables: [], files: [], keys: [] },
  limits: Limits | null = null,
): Promise<ResetOptions> {
  const { config } = clients
  const [database, files, cache] = await Promise.all([
    ask('The database', limits, () => lookAtDatabase(clients, { preserve, limits })),
    ask('The files', limits, () => lookAtFiles(clients, { preserve, limits })),
    ask('The cache', limits, () => lookAtCache(clients, { preserve, limits })),
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
  name: string,
  limits: Limits | null,
  store: () => Promise<{ mark: string | undefined } & Found>,
): Promise<Asked<Omit<Found, 'mark'>>> {
  try {
    const found = await (limits === null ? store() : within(limits.storeMs, name, store()))
    return { ...found, available: true, mark: found.mark ?? null }
  } catch (error) {
    return { available: false, reason: reasonOf(error) }
  }
}

/** The answer, if it comes in time. @throws StoreUnavailable */
async function within<Answer>(milliseconds: number, name: string, answer: Promise<Answer>): Promise<Answer> {
  const { promise: tooLate, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    const message = `${name} did not answer within ${milliseconds / 1000} s: it is down, or busy, or still waking up. Ask again in a moment`
    reject(new StoreUnavailable(message))
  }, milliseconds)
  try {
    return await Promise.race([answer, tooLate])
  } finally {
    clearTimeout(timer)
  }
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
