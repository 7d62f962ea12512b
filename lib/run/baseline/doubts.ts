import type { Backup } from '../../backup/read.ts'
import type { Catalog } from '../../database/catalog/catalog.ts'
import type { ForeignKey } from '../../database/catalog/foreign-keys.ts'
import { tablesNamed } from '../../database/catalog/named.ts'
import { readAsked } from '../../database/definition/asked.ts'
import { doubtsOf } from '../../database/definition/doubts.ts'
import { families } from '../../database/plan/actions/families.ts'
import { messageOf } from '../../errors.ts'
import { selectRuns } from '../../ledger/runs.ts'
import type { Connection } from '../../postgres/connection.ts'
import { quote } from '../../postgres/identifiers.ts'

type Database = NonNullable<Backup['database']>

/** Foreign keys of tables that came later of which it is looked whether there is a row. */
const mostKeys = 20

/**
 * What a reset to a backup may be refused for that only its rows can tell, a line for each: what the live tables ask of rows by
 * now and did not then, unless a reset to it has passed since it was asked, and keys by which rows that stay refer to rows that go.
 * @see docs/decisions.md#what-a-baselines-rows-may-break-is-doubted-not-refused
 * @param asked.back what of the backup would be put back
 * @param asked.passed what was backed up before the last reset to it that passed; asked where there are doubts
 */
export async function readDoubts(
  connection: Connection,
  catalog: Catalog,
  {
    held,
    back,
    excluded,
    passed,
  }: { held: Database; back: Database; excluded: readonly string[]; passed: () => Promise<Database | null> },
): Promise<string[]> {
  const { familyOf, leavesBelow } = families(catalog.tables)
  const names = new Set(back.tables.map(({ name }) => name))
  const live = catalog.tables.filter(({ name }) => names.has(name))
  const oids = [...new Set(live.flatMap(familyOf).map(({ oid }) => oid))]
  const asked = held.definition?.sql ? await readAsked(connection, oids) : { asked: [], types: [] }
  const known = new Set(held.tables.map(({ name }) => name))
  const leftOut = tablesNamed(catalog.tables, excluded)
  const later = new Set(
    catalog.tables
      .filter((table) => !familyOf(table).some((one) => leftOut.has(one)))
      .filter(({ name }) => !leavesBelow(name).some((leaf) => known.has(leaf)))
      .map(({ name }) => name),
  )
  const keys = catalog.foreignKeys.filter(
    ({ derived, from, to }) => !derived && later.has(from) && leavesBelow(to).some((leaf) => names.has(leaf)),
  )
  const lines: string[] = []
  for (const key of keys.slice(0, mostKeys)) {
    const { from, to, name } = key
    try {
      if (!(await hasRows(connection, key))) continue
      lines.push(`rows of ${from}, which came later and stay, refer to ${to} (${name})`)
    } catch (error) {
      // Further ones would cost as much: the backup that is being sealed must not wait for them.
      lines.push(
        `whether rows of ${from}, which came later and stay, refer to ${to} (${name}) cannot be told (${messageOf(error)})`,
      )
      break
    }
  }
  const doubting = { ...asked, back: back.tables, above: familyOf, catalog, held }
  const doubts = doubtsOf({ ...doubting, passed: null })
  return [...lines, ...(doubts.length > 0 ? doubtsOf({ ...doubting, passed: await passed() }) : [])]
}

async function hasRows(connection: Connection, { fromRows, columns }: ForeignKey): Promise<boolean> {
  const given = columns.map((column) => `${quote(column)} IS NOT NULL`).join(' AND ')
  const found = await connection.query(`SELECT EXISTS (SELECT FROM ${fromRows} WHERE ${given}) AS some`)
  return found.rows[0]?.some === true
}

/** The backup that the last reset to this one took before it put all rows back; undefined: none is known. */
export async function lastPassed(connection: Connection, backupId: string): Promise<string | undefined> {
  const [row] = await selectRuns(
    connection,
    `WHERE target_backup_id = $1 AND operation = 'reset-to' AND restored IS NOT NULL AND backup_id IS NOT NULL
     ORDER BY started_at DESC LIMIT 1`,
    [backupId],
  )
  return row?.backupId ?? undefined
}
