import { beforeAll, describe, expect, it } from 'vitest'
import type { FingerprintFormat } from '../../lib/backup/sections/fingerprint.ts'
import { readTables } from '../../lib/database/catalog/tables.ts'
import { readFingerprints, textOf } from '../../lib/database/fingerprints.ts'
import { linesOf, type Rows, rowsOf } from '../../lib/database/rows.ts'
import { connect } from '../../lib/postgres/connection.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { useDatabase } from './database-stack.ts'
import { typesSql, valuesByType } from './every-type.ts'

const database = useDatabase()
const seeded = (seed: string): FingerprintFormat => ({ version: 2, seed })
const formats: FingerprintFormat[] = [{ version: 1 }, seeded('-9223372036854775808')]

/** Types that have a cast to text of their own, which writes less than their output function does. */
const castTypes: typeof valuesByType = [
  ['inet', ["'192.168.0.1'", "'192.168.0.1/32'", "'192.168.0.0/16'"]],
  ['bpchar', ["'a'", "'a '", "''"]],
  ['app.yes', ['true', 'false']],
  ['app.address', ["'10.0.0.1'", "'10.0.0.1/8'"]],
  ['app.fixed', ["'a'", "'b'"]],
  ['app.yes[]', ['ARRAY[true, false]::app.yes[]', "'{}'"]],
  ['text', [`'a,b'`, `'"a,b"'`, `'(a)'`, `E'\\\\'`, `'""'`, `' '`, "''", "'NULL'"]],
  ['json', [`'{"a":1}'`, `'{"a": 1}'`, "'null'"]],
]
const valuesOf = [...valuesByType, ...castTypes].map(([type, values], at) => ({
  type,
  values,
  table: `t${at}`,
}))

beforeAll(async () => {
  const { sql, admin } = database
  await admin.query(
    'CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public; CREATE EXTENSION IF NOT EXISTS citext SCHEMA public',
  )
  await sql.query(`CREATE SCHEMA app; SET search_path = app, public; ${typesSql}; CREATE TABLE app.every_type ();
    CREATE DOMAIN app.yes AS bool; CREATE DOMAIN app.address AS inet; CREATE DOMAIN app.fixed AS char(4)`)
  for (const { type, values, table } of valuesOf) {
    const rows = ['NULL', ...values].map((value) => `((${value})::${type})`)
    await sql.query(`CREATE TABLE app.${table} (v ${type}); INSERT INTO app.${table} VALUES ${rows}`)
  }
  await sql.query(`CREATE TABLE app.big AS SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 60000) g; ANALYZE app.big;
    CREATE TABLE app.named (c regclass); INSERT INTO app.named VALUES ('app.big'), ('pg_catalog.pg_class'); SET search_path = DEFAULT`)
})

async function tablesByName(): Promise<Map<string, Rows>> {
  const { tables } = await withConnection(database.clients, (connection) => readTables(connection, ['app']))
  return new Map(tables.map((table) => [table.table, table]))
}

const big: Rows = {
  ...{ schema: 'app', table: 'big' },
  columns: [
    { name: 'id', type: 'integer', asText: false },
    { name: 'text', type: 'text', asText: false },
  ],
}

async function fingerprint(of: Rows, format: FingerprintFormat = seeded('1')): Promise<string> {
  const [found] = await withConnection(database.clients, (connection) =>
    readFingerprints(connection, [{ of, expected: 1 }], format),
  )
  return found?.fingerprint ?? ''
}

