import { agreeing, counted } from '../../amounts.ts'
import type { Warning } from '../../backup/manifest.ts'
import { RehearsalFailed } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { queryUnderOwnPath } from '../../postgres/search-path.ts'
import { inSavepoint } from '../savepoint.ts'
import { typedRows } from '../scratch/schema.ts'
import type { TablePair } from '../table-pair.ts'

/** A condition that a row must meet, as SQL over the table's columns, and what it is called. */
type CheckCondition = { name: string; column: string | null; sql: string }

/**
 * Rows that validated checks would refuse today: written past them, or before a function that they call was replaced. A
 * restore brings such a constraint back NOT VALID. To be called in a transaction, of tables with the columns of the backup.
 * @throws RehearsalFailed when a column that may not be null has nulls, which nothing can put back
 */
export async function brokenChecks(
  connection: Connection,
  { runId, pairs }: { runId: string; pairs: readonly TablePair[] },
): Promise<Warning[]> {
  const conditions = await readConditions(connection, pairs)
  const warnings: Warning[] = []
  for (const { table, live } of pairs) {
    const asked = conditions.get(live.oid) ?? []
    if (asked.length === 0 || table.rows === 0) continue
    const from = typedRows(runId, table, live)
    const broken = await countBroken(connection, from, asked)
    for (const [index, rows] of broken.entries()) {
      const { name, column } = asked[index] as CheckCondition
      if (rows === 0) continue
      if (column !== null) {
        throw new RehearsalFailed(
          `${rows === null ? 'Some rows' : counted(rows, 'row')} of ${table.name} ${agreeing(rows ?? 2, 'has', 'have')} nothing in the column ${column}, which may not be null, and could not be put back. The live tables were not touched; make the column nullable, or give such rows a value`,
        )
      }
      warnings.push({
        code: 'ConstraintBroken',
        message:
          rows === null
            ? `The check ${name} of ${table.name} raises an error for its rows as they are. A restore puts them back, and the constraint as NOT VALID`
            : `${counted(rows, 'row')} of ${table.name} ${agreeing(rows, 'does', 'do')} not keep its check ${name}. A restore puts such rows back, and the constraint as NOT VALID`,
      })
    }
  }
  return warnings
}

/** How many rows break each condition; null when asking raises an error. */
async function countBroken(
  connection: Connection,
  from: string,
  conditions: readonly CheckCondition[],
): Promise<(number | null)[]> {
  const counts = conditions.map(
    ({ sql }, at) => `pg_catalog.count(*) FILTER (WHERE NOT (${sql}))::float8 AS c${at}`,
  )
  let found: Record<string, number> | undefined
  const error = await inSavepoint(connection, async () => {
    ;[found] = await queryUnderOwnPath(connection, `SELECT ${counts.join(', ')} FROM ${from}`)
  })
  if (error === undefined) return conditions.map((_, at) => found?.[`c${at}`] ?? 0)
  if (conditions.length === 1) return [null]
  const each: (number | null)[] = []
  for (const condition of conditions) each.push(...(await countBroken(connection, from, [condition])))
  return each
}

async function readConditions(
  connection: Connection,
  pairs: readonly TablePair[],
): Promise<Map<number, CheckCondition[]>> {
  const answer = await connection.query(
    `SELECT k.conrelid::bigint::float8 AS oid, k.conname AS name, NULL AS column, pg_get_expr(k.conbin, k.conrelid) AS sql
     FROM pg_constraint k WHERE k.contype = 'c' AND k.convalidated AND k.conrelid = ANY($1::oid[])
     UNION ALL
     SELECT a.attrelid::bigint::float8, a.attname, a.attname, quote_ident(a.attname) || ' IS NOT NULL'
     FROM pg_attribute a WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND a.attnotnull AND NOT a.attisdropped
       AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'n'
         AND k.conkey = ARRAY[a.attnum] AND NOT k.convalidated)`,
    [pairs.map(({ live }) => live.oid)],
  )
  return Map.groupBy(answer.rows, ({ oid }) => oid)
}

/** How many live rows do not keep a check; null when asking raises an error. */
export async function countBrokenCheck(
  connection: Connection,
  table: string,
  name: string,
): Promise<number | null> {
  const answer = await connection.query(
    `SELECT k.conname AS name, NULL AS column, pg_get_expr(k.conbin, k.conrelid) AS sql
     FROM pg_constraint k WHERE k.contype = 'c' AND k.conrelid = $1::regclass AND k.conname = $2`,
    [table, name],
  )
  const [condition] = answer.rows as CheckCondition[]
  return condition === undefined ? null : ((await countBroken(connection, table, [condition]))[0] ?? null)
}
