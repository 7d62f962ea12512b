import type { Warning } from '../../backup/manifest.ts'
import type { Connection } from '../../postgres/connection.ts'

/**
 * Says what a publication FOR ALL TABLES means for the ledger: its tables are sent as well, and a subscriber that lacks a
 * table stops (PostgreSQL's manual, "Logical Replication", "Subscription"). Scratch tables are UNLOGGED, so never sent.
 */
export async function warnOfPublications(connection: Connection): Promise<Warning[]> {
  const found = await connection.query(
    `SELECT string_agg(pubname, ', ' ORDER BY pubname) AS names FROM pg_publication WHERE puballtables`,
  )
  const names: string | null = found.rows[0]?.names
  if (names === null) return []
  return [
    {
      code: 'LedgerPublished',
      message: `Of ${names}, which publishes all tables, the ledger is a part: a subscriber without the schema taskmaster_reset stops. Create it there (pg_dump --schema-only --schema=taskmaster_reset), or publish the application's schemas only (FOR TABLES IN SCHEMA). A wipe and a restore reach the subscriber as TRUNCATE and rows, unless the publication leaves those out`,
    },
  ]
}