describe('a fingerprint', () => {
  it('tells the same values apart in each version, of every type: what the lines of a part tell apart', async () => {
    const tables = await tablesByName()
    for (const { type, table } of valuesOf) {
      const counts = await withConnection(database.clients, async (connection) => {
        const columns = formats.map((format, at) => {
          const lines = linesOf(rowsOf(tables.get(table) as Rows, format), format)
          return `(SELECT count(DISTINCT hash)::int FROM ${lines}) AS v${at + 1}, (SELECT count(DISTINCT line)::int FROM ${lines}) AS lines`
        })
        const answer = await connection.query(`SELECT ${columns.join(', ')}`)
        return answer.rows[0]
      })
      expect({ type, ...counts }).toEqual({ type, v1: counts.lines, v2: counts.lines, lines: counts.lines })
      expect(counts.lines).toBeGreaterThan(1)
    }
  })

  it('depends on the seed, and on nothing else than version and rows', async () => {
    const seen = new Set<string>()
    for (const format of [...formats, ...['0', '1', '-1', '9223372036854775807'].map(seeded)]) {
      const one = await fingerprint(big, format)
      expect(await fingerprint(big, format)).toBe(one)
      seen.add(one)
    }
    expect(seen.size).toBe(6)
  })

  it('is that of a copy with its columns in another order, and with others between them', async () => {
    await database.sql.query(`CREATE TABLE app.copy (gone int, text text, more int DEFAULT 7, id int);
      ALTER TABLE app.copy DROP gone; INSERT INTO app.copy (id, text) SELECT id, text FROM app.big ORDER BY text`)
    for (const format of formats)
      expect(await fingerprint({ ...big, table: 'copy' }, format)).toBe(await fingerprint(big, format))
    await database.sql.query('DROP TABLE app.copy')
  })

  it('is the same whatever a role or a database sets', async () => {
    const tables = await tablesByName()
    const all = async () => {
      const connection = await connect(database.clients.config)
      const asked = [...tables.values()].map((of) => ({ of, expected: 1 }))
      const found = await readFingerprints(connection, asked, seeded('5'))
      await connection.end()
      return found
    }
    const before = await all()
    const { rows } = await database.sql.query('SELECT quote_ident(current_database()) AS name')
    const strange = {
      ...{
        DateStyle: 'German, DMY',
        IntervalStyle: 'iso_8601',
        TimeZone: 'Asia/Kathmandu',
        bytea_output: 'escape',
      },
      ...{
        extra_float_digits: '-5',
        lc_monetary: 'C.UTF-8',
        xmloption: 'document',
        search_path: 'app, public',
      },
      ...{ array_nulls: 'off', quote_all_identifiers: 'on', row_security: 'on' },
    }
    const set = (text: (name: string) => string) =>
      database.admin.query(
        Object.keys(strange)
          .map((name) => `ALTER DATABASE ${rows[0].name} ${text(name)}`)
          .join('; '),
      )
    await set(
      (name) =>
        `SET ${name} = ${name === 'search_path' ? 'app, public' : `'${strange[name as keyof typeof strange]}'`}`,
    )
    expect(await all()).toEqual(before)
    await set((name) => `RESET ${name}`)
  })
})

describe('many fingerprints', () => {
  const pages = (from: number, to: number | null) => ({ of: big, pages: { from, to }, expected: 9 })

  it('come in the order in which they were asked for, and add up', async () => {
    const named = (await tablesByName()).get('named') as Rows
    const asked = [
      pages(400, null),
      { of: named, expected: 2 },
      ...Array.from({ length: 100 }, (_, at) => pages(at * 4, at * 4 + 4)),
    ]
    const found = await withConnection(database.clients, (connection) =>
      readFingerprints(connection, asked, seeded('1')),
    )
    expect(found[1]).toEqual({ rows: 2, fingerprint: await fingerprint(named) })
    const ranges = found.filter((_, at) => at !== 1)
    expect(ranges.reduce((sum, { rows }) => sum + rows, 0)).toBe(60_000)
    const sum = ranges.reduce((total, one) => total + BigInt(one.fingerprint), 0n)
    expect(String(sum)).toBe(await fingerprint(big))
  })

  it('are made by parallel workers under the locks of a wipe, each of which reads ranges of its own', async () => {
    await withConnection(database.clients, async (connection) => {
      await connection.query(`SET parallel_setup_cost = 0; SET min_parallel_table_scan_size = 0;
        BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE app.big IN ACCESS EXCLUSIVE MODE; UPDATE taskmaster_reset.environment SET name = name`)
      const planOf = async (text: string) => {
        const answer = await connection.query(`EXPLAIN (COSTS OFF) ${text}`)
        return answer.rows.map((row) => row['QUERY PLAN']).join('\n')
      }
      const settings = await connection.query('SHOW row_security')
      expect(settings.rows[0].row_security).toBe('off')
      const whole = await planOf(textOf([{ of: big, expected: 60_000 }], seeded('1')))
      expect(whole).toMatch(/Workers Planned: [1-9][\s\S]*Parallel Seq Scan/)
      const ranges = await planOf(textOf([pages(0, 100), pages(100, 200), pages(200, null)], seeded('1')))
      expect(ranges).toMatch(/Workers Planned: [1-9][\s\S]*Parallel Append[\s\S]*Tid Range Scan/)
    })
  })
})
