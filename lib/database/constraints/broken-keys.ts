import { agreeing, counted } from '../../amounts.ts'
import type { Warning } from '../../backup/manifest.ts'
import { RehearsalFailed } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { qualified, quote } from '../../postgres/identifiers.ts'
import { queryUnderOwnPath } from '../../postgres/search-path.ts'
import { typedRows } from '../scratch/schema.ts'
import type { TablePair } from '../table-pair.ts'

type Key = {
  name: string
  oid: number
  table: string
  partitioned: boolean
  referencing: number[]
  referenced: number[]
  columns: string[]
  targets: string[]
  operators: string[]
  full: boolean
  fromRows: string
  toRows: string
  /** Since version 18 that of a partitioned table may be, too. */
  mayBeNotValid: boolean
}

/** SQL: the oids of the tables that hold the rows of one, itself or its partitions. */
export const leavesOf = (oid: string, kind: string) =>
  `CASE ${kind} WHEN 'p' THEN ARRAY(SELECT relid::oid::bigint::float8 FROM pg_partition_tree(${oid}) WHERE isleaf) ELSE ARRAY[${oid}::bigint::float8] END`

type BackedUp = {
  runId: string
  /** All tables of the backup. */
  pairs: readonly TablePair[]
  /** The names of those of which rows were loaded, and of those that were whole. */
  loaded: ReadonlySet<string>
  whole: ReadonlySet<string>
  /** The names of those of which another run has asked the same of these rows. */
  known: ReadonlySet<string>
}

/**
 * Rows whose validated foreign key points at no row of the backup. A restore brings such a key back NOT VALID; keys to tables
 * that the backup does not hold are left out. Where not all rows of either side were loaded, those of the live tables are asked.
 * @throws RehearsalFailed for a key of a partitioned table where Postgres knows no NOT VALID (before version 18)
 */
export async function brokenKeys(connection: Connection, backedUp: BackedUp): Promise<Warning[]> {
  const { pairs } = backedUp
  const byOid = new Map(pairs.map((pair) => [pair.live.oid, pair]))
  const keys = await readKeys(
    connection,
    `k.convalidated AND (k.conrelid = ANY($1::oid[]) OR f.relkind = 'p')`,
    [pairs.map(({ live }) => live.oid)],
  )
  const warnings: Warning[] = []
  for (const key of keys) {
    const from = key.referencing.flatMap((oid) => byOid.get(oid) ?? [])
    const to = key.referenced.flatMap((oid) => byOid.get(oid) ?? [])
    if (to.length < key.referenced.length) continue
    let rows = 0
    for (const one of from)
      if (one.table.rows > 0) rows += await countBroken(connection, backedUp, key, one, to)
    if (rows === 0) continue
    const broken = `${counted(rows, 'row')} of ${key.table} ${agreeing(rows, 'does', 'do')} not keep its foreign key ${key.name}: what is referred to is not there`
    if (key.partitioned && !key.mayBeNotValid) {
      throw new RehearsalFailed(
        `${broken}. A key of a partitioned table cannot come back NOT VALID before PostgreSQL 18, so these rows could not be put back. The live tables were not touched; correct the rows, or drop the key`,
      )
    }
    warnings.push({
      code: 'ConstraintBroken',
      message: `${broken}. A restore puts them back, and the key as NOT VALID`,
    })
  }
  return warnings
}

/** How many rows of `from` do not keep the key; where not all of both sides were loaded, as far as that can be others than none. */
async function countBroken(
  connection: Connection,
  { runId, loaded, whole, known }: BackedUp,
  key: Key,
  from: TablePair,
  to: readonly TablePair[],
): Promise<number> {
  const inScratch = ({ table, live }: TablePair, alias?: string) => typedRows(runId, table, live, alias)
  const inLive = ({ live }: TablePair, alias = live.table) => `ONLY ${qualified(live)} AS ${quote(alias)}`
  const isEvery = (names: ReadonlySet<string>) => to.every(({ table }) => names.has(table.name))
  const [ofLoaded, toLive] = [inScratch(from, 'f'), to.map((one) => inLive(one))]
  if (whole.has(from.table.name) && isEvery(whole))
    return countDangling(connection, key, { from: ofLoaded, to: to.map((one) => inScratch(one)) })
  // What they refer to is there as it was: then only rows that are new can refer to nothing.
  if (isEvery(known)) {
    if (!loaded.has(from.table.name)) return 0
    if ((await countDangling(connection, key, { from: ofLoaded, to: toLive })) === 0) return 0
  }
  // Both of one moment: since the backup rows may have gone, with those that referred to them.
  return countDangling(connection, key, { from: inLive(from, 'f'), to: toLive })
}

