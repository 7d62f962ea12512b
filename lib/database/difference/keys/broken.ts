import type { FingerprintFormat } from '../../../backup/sections/fingerprint.ts'
import type { Connection } from '../../../postgres/connection.ts'
import { qualified, quote } from '../../../postgres/identifiers.ts'
import { ownSearchPath } from '../../../postgres/search-path.ts'
import type { Bucket } from '../../../s3/bucket.ts'
import type { ForeignKey } from '../../catalog/foreign-keys.ts'
import type { Table } from '../../catalog/table.ts'
import type { TableRanges } from '../../ranges.ts'
import { hashesOf, rowsOf } from '../../rows.ts'
import type { BrokenKey } from '../../schema/difference.ts'
import type { TablePair } from '../../table-pair.ts'
import { findGroups } from '../groups.ts'
import { loadFrames } from '../load-frames.ts'

/** A foreign key between what is put back and what stays, by the tables that hold its rows. */
export type Crossing = {
  key: ForeignKey
  /** Rows of these refer, and are put back; or stay. */
  from: { back: string[]; stays: Table[] }
  /** These are referred to, and are put back. */
  to: { back: string[]; stays: string[] }
}

type Differing = { pair: TablePair; ranges: TableRanges }

/**
 * How many rows a restore would leave without the row that they refer to: of what the tables lose and get, the columns of the keys
 * are gathered in TEMP tables, and asked with what stays. In the transaction of diffDatabase, at its moment.
 * @param untold what of the backup stays
 * @param differing the tables of which rows differ: the others are the backup's already
 * @returns those keys that would not hold
 */
export async function countBroken(
  connection: Connection,
  bucket: Bucket,
  {
    crossing,
    differing,
    untold,
    format,
  }: {
    crossing: readonly Crossing[]
    differing: readonly Differing[]
    untold: ReadonlySet<string>
    format: FingerprintFormat
  },
): Promise<BrokenKey[]> {
  const named = crossing.map((one, at) => ({ ...one, ...tablesOf(at) }))
  for (const { key, going, coming, children } of named) {
    const like = (name: string, columns: readonly string[], rows: string) =>
      `CREATE TEMP TABLE ${name} ON COMMIT DROP AS SELECT ${columns.map((column, at) => `${quote(column)} AS c${at}`).join(', ')} FROM ${rows} WITH NO DATA`
    const parents = [going, coming].map((name) => like(name, key.referenced, key.toRows))
    await connection.query([...parents, like(children, key.columns, key.fromRows)].join('; '))
  }
  for (const { pair, ranges } of differing) {
    const { name } = pair.table
    const parents = named.filter(({ to }) => to.back.includes(name))
    const children = named.filter(({ from }) => from.back.includes(name))
    if (parents.length + children.length === 0) continue
    const { groups, now, frames } = await findGroups(connection, bucket, {
      table: pair.table,
      live: ranges,
      format,
    })
    const live = `ONLY ${qualified(pair.live)}`
    for (const { key, going } of parents)
      await connection.query(
        `INSERT INTO ${going} SELECT ${columnsOf(key.referenced)} FROM ${live} AS r JOIN ${now} AS n ON r.ctid = n.tid JOIN ${groups} AS g ON g.hash = n.hash WHERE g.surplus > 0`,
      )
    const wanted = [
      ...parents.map(({ key, coming }) => ({ into: coming, columns: key.referenced })),
      ...children.map(({ key, children }) => ({ into: children, columns: key.columns })),
    ]
    await loadFrames(connection, bucket, { table: pair.table, frames }, async (loaded) => {
      for (const { into, columns } of wanted)
        await connection.query(
          `INSERT INTO ${into} SELECT ${columnsOf(columns)} FROM (${hashesOf(rowsOf(loaded, format), format)}) AS l
           JOIN ${groups} AS g USING (hash) JOIN ${qualified(loaded)} AS r ON r.ctid = l.tid WHERE g.surplus < 0; ${ownSearchPath}`,
        )
    })
  }
  const broken: BrokenKey[] = []
  for (const one of named) {
    const { name, from, to } = one.key
    const [coming, staying] = [await countComing(connection, one), await countStaying(connection, one)]
    const stays = coming > 0 ? one.to.stays : one.from.stays.map((table) => table.name)
    const later = stays.every((leaf) => !untold.has(leaf))
    if (coming + staying > 0) broken.push({ name, from, to, coming, staying, later })
  }
  return broken
}

type Gathered = Crossing & ReturnType<typeof tablesOf>

function tablesOf(at: number) {
  const name = (of: string) => `pg_temp.difference_key_${at}_${of}`
  return { going: name('going'), coming: name('coming'), children: name('children') }
}

function columnsOf(columns: readonly string[]): string {
  return columns.map((column) => `r.${quote(column)}`).join(', ')
}

/** SQL: that rows of `one` and of `other` meet by the key, each with its columns by number or by name. */
function meet(
  { operators }: ForeignKey,
  referenced: (at: number) => string,
  referring: (at: number) => string,
): string {
  return operators.map((operator, at) => `${referenced(at)} ${operator} ${referring(at)}`).join(' AND ')
}

/** Rows that come back, and whose parent neither comes nor stays. */
async function countComing(
  connection: Connection,
  { key, going, coming, children }: Gathered,
): Promise<number> {
  const [f, t] = [(at: number) => `f.c${at}`, (at: number) => `t.${quote(key.referenced[at] as string)}`]
  const gone = `EXISTS (SELECT FROM ${going} AS g WHERE ${meet(key, (at) => `g.c${at}`, f)})`
  const there = `EXISTS (SELECT FROM ${key.toRows} AS t WHERE ${meet(key, t, f)}) AND NOT ${gone}`
  const given = key.columns.map((_, at) => `f.c${at} IS NOT NULL`).join(key.full ? ' OR ' : ' AND ')
  return countRows(
    connection,
    `${children} AS f WHERE (${given})
     AND NOT EXISTS (SELECT FROM ${coming} AS b WHERE ${meet(key, (at) => `b.c${at}`, f)}) AND NOT (${there})`,
  )
}

/** Rows that stay, and whose parent goes and does not come back. */
async function countStaying(connection: Connection, { key, from, going, coming }: Gathered): Promise<number> {
  const f = (at: number) => `f.${quote(key.columns[at] as string)}`
  const among = (name: string) =>
    `EXISTS (SELECT FROM ${name} AS p WHERE ${meet(key, (at) => `p.c${at}`, f)})`
  let rows = 0
  for (const table of from.stays)
    rows += await countRows(
      connection,
      `ONLY ${qualified(table)} AS f WHERE ${among(going)} AND NOT ${among(coming)}`,
    )
  return rows
}

async function countRows(connection: Connection, from: string): Promise<number> {
  const found = await connection.query(`SELECT pg_catalog.count(*)::pg_catalog.float8 AS rows FROM ${from}`)
  return found.rows[0]?.rows
}
