import { agreeing, counted } from '../../amounts.ts'
import type { Warning } from '../../backup/manifest.ts'
import { RehearsalFailed } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { sqlStateOf } from '../../postgres/errors.ts'
import { quote } from '../../postgres/identifiers.ts'
import { queryUnderOwnPath } from '../../postgres/search-path.ts'
import { linesOf, queryRows, rowsOf } from '../rows.ts'
import { scratchTableOf, typedRows } from '../scratch/schema.ts'
import type { TablePair } from '../table-pair.ts'

/**
 * Generated columns whose loaded values are not what their expression makes today, as when a function was replaced after
 * the rows were written. A restore can only make them anew. To be called of tables with the columns of the backup.
 * @throws RehearsalFailed when an expression refuses rows: they could not be put back
 */
export async function differentlyGenerated(
  connection: Connection,
  { runId, pairs }: { runId: string; pairs: readonly TablePair[] },
): Promise<Warning[]> {
  const warnings: Warning[] = []
  const made = pairs.filter(({ table }) => table.columns.some(({ generated }) => generated !== ''))
  const expressions = await readExpressions(connection, made)
  for (const pair of made) {
    for (const { column, expression } of expressions.get(pair.live.oid) ?? []) {
      const rows = await countDifferent(connection, runId, pair, { column, expression })
      if (rows === 0) continue
      warnings.push(warningOf(pair, column, rows))
    }
  }
  return warnings
}

/**
 * Generated columns of which the live tables, after a restore, hold other values than were backed up. It asks no expression:
 * one that reads tables makes the backed-up value again once all rows are there, and has made another while they were not.
 * To be called in a transaction that has the own search path, of tables whose other columns are as backed up.
 */
export async function differentlyStored(
  connection: Connection,
  { runId, pairs }: { runId: string; pairs: readonly TablePair[] },
): Promise<Warning[]> {
  const warnings: Warning[] = []
  for (const pair of pairs) {
    const { table } = pair
    for (const { name } of table.columns.filter(({ generated }) => generated !== '')) {
      const columns = table.columns.filter((column) => column.generated === '' || column.name === name)
      const [held, stored] = [
        { ...scratchTableOf(runId, table), columns },
        { ...table, columns },
      ]
      const [missing] = await queryRows(
        connection,
        [held, stored],
        `SELECT pg_catalog.count(*)::float8 AS rows FROM
         (SELECT line FROM ${linesOf(rowsOf(held, { version: 2 }))} EXCEPT ALL SELECT line FROM ${linesOf(rowsOf(stored, { version: 2 }))}) AS other`,
      )
      if (missing.rows > 0) warnings.push(warningOf(pair, name, missing.rows))
    }
  }
  return warnings
}

function warningOf({ table }: TablePair, column: string, rows: number): Warning {
  return {
    code: 'GeneratedDiffers',
    message: `${counted(rows, 'row')} of ${table.name} ${agreeing(rows, 'has', 'have')} a value in the generated column ${column} that its expression does not make any more: a function it calls was replaced, or reads tables whose rows are put back meanwhile. A restore makes these values anew, and brings back all other columns as they are`,
  }
}

async function countDifferent(
  connection: Connection,
  runId: string,
  { table, live }: TablePair,
  { column, expression }: { column: string; expression: string },
): Promise<number> {
  const held = `${quote(table.table)}.${quote(column)}::pg_catalog.text`
  try {
    const [counted] = await queryUnderOwnPath(
      connection,
      `SELECT pg_catalog.count(*)::float8 AS rows FROM ${typedRows(runId, table, live)}
       WHERE (${expression})::pg_catalog.text IS DISTINCT FROM ${held}`,
    )
    return counted?.rows
  } catch (cause) {
    throw new RehearsalFailed(
      `The generated column ${column} of ${table.name} cannot be made for its backed-up rows (SQLSTATE ${sqlStateOf(cause)}), so they could not be put back. Nothing was touched; look at the functions that it calls`,
      { cause },
    )
  }
}

async function readExpressions(
  connection: Connection,
  pairs: readonly TablePair[],
): Promise<Map<number, { column: string; expression: string }[]>> {
  if (pairs.length === 0) return new Map()
  const answer = await connection.query(
    `SELECT d.adrelid::bigint::float8 AS oid, a.attname AS column, pg_get_expr(d.adbin, d.adrelid) AS expression
     FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
     WHERE a.attgenerated <> '' AND d.adrelid = ANY($1::oid[]) ORDER BY d.adrelid, a.attnum`,
    [pairs.map(({ live }) => live.oid)],
  )
  return Map.groupBy(answer.rows, ({ oid }) => oid)
}
