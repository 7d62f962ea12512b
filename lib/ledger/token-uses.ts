import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/neon-serverless'
import type { Connection } from '../postgres/connection.ts'
import { tokens } from './schema.ts'

/** Notes that a token of the API was used. A ledger of an earlier version, or none, notes nothing. */
export async function noteTokenUse(connection: Connection, name: string, at: Date): Promise<void> {
  if (!(await hasTokens(connection))) return
  await drizzle({ client: connection })
    .insert(tokens)
    .values({ name, lastUsedAt: at })
    .onConflictDoUpdate({
      target: tokens.name,
      set: { lastUsedAt: sql`greatest(${tokens.lastUsedAt}, excluded.last_used_at)` },
    })
}

/** When each token was last used, as far as that was ever noted. */
export async function readTokenUses(connection: Connection): Promise<Map<string, Date>> {
  if (!(await hasTokens(connection))) return new Map()
  const rows = await drizzle({ client: connection }).select().from(tokens)
  return new Map(rows.map(({ name, lastUsedAt }) => [name, lastUsedAt]))
}

async function hasTokens(connection: Connection): Promise<boolean> {
  const { rows } = await connection.query(`SELECT to_regclass('taskmaster_reset.tokens') IS NOT NULL AS has`)
  return rows[0]?.has === true
}
