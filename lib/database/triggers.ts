import type { Connection } from '../clients.ts'
import { qualified, quote } from './identifiers.ts'

type Relation = { schema: string; table: string; oid: number }

const states: Record<string, string> = { O: 'ENABLE', R: 'ENABLE REPLICA', A: 'ENABLE ALWAYS' }

/**
 * Switches off the user triggers and the ON DELETE rules of `tables`, which could change what is kept.
 * @returns the statements that put each back exactly as it was
 */
export async function disableTriggers(
  connection: Connection,
  tables: readonly Relation[],
): Promise<string[]> {
  const oids = tables.map(({ oid }) => oid)
  const found = await connection.query(
    `SELECT tgrelid::bigint AS oid, 'TRIGGER' AS kind, tgname AS name, tgenabled AS state FROM pg_trigger
       WHERE tgrelid = ANY($1::oid[]) AND NOT tgisinternal AND tgenabled <> 'D'
     UNION ALL
     SELECT ev_class::bigint, 'RULE', rulename, ev_enabled FROM pg_rewrite
       WHERE ev_class = ANY($1::oid[]) AND ev_type = '4' AND ev_enabled <> 'D'`,
    [oids],
  )
  const byOid = new Map(tables.map((table) => [table.oid, table]))
  const undo: string[] = []
  for (const { oid, kind, name, state } of found.rows) {
    const table = byOid.get(Number(oid))
    if (table === undefined) continue
    await connection.query(`ALTER TABLE ${qualified(table)} DISABLE ${kind} ${quote(name)}`)
    undo.push(`ALTER TABLE ${qualified(table)} ${states[state]} ${kind} ${quote(name)}`)
  }
  return undo
}
