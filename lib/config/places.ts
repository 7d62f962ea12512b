import type { Config } from './variables.ts'

/** Where each store lies, for whoever is about to change it. No user, no password, no token. */
export type Where = { database: string; cache: string; files: string; backups: string }

/** Hosts, names and addresses as the configuration has them: what is reached is not asked. */
export function placesOf(
  config: Pick<
    Config,
    | 'DATABASE_URL'
    | 'UPSTASH_REDIS_REST_URL'
    | 'FILES_BUCKET'
    | 'FILES_PREFIX'
    | 'BACKUP_BUCKET'
    | 'BACKUP_PREFIX'
  >,
): Where {
  const { host, pathname } = new URL(config.DATABASE_URL)
  return {
    database: `${host}${decoded(pathname)}`,
    cache: new URL(config.UPSTASH_REDIS_REST_URL).host,
    files: `s3://${config.FILES_BUCKET}/${config.FILES_PREFIX}`,
    backups: `s3://${config.BACKUP_BUCKET}/${config.BACKUP_PREFIX}`,
  }
}

/** A database may be called "100%". */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}
