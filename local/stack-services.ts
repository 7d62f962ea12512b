import type { Redis } from 'ioredis'
import { givenRedis, howToInstall, startRedis } from './cache/redis.ts'
import { startUpstashRest } from './cache/upstash-rest.ts'
import { createDatabase, dropDatabase, startPostgres } from './database/postgres.ts'
import { postgresTarget } from './database/socket.ts'
import { startWebSocketProxy } from './database/websocket-proxy.ts'
import { startS3 } from './files/s3.ts'
import type { Guarded } from './processes/child-processes.ts'
import { filesEnvironment } from './stack-environment.ts'
import type { StackPlan } from './stack-plan.ts'

export type Service = {
  name: 'database' | 'cache' | 'files' | 'state machine'
  embedded: boolean
  description: string
  /** What of it is the real thing, with its version. */
  real: string[]
  /** What of it is an imitation, and by what. */
  imitated: string[]
}

type Started = { service: Service; env: Record<string, string> }
type AddEnding = (end: () => Promise<void>) => void

export async function startDatabase(
  plan: StackPlan['database'],
  guarded: Guarded | undefined,
  postgresAdminUrl: string | undefined,
  onEnd: AddEnding,
): Promise<Started> {
  const { url, description, real } = await database()
  const proxied = plan.embedded || plan.proxy
  const env: Record<string, string> = { DATABASE_URL: url }
  if (proxied) {
    const proxy = await startWebSocketProxy(postgresTarget(url))
    onEnd(proxy.stop)
    env.DATABASE_WEBSOCKET_PROXY = proxy.address
  }
  const imitated = proxied ? ["Neon's WebSocket front"] : []
  return { service: { name: 'database', embedded: plan.embedded, description, real, imitated }, env }

  async function database(): Promise<{ url: string; description: string; real: string[] }> {
    if (!plan.embedded)
      return { url: plan.url, description: describeDatabase(plan.url), real: ['PostgreSQL'] }
    if (postgresAdminUrl) {
      const fresh = await createDatabase(postgresAdminUrl)
      onEnd(() => dropDatabase(postgresAdminUrl, fresh))
      return { url: fresh, description: describeDatabase(fresh), real: ['PostgreSQL'] }
    }
    const { adminUrl, description, version } = await startPostgres(needed(guarded))
    return { url: await createDatabase(adminUrl, 'taskmaster'), description, real: [`PostgreSQL ${version}`] }
  }
}

export async function startCache(
  plan: StackPlan['cache'],
  guarded: Guarded | undefined,
  environment: NodeJS.ProcessEnv,
  onEnd: AddEnding,
): Promise<Started & { connectRedis: (() => Redis) | undefined }> {
  const CACHE_PREFIX = environment.CACHE_PREFIX || '*'
  if ('restUrl' in plan) {
    const service: Service = {
      name: 'cache',
      embedded: false,
      description: `Upstash at ${hostOf(plan.restUrl)}`,
      real: ['Upstash Redis'],
      imitated: [],
    }
    const env = { CACHE_PREFIX, UPSTASH_REDIS_REST_URL: plan.restUrl, UPSTASH_REDIS_REST_TOKEN: plan.token }
    return { service, env, connectRedis: undefined }
  }
  const store = plan.embedded
    ? await startRedis(needed(guarded), environment)
    : await givenRedis(plan.redisUrl)
  const rest = await startUpstashRest(store)
  onEnd(rest.stop)
  return {
    service: {
      name: 'cache',
      embedded: plan.embedded,
      description: `${store.description}, REST on ${hostOf(rest.url)}`,
      real: store.mock ? [] : [store.version],
      imitated: [
        ...(store.mock ? [`Redis (ioredis-mock. ${howToInstall()})`] : []),
        "Upstash's REST interface",
      ],
    },
    env: { CACHE_PREFIX, UPSTASH_REDIS_REST_URL: rest.url, UPSTASH_REDIS_REST_TOKEN: rest.token },
    connectRedis: store.connect,
  }
}

export async function startFiles(
  plan: StackPlan['files'],
  environment: NodeJS.ProcessEnv,
  onEnd: AddEnding,
): Promise<Started> {
  if (!plan.embedded) {
    const description = plan.endpoint
      ? `S3 at ${hostOf(plan.endpoint)}`
      : `Amazon S3, bucket ${environment.FILES_BUCKET}`
    const env: Record<string, string> = plan.endpoint ? { AWS_ENDPOINT_URL_S3: plan.endpoint } : {}
    return {
      service: { name: 'files', embedded: false, description, real: [description], imitated: [] },
      env,
    }
  }
  const { FILES_BUCKET = '', BACKUP_BUCKET = '' } = filesEnvironment(plan, environment)
  const s3 = await startS3([FILES_BUCKET, BACKUP_BUCKET])
  onEnd(s3.stop)
  const description = `fauxqs (S3, in memory only) on ${hostOf(s3.url)}`
  const imitated = ['Amazon S3 (fauxqs, in memory)']
  const service: Service = { name: 'files', embedded: true, description, real: [], imitated }
  return { service, env: { AWS_ENDPOINT_URL_S3: s3.url } }
}

function describeDatabase(url: string): string {
  if (url.startsWith('ssm:')) return `PostgreSQL, address in SSM (${url})`
  const { host, pathname } = new URL(url)
  return `PostgreSQL at ${host}, database ${decodeURIComponent(pathname.slice(1))}`
}

function hostOf(url: string): string {
  return URL.canParse(url) && !url.startsWith('ssm:') ? new URL(url).host : 'the address in SSM'
}

function needed(guarded: Guarded | undefined): Guarded {
  if (!guarded) throw new Error('An embedded service was started without a guard for its process.')
  return guarded
}
