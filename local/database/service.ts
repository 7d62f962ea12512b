import type { Started, Starting } from '../store.ts'
import { createDatabase, dropDatabase, startPostgres } from './postgres.ts'
import { postgresTarget } from './socket.ts'
import type { DatabaseShape } from './store.ts'
import { startWebSocketProxy } from './websocket-proxy.ts'

/** A PostgreSQL, and what the Neon driver needs in front of one that is not Neon's. */
export async function startDatabase(plan: DatabaseShape['plan'], starting: Starting): Promise<Started> {
  const { url, description, real } = await postgresOf(plan, starting)
  const proxied = plan.embedded || plan.proxy
  const env: Record<string, string> = { DATABASE_URL: url }
  if (proxied) {
    const proxy = await startWebSocketProxy(postgresTarget(url))
    starting.onEnd(proxy.stop)
    env.DATABASE_WEBSOCKET_PROXY = proxy.address
  }
  const imitated = proxied ? ["Neon's WebSocket front"] : []
  return { service: { name: 'database', embedded: plan.embedded, description, real, imitated }, env }
}

async function postgresOf(
  plan: DatabaseShape['plan'],
  { postgresAdminUrl, guarded, onEnd }: Starting,
): Promise<{ url: string; description: string; real: string[] }> {
  if (!plan.embedded) return { url: plan.url, description: describe(plan.url), real: ['PostgreSQL'] }
  if (postgresAdminUrl) {
    const fresh = await createDatabase(postgresAdminUrl)
    onEnd(() => dropDatabase(postgresAdminUrl, fresh))
    return { url: fresh, description: describe(fresh), real: ['PostgreSQL'] }
  }
  const { adminUrl, description, version } = await startPostgres(await guarded())
  return { url: await createDatabase(adminUrl, 'taskmaster'), description, real: [`PostgreSQL ${version}`] }
}

function describe(url: string): string {
  if (url.startsWith('ssm:')) return `PostgreSQL, address in SSM (${url})`
  const { host, pathname } = new URL(url)
  return `PostgreSQL at ${host}, database ${decodeURIComponent(pathname.slice(1))}`
}
