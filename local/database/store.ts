import { counted } from '../../lib/amounts.ts'
import type { DatabaseOption } from '../../lib/database/schema/option.ts'
import { parseAddress } from '../address.ts'
import type { LocalStore, Started } from '../store.ts'
import type { TableCounts } from './demonstration.ts'
import { showDatabaseOption } from './option.ts'

export type DatabaseShape = {
  plan: { embedded: true } | { embedded: false; url: string; proxy: boolean }
  started: Started
  filled: { rows: Record<string, number> }
  count: TableCounts
  found: DatabaseOption
}

export const database: LocalStore<DatabaseShape> = {
  addresses: ['DATABASE_URL'],
  howToGive: 'DATABASE_URL',
  plan,
  givenBy: () => 'DATABASE_URL',
  isComplete: (plan) => !plan.embedded && !plan.proxy,
  start: async (plan, starting) => (await import('./service.ts')).startDatabase(plan, starting),
  fill: async (reached, scale) => (await import('./sample.ts')).fillTables(reached, scale),
  filledWith: ({ rows }) => counted(totalOf(rows), 'row'),
  showOption: showDatabaseOption,
  demonstration: async () => (await import('./demonstration.ts')).tables,
}

function plan(environment: NodeJS.ProcessEnv): DatabaseShape['plan'] {
  const url = environment.DATABASE_URL
  if (!url) return { embedded: true }
  if (url.startsWith('ssm:')) return { embedded: false, url, proxy: false } // Its value is fetched later, by the product.
  const { hostname, protocol } = parseAddress('DATABASE_URL', url)
  if (!/^postgres(ql)?:$/.test(protocol)) {
    throw new Error(`DATABASE_URL must begin with postgres:// or postgresql://, not ${protocol}//.`)
  }
  const onNeon = hostname === 'neon.tech' || hostname.endsWith('.neon.tech')
  return { embedded: false, url, proxy: !onNeon && !environment.DATABASE_WEBSOCKET_PROXY }
}

/** Of all tables. */
export function totalOf(rows: Record<string, number>): number {
  return Object.values(rows).reduce((sum, rows) => sum + rows, 0)
}
