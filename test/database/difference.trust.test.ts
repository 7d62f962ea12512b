import { beforeAll, describe, expect, it } from 'vitest'
import type { Manifest } from '../../lib/backup/manifest.ts'
import { writeRangedPart } from '../../lib/backup/ranges/write.ts'
import type { Clients } from '../../lib/clients.ts'
import { diffDatabase } from '../../lib/database/difference/difference.ts'
import type { FoundRows } from '../../lib/database/difference/differing-rows.ts'
import type { TableDifference } from '../../lib/database/schema/difference.ts'
import type { DifferingRow } from '../../lib/database/schema/differing-rows.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { backUp, configured, noProgress, planReset, useDatabase } from './database-stack.ts'
import { typesSql, valuesByType } from './every-type.ts'

const database = useDatabase()
let clients: Clients
let held: NonNullable<Manifest['database']>

const keyed = 'id int PRIMARY KEY, word text, list int[], made numeric'
const fill = (from: number, to: number) =>
  `SELECT g, 'word ' || g, ARRAY[g, NULL], g::numeric / 7 FROM generate_series(${from}, ${to}) AS g`

beforeAll(async () => {
  clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'] })
  const { sql, admin } = database
  await admin.query(
    'CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public; CREATE EXTENSION IF NOT EXISTS citext SCHEMA public',
  )
  await sql.query(`CREATE SCHEMA app; CREATE SCHEMA was; SET search_path = app, public; ${typesSql}`)
  const columns = valuesByType.map(([type], index) => `c${index} ${type}`)
  const longest = Math.max(...valuesByType.map(([, values]) => values.length))
  const rows = Array.from({ length: longest + 1 }, (_, row) =>
    valuesByType.map(([type, values]) => (values[row] === undefined ? 'NULL' : `(${values[row]})::${type}`)),
  )
  await sql.query(`CREATE TABLE app.every_type (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ${columns});
    INSERT INTO app.every_type (${valuesByType.map((_, index) => `c${index}`)}) VALUES ${rows.map((row) => `(${row})`)}`)
  await sql.query(`CREATE TABLE app.keyed (${keyed}); INSERT INTO app.keyed ${fill(1, 30_000)};
    CREATE TABLE app.pairs (a int, b text, n int, PRIMARY KEY (b, a)); INSERT INTO app.pairs SELECT g % 10, (g / 10)::text, g FROM generate_series(1, 500) AS g;
    CREATE TABLE app.no_key (a int, b text); INSERT INTO app.no_key SELECT g % 7, NULLIF(g % 3, 0)::text FROM generate_series(1, 9000) AS g; INSERT INTO app.no_key SELECT NULL, NULL FROM generate_series(1, 5);
    CREATE TABLE app.named (id int PRIMARY KEY, c regclass); INSERT INTO app.named SELECT g, 'app.keyed'::regclass FROM generate_series(1, 300) AS g;
    CREATE TABLE app.fat (id int PRIMARY KEY, t text); INSERT INTO app.fat SELECT g, repeat(md5(g::text), 3000) FROM generate_series(1, 40) AS g;
    CREATE TABLE app.split (id int, v int) PARTITION BY RANGE (id);
    CREATE TABLE app.low PARTITION OF app.split FOR VALUES FROM (0) TO (500); CREATE TABLE app.high PARTITION OF app.split FOR VALUES FROM (500) TO (1000);
    INSERT INTO app.split SELECT g, g FROM generate_series(0, 999) AS g;
    CREATE TABLE app.untouched (id int PRIMARY KEY); INSERT INTO app.untouched SELECT generate_series(1, 5000);
    CREATE TABLE app.moved (id int PRIMARY KEY, v text); INSERT INTO app.moved SELECT g, md5(g::text) FROM generate_series(1, 5000) AS g; DELETE FROM app.moved WHERE id % 2 = 0;
    CREATE TABLE app.empty (id int PRIMARY KEY); CREATE TABLE app.emptied (id int PRIMARY KEY); INSERT INTO app.emptied SELECT generate_series(1, 700);
    CREATE TABLE app.dropped (id int); INSERT INTO app.dropped VALUES (1), (2); CREATE TABLE app.altered (id int, v int); INSERT INTO app.altered VALUES (1, 1);
    CREATE TABLE app.widened (id int PRIMARY KEY, v int); INSERT INTO app.widened SELECT g, g FROM generate_series(1, 100) AS g;
    CREATE SEQUENCE app.counter; SELECT setval('app.counter', 41); CREATE SEQUENCE app.still;
    CREATE DOMAIN app.limited AS text CHECK (length(VALUE) < 100); CREATE TABLE app.domains (id app.limited PRIMARY KEY, v app.limited); INSERT INTO app.domains SELECT 'k' || g, 'v' || g FROM generate_series(1, 2000) AS g`)
  const { rows: tables } = await sql.query(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind = 'r'`,
  )
  for (const { name } of tables) await sql.query(`CREATE TABLE was.${name} AS TABLE app.${name}`)
  const manifest = await backUp(clients, await planReset(clients))
  if (manifest.database === null) throw new Error('The backup holds no database.')
  held = manifest.database
})

const difference = () => diffDatabase(clients, held, noProgress)

/** What really differs, asked past the product: as multisets of the rows' text. */
async function truth(name: string, key: string | null): Promise<Omit<TableDifference, 'name'>> {
  const { sql } = database
  const columns = (
    await sql.query(
      `SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS list FROM pg_attribute WHERE attrelid = 'was.${name}'::regclass AND attnum > 0`,
    )
  ).rows[0].list
  const texts = (schema: string) =>
    `SELECT (v.*)::text FROM ONLY ${schema}.${name} AS r CROSS JOIN LATERAL (SELECT ${columns}) AS v`
  const keys = (one: string, other: string) =>
    `SELECT ROW(${key?.replace(/\b(?=\w)/g, 'v.')})::text FROM ONLY ${one}.${name} AS r CROSS JOIN LATERAL (SELECT ${columns}) AS v WHERE (v.*)::text NOT IN (${texts(other)})`
  const count = async (query: string) =>
    Number((await sql.query(`SELECT count(*) FROM (${query}) AS q`)).rows[0].count)
  const changed =
    key === null ? null : await count(`${keys('app', 'was')} INTERSECT ALL ${keys('was', 'app')}`)
  return {
    before: await count(texts('was')),
    now: await count(texts('app')),
    extra: (await count(`${texts('app')} EXCEPT ALL ${texts('was')}`)) - (changed ?? 0),
    missing: (await count(`${texts('was')} EXCEPT ALL ${texts('app')}`)) - (changed ?? 0),
    changed,
  }
}

const withKey = ['keyed', 'pairs', 'named', 'fat', 'every_type', 'widened', 'domains']
const withoutKey = ['no_key', 'low', 'high', 'emptied', 'empty']
/** Of those in which rows have changed. */
const keysOf = (name: string) => (name === 'pairs' ? ['a', 'b'] : withKey.includes(name) ? ['id'] : [])

async function rowsOf(name: string, limit: number): Promise<FoundRows> {
  const tables = held.tables.filter((table) => table.name === `app.${name}`)
  const found: FoundRows[] = []
  const wanted = { table: `app.${name}`, limit, take: (one: FoundRows) => void found.push(one) }
  await diffDatabase(clients, { ...held, tables, sequences: [] }, noProgress, wanted)
  if (found[0] === undefined || found.length > 1) throw new Error('Rows were not told once.')
  return found[0]
}

/** The same asked past the product: the text of each value as the server sends it to any client. */
async function trueRows(name: string): Promise<DifferingRow[]> {
  const columns =
    held.tables.find((table) => table.name === `app.${name}`)?.columns.map((column) => column.name) ?? []
  const list = columns.map((column) => `"${column}"`).join(', ')
  const atMost = Math.max(16, Math.min(500, Math.floor(8192 / columns.length)))
  async function read(schema: string): Promise<(string | null)[][]> {
    const types = { getTypeParser: () => (text: string) => text }
    const text = `SELECT ${list} FROM ONLY ${schema}.${name}`
    return (await database.sql.query({ text, rowMode: 'array', types } as unknown as { text: string }))
      .rows as never
  }
  await database.sql.query(`BEGIN; SET LOCAL search_path = pg_catalog; SET LOCAL "TimeZone" = 'UTC'`)
  const [before, now] = [await read('was'), await read('app')]
  await database.sql.query('COMMIT')
  const [gone, came] = [without(before, now), without(now, before)]
  const told = (row: (string | null)[]) =>
    row.map((value) => {
      const characters = Array.from(value ?? '')
      if (value === null || characters.length <= atMost) return value
      const length = characters.length.toLocaleString('en-GB')
      return `${characters.slice(0, atMost).join('')}… (shortened; it has ${length} characters)`
    })
  const keyOf = (row: (string | null)[]) =>
    JSON.stringify(columns.flatMap((column, at) => (keysOf(name).includes(column) ? [row[at]] : [])))
  const changed =
    keysOf(name).length > 0 ? came.filter((row) => gone.some((one) => keyOf(one) === keyOf(row))) : []
  const isPaired = (row: (string | null)[]) => changed.some((one) => keyOf(one) === keyOf(row))
  const kept = (rows: (string | null)[][]) => rows.filter((row) => changed.length === 0 || !isPaired(row))
  return [
    ...kept(came).map((row) => ({ kind: 'extra' as const, now: told(row) })),
    ...kept(gone).map((row) => ({ kind: 'missing' as const, before: told(row) })),
    ...changed.map((row) => {
      const was = gone.find((one) => keyOf(one) === keyOf(row)) ?? []
      return { kind: 'changed' as const, before: told(was), now: told(row) }
    }),
  ]
}

/** The rows that the others have not, or less often. */
function without<Row>(rows: readonly Row[], others: readonly Row[]): Row[] {
  const counts = new Map<string, number>()
  for (const row of others) counts.set(JSON.stringify(row), (counts.get(JSON.stringify(row)) ?? 0) + 1)
  return rows.filter((row) => {
    const left = counts.get(JSON.stringify(row)) ?? 0
    counts.set(JSON.stringify(row), left - 1)
    return left <= 0
  })
}

function sorted(rows: readonly DifferingRow[]) {
  return { rows: rows.map((row) => JSON.stringify(row)).sort() }
}

describe('the difference between a backup and the live tables', () => {
  it('is none right after the backup, nor when rows lie elsewhere', async () => {
    await database.sql.query('VACUUM FULL app.moved; ')
    expect(await difference()).toEqual({ equal: held.tables.length, tables: [], sequences: [] })
  })

  it('counts each row that came, went or changed, of every kind of table, and nothing else', async () => {
    const { sql } = database
    await sql.query(`DELETE FROM app.keyed WHERE id % 1000 = 1; UPDATE app.keyed SET word = 'other' WHERE id BETWEEN 500 AND 520; INSERT INTO app.keyed ${fill(40_000, 40_100)};
      UPDATE app.keyed SET id = -id WHERE id = 777; UPDATE app.pairs SET n = n + 1 WHERE a = 3; DELETE FROM app.pairs WHERE b = '7';
      INSERT INTO app.no_key VALUES (1, '1'), (1, '1'), (99, NULL); DELETE FROM app.no_key WHERE ctid IN (SELECT ctid FROM app.no_key WHERE a IS NULL LIMIT 2); UPDATE app.no_key SET b = 'x' WHERE a = 5;
      UPDATE app.named SET c = 'app.pairs' WHERE id < 5; DELETE FROM app.named WHERE id = 9; UPDATE app.fat SET t = t || '!' WHERE id = 3;
      UPDATE app.every_type SET c0 = NULL WHERE id = 1; DELETE FROM app.every_type WHERE id = 2;
      UPDATE app.split SET id = 999 - id WHERE id < 20; DELETE FROM app.high WHERE id = 600; TRUNCATE app.emptied; INSERT INTO app.empty VALUES (1);
      DROP TABLE app.dropped; ALTER TABLE app.altered ALTER v TYPE text; ALTER TABLE app.widened ADD w int DEFAULT 3; UPDATE app.widened SET v = 0 WHERE id < 4;
      UPDATE app.domains SET v = 'changed' WHERE id IN ('k1', 'k2'); DELETE FROM app.domains WHERE id = 'k3'; CREATE TABLE app.later (id int); INSERT INTO app.later VALUES (1), (2), (3);
      SELECT nextval('app.counter'); CREATE SEQUENCE app.fresh`)
    const { equal, tables, sequences } = await difference()
    const keys: Record<string, string | null> = {
      ...{ keyed: 'id', pairs: 'a, b', no_key: null, named: 'id', fat: 'id', every_type: 'id' },
      ...{ low: null, high: null, emptied: 'id', empty: 'id', widened: 'id', domains: 'id' },
    }
    const expected: TableDifference[] = []
    for (const [name, key] of Object.entries(keys))
      expected.push({ name: `app.${name}`, ...(await truth(name, key)) })
    const lost = { extra: 0, changed: null }
    expected.push(
      { name: 'app.dropped', before: 2, now: null, missing: 2, ...lost },
      {
        name: 'app.altered',
        before: 1,
        now: null,
        missing: 0,
        ...lost,
        obstacle: 'its column v was integer and is text now',
      },
      { name: 'app.later', before: null, now: 3, missing: 0, ...lost },
    )
    expect(tables).toEqual(expected.sort((one, other) => (one.name < other.name ? -1 : 1)))
    expect(tables.find(({ name }) => name === 'app.keyed')).toMatchObject({
      changed: 21,
      extra: 102,
      missing: 31,
    })
    expect(equal).toBe(held.tables.length - expected.length + 1)
    expect(sequences).toEqual([
      {
        name: 'app.counter',
        before: { lastValue: '41', isCalled: true },
        now: { lastValue: '42', isCalled: true },
      },
      { name: 'app.fresh', before: null, now: { lastValue: '1', isCalled: false } },
    ])
  })

  it('tells these very rows, of each kind of table, each as often as it is there', async () => {
    for (const name of isFull ? [...withKey, ...withoutKey] : ['pairs', 'no_key', 'low']) {
      const told = await rowsOf(name, 1_000_000)
      expect({ name, ...sorted(told.rows) }).toEqual({ name, ...sorted(await trueRows(name)) })
      expect([name, told.key]).toEqual([name, keysOf(name)])
    }
  })

  it.runIf(isFull)(
    `tells the first of them by the primary key, or as they lie, and of long values the beginning ${inFullForm}`,
    async () => {
      const { rows } = await rowsOf('keyed', 2)
      const ids = (kind: string) =>
        rows.flatMap((row) => (row.kind === kind ? ['now' in row ? row.now[0] : row.before[0]] : []))
      expect([ids('extra'), ids('missing'), ids('changed')]).toEqual([
        ...[
          ['-777', '40000'],
          ['1', '777'],
          ['500', '501'],
        ],
      ])
      const emptied = await rowsOf('emptied', 3)
      expect(emptied).toEqual({
        key: [],
        rows: ['1', '2', '3'].map((id) => ({ kind: 'missing', before: [id] })),
      })
      const [fat] = (await rowsOf('fat', 1)).rows
      const text = (fat?.kind === 'changed' && fat.now[1]) || ''
      expect(text).toMatch(/^[0-9a-f]{500}… \(shortened; it has 96,001 characters\)$/)
    },
  )

  it('leaves nothing behind, and keeps no writer waiting', async () => {
    const { admin, sql } = database
    const made = `SELECT relname FROM pg_class WHERE relpersistence = 't' OR relname LIKE 'difference%'`
    await sql.query('BEGIN; UPDATE app.untouched SET id = -id WHERE id = 1')
    try {
      const { tables } = await difference()
      expect(tables.map(({ name }) => name)).not.toContain('app.untouched')
    } finally {
      await sql.query('ROLLBACK')
    }
    expect((await admin.query(made)).rows).toEqual([])
  })

  it('is no other where the hashes beside a part are not those of its rows: then the backup is damaged', async () => {
    const hashes = Buffer.alloc(8)
    hashes.writeBigInt64BE(77n)
    const about = { rows: 1, fingerprint: '77' }
    const written = await writeRangedPart(
      clients.backups,
      (copy) => `.taskmaster/backups/forged/${copy}.jsonl.zst`,
      async function* () {
        yield { lines: Buffer.from('{"id":5}\n') }
        yield { end: { ...about, hashes } }
      },
    )
    if (written === null) throw new Error('Nothing was written.')
    const tables = held.tables
      .filter(({ name }) => name === 'app.empty')
      .map((table) => {
        const part = { shard: 0, pages: { from: 0, to: null }, ...about, ...written }
        return { ...table, ...about, parts: [part] }
      })
    await expect(diffDatabase(clients, { ...held, tables }, noProgress)).rejects.toThrow(
      /^1 row of app\.empty is not where the backup says/,
    )
  })

  it('is refused where the backup does not hold the hashes of its rows', async () => {
    const without = held.tables.map((table) => ({
      ...table,
      parts: table.parts.map(({ ranges: _, ...part }) => part),
    }))
    await expect(diffDatabase(clients, { ...held, tables: without }, noProgress)).rejects.toThrow(
      /^NotComparable|cannot be compared/,
    )
  })
})
