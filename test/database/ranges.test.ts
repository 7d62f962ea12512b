import { beforeAll, describe, expect, it } from 'vitest'
import { pagesInRange } from '../../lib/backup/ranges/range.ts'
import type { FingerprintFormat } from '../../lib/backup/sections/fingerprint.ts'
import { readTables } from '../../lib/database/catalog/tables.ts'
import { textOfHashing } from '../../lib/database/difference/groups.ts'
import { readFingerprints } from '../../lib/database/fingerprints.ts'
import { cut, readRanges, settings, type TableRanges, textOf } from '../../lib/database/ranges.ts'
import type { PageRange, Rows } from '../../lib/database/rows.ts'
import type { Connection } from '../../lib/postgres/connection.ts'
import { ownSearchPath } from '../../lib/postgres/search-path.ts'
import { withConnections } from '../../lib/postgres/with-connection.ts'
import { useDatabase } from './database-stack.ts'
import { typesSql, valuesByType } from './every-type.ts'

const database = useDatabase()
const format: FingerprintFormat = { version: 2, seed: '42' }
let tables: Map<string, Rows>
const tableOf = (name: string) => tables.get(name) as Rows

beforeAll(async () => {
  const { sql, admin } = database
  await admin.query(
    'CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public; CREATE EXTENSION IF NOT EXISTS citext SCHEMA public',
  )
  await sql.query(
    `CREATE SCHEMA app; SET search_path = app, public; ${typesSql}; CREATE TABLE app.every_type ()`,
  )
  for (const [at, [type, values]] of valuesByType.entries()) {
    const rows = ['NULL', ...values].map((value) => `((${value})::${type})`)
    await sql.query(
      `CREATE TABLE app.t${at} (v ${type}); INSERT INTO app.t${at} VALUES ${Array(40).fill(rows)}`,
    )
  }
  await sql.query(`CREATE TABLE app.big AS SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 60000) g;
    DELETE FROM app.big WHERE id BETWEEN 10000 AND 20000 OR id > 59000;
    CREATE TABLE app.fat (id int, text text); INSERT INTO app.fat SELECT g, repeat(md5(g::text), 20000) FROM generate_series(1, 40) g;
    CREATE TABLE app.named (c regclass); INSERT INTO app.named SELECT 'app.big' FROM generate_series(1, 9000);
    CREATE TABLE app.empty (id int); CREATE TABLE app.emptied (id int); INSERT INTO app.emptied VALUES (1); DELETE FROM app.emptied`)
  tables = await inTransaction(1, async ([connection]) => {
    const read = await readTables(connection as Connection, ['app'])
    return new Map(read.tables.map((table) => [table.table, table]))
  })
})

async function inTransaction<Result>(
  count: number,
  use: (connections: Connection[]) => Promise<Result>,
): Promise<Result> {
  return withConnections(database.clients, count, async (connections) => {
    for (const one of connections) await one.query(`BEGIN READ ONLY; ${ownSearchPath}`)
    return use(connections)
  })
}

/** What the ranges have by the statement that compares a table with its backup, each asked for alone. */
async function oneByOne(connection: Connection, of: Rows, ranges: number): Promise<TableRanges> {
  const asked = Array.from({ length: ranges }, (_, range) => ({
    of,
    pages: { from: range * pagesInRange, to: (range + 1) * pagesInRange },
    expected: 1,
  }))
  const found = await readFingerprints(connection, asked, format)
  return found.map((one, range) => ({ range, ...one })).filter(({ rows }) => rows > 0)
}

