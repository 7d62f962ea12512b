import { and, eq, isNotNull, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/neon-serverless'
import type { Connection } from '../../postgres/connection.ts'
import { notices } from '../schema.ts'

/** What is told: of which run or alarm, and what of it. */
export type NoticeKey = { about: string; event: string }

/**
 * Waits until nobody else tells of the same: events come twice, and at once. For as long as the connection lives.
 * @returns the names of those that were told; null: the ledger, of an earlier version or none at all, keeps no record of it
 */
export async function lockNotices(
  connection: Connection,
  { about, event }: NoticeKey,
): Promise<Set<string> | null> {
  const has = await connection.query(`SELECT to_regclass('taskmaster_reset.notices') IS NOT NULL AS has`)
  if (has.rows[0]?.has !== true) return null
  await connection.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [
    `taskmaster-reset notices of ${about} ${event}`,
  ])
  const sent = await drizzle({ client: connection })
    .select({ name: notices.name })
    .from(notices)
    .where(and(eq(notices.about, about), eq(notices.event, event), isNotNull(notices.sentAt)))
  return new Set(sent.map(({ name }) => name))
}

/** @param error what kept it from being told; null: it was told, and is not told again */
export async function noteNotice(
  connection: Connection,
  { about, event, name, error }: NoticeKey & { name: string; error: string | null },
): Promise<void> {
  const set = { sentAt: error === null ? sql`now()` : null, error }
  await drizzle({ client: connection })
    .insert(notices)
    .values({ about, event, name, ...set })
    .onConflictDoUpdate({ target: [notices.about, notices.event, notices.name], set })
}