/** Rows of `from`, which is known as f, that refer to no row of `to`; both as FROM has them. */
async function countDangling(
  connection: Connection,
  key: Key,
  { from, to }: { from: string; to: readonly string[] },
): Promise<number> {
  const pairsOf = key.columns.map(
    (column, index) => `t.${quote(key.targets[index] as string)} ${key.operators[index]} f.${quote(column)}`,
  )
  const targets = key.targets.map(quote).join(', ')
  const rows = to.map((one) => `SELECT ${targets} FROM ${one}`)
  const given = key.columns.map((column) => `f.${quote(column)} IS NOT NULL`)
  const some = given.join(key.full ? ' OR ' : ' AND ')
  const exists = `EXISTS (SELECT FROM (${rows.join(' UNION ALL ')}) AS t WHERE ${pairsOf.join(' AND ')})`
  const [counted] = await queryUnderOwnPath(
    connection,
    `SELECT pg_catalog.count(*)::float8 AS rows FROM ${from}
     WHERE (${some}) AND NOT ${to.length === 0 ? 'false' : exists}`,
  )
  return counted?.rows
}

/** How many live rows do not keep a foreign key; null when it cannot be counted. */
export async function countBrokenKey(
  connection: Connection,
  table: string,
  name: string,
): Promise<number | null> {
  const [key] = await readKeys(connection, 'k.conrelid = $1::regclass AND k.conname = $2', [table, name])
  if (key === undefined) return null
  return countDangling(connection, key, { from: `${key.fromRows} AS f`, to: [key.toRows] })
}

async function readKeys(connection: Connection, where: string, values: unknown[]): Promise<Key[]> {
  const names = (numbers: string, oid: string) =>
    `(SELECT json_agg(a.attname ORDER BY o.n) FROM unnest(${numbers}) WITH ORDINALITY o(num, n)
      JOIN pg_attribute a ON a.attrelid = ${oid} AND a.attnum = o.num)`
  const answer = await connection.query(
    `SELECT k.conname AS name, k.conrelid::bigint::float8 AS oid, n.nspname || '.' || f.relname AS "table", f.relkind = 'p' AS partitioned,
       ${leavesOf('f.oid', 'f.relkind')} AS referencing, ${leavesOf('t.oid', 't.relkind')} AS referenced,
       ${names('k.conkey', 'k.conrelid')} AS columns, ${names('k.confkey', 'k.confrelid')} AS targets,
       (SELECT json_agg('OPERATOR(' || quote_ident(opn.nspname) || '.' || op.oprname || ')' ORDER BY o.n)
         FROM unnest(k.conpfeqop) WITH ORDINALITY o(id, n)
         JOIN pg_operator op ON op.oid = o.id JOIN pg_namespace opn ON opn.oid = op.oprnamespace) AS operators,
       format('%s%s', CASE WHEN f.relkind = 'p' THEN '' ELSE 'ONLY ' END, f.oid::regclass) AS "fromRows",
       format('%s%s', CASE WHEN t.relkind = 'p' THEN '' ELSE 'ONLY ' END, t.oid::regclass) AS "toRows",
       k.confmatchtype = 'f' AS "full", current_setting('server_version_num')::int >= 180000 AS "mayBeNotValid"
     FROM pg_constraint k JOIN pg_class f ON f.oid = k.conrelid JOIN pg_namespace n ON n.oid = f.relnamespace
     JOIN pg_class t ON t.oid = k.confrelid
     WHERE k.contype = 'f' AND k.conparentid = 0 AND (${where})
       -- one over periods asks for ranges that cover, which no pair of columns says
       AND NOT coalesce((to_jsonb(k) ->> 'conperiod')::boolean, false)
     ORDER BY k.oid`,
    values,
  )
  return answer.rows
}