describe('the ranges of a table', () => {
  it('have of each type the rows and the fingerprint of their pages, and together those of the table', async () => {
    await inTransaction(3, async (connections) => {
      const all = [...tables.values()]
      const found = await readRanges(
        connections,
        all.map((of) => ({ of })),
        format,
      )
      for (const [at, of] of all.entries()) {
        const ranges = found[at] as TableRanges
        const expected = await oneByOne(connections[0] as Connection, of, 50)
        expect({ table: of.table, ranges }).toEqual({ table: of.table, ranges: expected })
        const [whole] = await readFingerprints(connections[0] as Connection, [{ of, expected: 1 }], format)
        const rows = ranges.reduce((sum, range) => sum + range.rows, 0)
        const fingerprint = String(ranges.reduce((sum, range) => sum + BigInt(range.fingerprint), 0n))
        expect({ rows, fingerprint }).toEqual(whole)
      }
    })
  })

  it('are left out when they have no rows', async () => {
    const [big, empty, emptied, fat] = await inTransaction(1, (connections) =>
      readRanges(
        connections,
        ['big', 'empty', 'emptied', 'fat'].map((name) => ({ of: tableOf(name) })),
        format,
      ),
    )
    const numbers = big?.map(({ range }) => range) ?? []
    expect(numbers.length).toBeGreaterThan(20)
    expect(numbers).toEqual([...new Set(numbers)].sort((one, other) => one - other))
    expect(numbers.at(-1)).toBeGreaterThanOrEqual(numbers.length)
    expect([empty, emptied]).toEqual([[], []])
    expect(fat?.[0]?.rows).toBe(40)
  })

  it('are those of the pages that are asked for, which may be of many tables', async () => {
    const pages = (from: number, to: number | null) => ({ of: tableOf('big'), pages: { from, to } })
    const [whole, one, none, rest, named, past] = await inTransaction(2, (connections) =>
      readRanges(
        connections,
        [
          { of: tableOf('big') },
          pages(32, 48),
          pages(48, 48),
          pages(48, null),
          { of: tableOf('named') },
          pages(160_000, null),
        ],
        format,
      ),
    )
    expect(one).toEqual(whole?.filter(({ range }) => range === 2))
    expect(rest).toEqual(whole?.filter(({ range }) => range > 2))
    expect(named?.reduce((sum, { rows }) => sum + rows, 0)).toBe(9000)
    expect([none, past]).toEqual([[], []])
  })

  it('are read no further when the signal says so', async () => {
    await inTransaction(1, async (connections) => {
      const over = new AbortController()
      const reading = readRanges(connections, [{ of: tableOf('big') }], format, over.signal)
      over.abort(new Error('the backup has failed'))
      await expect(reading).rejects.toThrow('the backup has failed')
    })
  })

  it('leave the settings of their transaction as they were', async () => {
    await inTransaction(1, async (connections) => {
      const [connection] = connections as [Connection]
      const current = async () => {
        const names = ['enable_sort', 'parallel_setup_cost', 'parallel_tuple_cost', 'search_path']
        const values = names.map((name) => `current_setting('${name}')`)
        return (await connection.query({ text: `SELECT ${values.join(', ')}`, rowMode: 'array' })).rows[0]
      }
      const before = await current()
      await readRanges(connections, [{ of: tableOf('named') }, { of: tableOf('big') }], format)
      expect(await current()).toEqual(before)
    })
  })

  it('are grouped without sorting rows, by parallel workers that take the pieces of a statement in turn', async () => {
    await inTransaction(1, async ([connection]) => {
      const pieces = cut({ from: 0, to: null }, { pages: 512, bytes: 2 ** 40 })
      const text = textOf(
        pieces.map((pages) => ({ of: tableOf('big'), pages, at: 0 })),
        format,
      )
      await connection?.query(settings)
      const answer = await connection?.query(`EXPLAIN (COSTS OFF) ${text}`)
      const plan = answer?.rows.map((row) => row['QUERY PLAN']).join('\n')
      expect(plan).toMatch(/^Gather\n +Workers Planned: [1-9]\n +-> +Parallel Append/)
      expect(plan?.match(/HashAggregate\n.*\n +-> +Tid Range Scan/g)).toHaveLength(pieces.length)
    })
  })

  it('of which some are hashed row by row, are read, and no others', async () => {
    await inTransaction(1, async ([connection]) => {
      const pages = [
        { from: 0, to: 16 },
        { from: 64, to: 80 },
      ]
      const text = textOfHashing({ name: 'pg_temp.hashed', table: tableOf('big'), pages, format })
      const answer = await connection?.query(`EXPLAIN (COSTS OFF) ${text}`)
      const plan = answer?.rows.map((row) => row['QUERY PLAN']).join('\n')
      expect(plan).toMatch(/Tid Range Scan on big r\n +TID Cond/)
      expect(plan).not.toContain('Seq Scan')
    })
  })
})

describe('a table is read in pieces', () => {
  it.each<[string, PageRange, { pages: number; bytes: number }, PageRange[]]>([
    [
      'of 32 MiB',
      { from: 0, to: null },
      { pages: 9000, bytes: 9000 * 8192 },
      [
        { from: 0, to: 4096 },
        { from: 4096, to: 8192 },
        { from: 8192, to: 9000 },
      ],
    ],
    [
      'of a range at least',
      { from: 16, to: 64 },
      { pages: 100, bytes: 2 ** 40 },
      [
        { from: 16, to: 32 },
        { from: 32, to: 48 },
        { from: 48, to: 64 },
      ],
    ],
    [
      'which begin where a range does',
      { from: 4000, to: 5000 },
      { pages: 9000, bytes: 9000 * 8192 },
      [
        { from: 4000, to: 4096 },
        { from: 4096, to: 5000 },
      ],
    ],
    ['none behind its end', { from: 5000, to: null }, { pages: 5000, bytes: 2 ** 30 }, []],
    ['none of no pages', { from: 0, to: null }, { pages: 0, bytes: 0 }, []],
  ])('%s', (_, pages, size, expected) => {
    expect(cut(pages, size)).toEqual(expected)
  })
})
