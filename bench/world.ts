import { startRedis } from '../local/cache/redis.ts'
import { createDatabase } from '../local/database/postgres.ts'
import { keysAt, putKeys } from './data/keys.ts'
import { sizesAt } from './data/rows.ts'
import { filesAt } from './data/stories.ts'
import { buckets, environment, environmentOf } from './environment.ts'
import { askApi } from './steps/api.ts'
import type { Measured } from './steps/invoke.ts'
import { type Run, startMachine } from './steps/machine.ts'
import { copyDatabase, fillDatabase, inDatabase, sizeOf } from './stores/database.ts'
import type { ProxySettings, ProxyStarted } from './stores/proxy.ts'
import type { RestSettings, RestStarted } from './stores/rest.ts'
import type { S3Message, S3Started } from './stores/s3.ts'
import type { Server } from './stores/server.ts'
import { type Service, startService } from './stores/service.ts'

/** The three stores with the reference data of one scale, and the product beside them. */
export type World = {
  scale: number
  size: { rows: number; bytes: number; files: number; keys: number }
  /** What the functions run in. */
  env: Record<string, string>
  /** The superuser's, in the same database, past the proxy. */
  adminUrl: string
  redis: { host: string; port: number; password: string }
  run(request: object): Promise<Run>
  /** One request to the API, as a cold function answers it. */
  ask(path: string): Promise<Measured>
  /** The last backup that was made and not forgotten. */
  lastBackup(): string | undefined
  forgetBackups(): Promise<void>
  /** Files and keys that are gone are there again. */
  refill(): Promise<void>
  /** All is as it was filled, also what was wiped, and without a backup. */
  renew(): Promise<void>
  stop(): Promise<void>
}

/** @param name of its database */
export async function openWorld(
  server: Server,
  { name, scale, bundleOf }: { name: string; scale: number; bundleOf: (name: string) => string },
): Promise<World> {
  const ends: (() => Promise<unknown>)[] = []
  async function stop(): Promise<void> {
    for (const end of ends.splice(0).reverse()) await end()
  }
  async function service<Started>(kind: string, settings: unknown): Promise<Service<Started>> {
    const started = await startService<Started>(kind, settings)
    ends.push(started.stop)
    return started
  }
  try {
    const url = await createDatabase(server.adminUrl, name)
    const adminUrl = inDatabase(server.adminUrl, name)
    const store = await startRedis(server.guarded)
    const client = store.connect()
    ends.push(async () => client.disconnect())
    const { host = '', port = 0, password = '' } = client.options
    const redisUrl = `redis://:${password}@${host}:${port}`
    const [s3, proxy, rest] = await Promise.all([
      service<S3Started>('s3', buckets),
      service<ProxyStarted>('proxy', { databaseUrl: url } satisfies ProxySettings),
      service<RestStarted>('rest', { redisUrl } satisfies RestSettings),
    ])
    const env = environmentOf({
      DATABASE_URL: url,
      DATABASE_WEBSOCKET_PROXY: proxy.started.address,
      UPSTASH_REDIS_REST_URL: rest.started.url,
      UPSTASH_REDIS_REST_TOKEN: rest.started.token,
      AWS_ENDPOINT_URL_S3: s3.started.url,
    })
    const machine = await startMachine(bundleOf, env)
    ends.push(machine.stop)

    const tell = (message: S3Message) => s3.tell(message)
    const refill = async () => {
      await Promise.all([tell({ fill: filesAt(scale) }), putKeys(client, scale)])
    }
    await Promise.all([fillDatabase({ url, adminUrl }, scale), refill()])
    await machine.run({ operation: 'claim', confirm: environment })
    const reference = `${name}_reference`
    await copyDatabase(adminUrl, { from: name, to: reference })
    const rows = Object.values(sizesAt(scale)).reduce((sum, count) => sum + count, 0)
    const size = { rows, bytes: await sizeOf(adminUrl), files: filesAt(scale), keys: keysAt(scale) }

    let lastBackup: string | undefined
    async function forgetBackups(): Promise<void> {
      lastBackup = undefined
      await tell({ empty: true })
    }
    return {
      scale,
      size,
      env,
      adminUrl,
      redis: { host, port, password },
      async run(request) {
        const run = await machine.run({ confirm: environment, ...request })
        lastBackup = run.outcome.backupId ?? lastBackup
        return run
      },
      ask: (path) => askApi(bundleOf('api'), env, path),
      lastBackup: () => lastBackup,
      forgetBackups,
      refill,
      async renew() {
        await forgetBackups()
        await copyDatabase(adminUrl, { from: reference, to: name })
        await refill()
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}
