import { createHash, type Hash } from 'node:crypto'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { getJson } from '../../lib/backup/documents/read.ts'
import { putJson } from '../../lib/backup/documents/write.ts'
import { workKeys } from '../../lib/backup/layout.ts'
import { pagesInRange } from '../../lib/backup/ranges/range.ts'
import type { BackedUpTable } from '../../lib/backup/sections/database.ts'
import type { FingerprintFormat } from '../../lib/backup/sections/fingerprint.ts'
import type { Clients } from '../../lib/clients.ts'
import { DatabaseResult } from '../../lib/database/export/batch.ts'
import { readPages } from '../../lib/database/export/chunks.ts'
import { exportDatabase, exportShard } from '../../lib/database/export/export.ts'
import { shardsOf } from '../../lib/database/parts/shards.ts'
import { readEndPages, readRanges } from '../../lib/database/ranges.ts'
import { linesOf as linesOfRows, rowsOf } from '../../lib/database/rows.ts'
import type { Connection } from '../../lib/postgres/connection.ts'
import { ownSearchPath } from '../../lib/postgres/search-path.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { databaseOf } from '../../lib/run/planning/plan.ts'
import { inFullForm, isFull, rounds } from '../support/trust.ts'
import {
  backUp,
  catalogOf,
  configured,
  linesOf,
  noProgress,
  planReset,
  rowsAsLines,
  useDatabase,
} from './database-stack.ts'
import { typesSql, valuesByType } from './every-type.ts'

const database = useDatabase()
let clients: Clients
let tables: Map<string, BackedUpTable>
let fingerprints: FingerprintFormat

/** A name that needs quotes, holds them, and would be a path, an option or a pattern elsewhere. */
const oddName = `a"b'c/d.e\\f%g..h -- ; \u{1F600}é*?`
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

/** What the full form alone has: rows of megabytes. */
const plumpRows = `INSERT INTO app.plump SELECT g, repeat(md5(g::text), CASE WHEN g = 777 THEN 120000 WHEN g % 100 = 50 THEN g ELSE 3 END) FROM generate_series(1, 5000) g;`
const fattestRows = `INSERT INTO app.fat VALUES (41, repeat(md5('m'), 32768)), (42, repeat(E'\\u20AC\\U0001F600', 900000)), (43, repeat(E'a"\\n\\\\', 500000)), (44, 'thin'), (45, repeat('z', 50 * 1024 * 1024))`

beforeAll(async () => {
  clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'] })
  const { sql, admin } = database
  await admin.query(
    'CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public; CREATE EXTENSION IF NOT EXISTS citext SCHEMA public',
  )
  await sql.query(`CREATE SCHEMA app; SET search_path = app, public; ${typesSql}`)
  const columns = valuesByType.map(([type], index) => `c${index} ${type}`)
  const longest = Math.max(...valuesByType.map(([, values]) => values.length))
  const rows = Array.from({ length: longest + 1 }, (_, row) =>
    valuesByType.map(([type, values]) => (values[row] === undefined ? 'NULL' : `(${values[row]})::${type}`)),
  )
  await sql.query(`CREATE TABLE app.every_type (${columns});
    INSERT INTO app.every_type VALUES ${rows.map((row) => `(${row})`)}`)
  await sql.query(`CREATE TABLE app.${quoted(oddName)} (${quoted(oddName)} int); INSERT INTO app.${quoted(oddName)} VALUES (1), (NULL);
    CREATE TABLE app."select" ("from" int, "order" int, r int, v int, line text, lines int, tid text, "ctid " int, "R" int);
    INSERT INTO app."select" VALUES (1, 2, 3, 4, 'five', 6, 'seven', 8, 9);
    CREATE TABLE app."Table" (id int); CREATE TABLE app."table" (id int); INSERT INTO app."Table" VALUES (1); INSERT INTO app."table" VALUES (2);
    CREATE TABLE app.no_columns (); INSERT INTO app.no_columns DEFAULT VALUES; INSERT INTO app.no_columns DEFAULT VALUES;
    CREATE TABLE app.dropped (a int, b text, c int); INSERT INTO app.dropped VALUES (1, 'x', 2); ALTER TABLE app.dropped DROP b; ALTER TABLE app.dropped ADD d int DEFAULT 7;
    CREATE TABLE app.wide (${Array.from({ length: 1000 }, (_, column) => `column_${column} int DEFAULT ${column}`)});
    INSERT INTO app.wide DEFAULT VALUES; INSERT INTO app.wide (column_999) VALUES (NULL);
    CREATE TABLE app.made (id bigint GENERATED ALWAYS AS IDENTITY (START 9007199254740993), a int, double int GENERATED ALWAYS AS (a * 2) STORED);
    INSERT INTO app.made (a) VALUES (1), (2);
    CREATE TABLE app.no_key (a int); INSERT INTO app.no_key VALUES (1), (1), (1);
    CREATE TABLE app.empty (id int);
    CREATE TABLE app.base (id int); CREATE TABLE app.child (more int) INHERITS (app.base); CREATE TABLE app.grandchild () INHERITS (app.child);
    INSERT INTO app.base VALUES (1); INSERT INTO app.child VALUES (2, 2); INSERT INTO app.grandchild VALUES (3, 3);
    CREATE TABLE app.parts (id int) PARTITION BY RANGE (id); CREATE TABLE app.low PARTITION OF app.parts FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
    CREATE TABLE app.lowest PARTITION OF app.low FOR VALUES FROM (0) TO (5); CREATE TABLE app.high PARTITION OF app.parts DEFAULT; INSERT INTO app.parts VALUES (1), (2), (11);
    CREATE UNLOGGED TABLE app.unlogged (id int); INSERT INTO app.unlogged VALUES (1);
    CREATE TABLE app.many AS SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 60000) g;
    DELETE FROM app.many WHERE id % 1000 < 300;
    CREATE TABLE app.squeezed (id int, text text COMPRESSION pglz);
    INSERT INTO app.squeezed SELECT g, CASE WHEN g BETWEEN 20000 AND ${rounds({ short: 20_100, full: 20_800 })} THEN repeat(chr(33 + g % 90), 30000) ELSE 'short' END FROM generate_series(1, 40000) g;
    CREATE TABLE app.plump (id int, text text);
    ${isFull ? plumpRows : ''}
    CREATE TABLE app.fat (id int, text text);
    INSERT INTO app.fat SELECT g, repeat(chr(8364), g * 1000) FROM generate_series(1, 40) g;
    ${isFull ? fattestRows : ''}`)
  const plan = await planReset(clients, { pagesPerShard: 200 })
  const manifest = await backUp(clients, plan)
  fingerprints = databaseOf(plan).planned.fingerprints
  tables = new Map(manifest.database?.tables.map((table) => [table.name, table]))
})

describe('what is exported', () => {
  it.each([
    'app."select"',
    'app."Table"',
    'app."table"',
    'app.no_columns',
    'app.dropped',
    'app.wide',
    'app.made',
    'app.no_key',
    'app.empty',
    'app.base',
    'app.child',
    'app.grandchild',
    'app.lowest',
    'app.high',
    'app.unlogged',
    'app.many',
    'app.squeezed',
    `app.${quoted(oddName)}`,
    ...(isFull ? [] : ['app.fat']),
  ])('is each row of %s exactly once, with nothing added', async (relation) => {
    const name = relation.replace(/"(.*)"$/s, (_, inner) => inner.replaceAll('""', '"'))
    const table = tables.get(name)
    const expected = await rowsAsLines(database.sql, relation)
    expect(await linesOf(clients, table)).toEqual(expected)
    expect(table?.rows).toBe(expected.length)
  })

  it('is no row of a partitioned table itself: its partitions hold them', () => {
    expect(tables.has('app.parts')).toBe(false)
    expect(tables.has('app.low')).toBe(false)
  })

  it('has as fingerprint of its parts together the one of the whole table', async () => {
    const { seed } = fingerprints as { version: 2; seed: string }
    for (const name of ['app.many', 'app.squeezed', 'app.fat', 'app.wide']) {
      const answer = await database.sql.query(
        `SELECT sum(hashtextextended((r.*)::text, ${seed}))::text AS fingerprint FROM ${name} r`,
      )
      const table = tables.get(name)
      expect(table?.fingerprint).toBe(answer.rows[0].fingerprint)
      const sum = table?.parts.reduce((total, part) => total + BigInt(part.fingerprint), 0n)
      expect(String(sum)).toBe(table?.fingerprint)
    }
    expect(tables.get('app.many')?.parts.length).toBeGreaterThan(1)
  })

  it.runIf(isFull)(
    `are rows of any size, with characters of several bytes wherever they are cut ${inFullForm}`,
    async () => {
      const lines = await linesOf(clients, tables.get('app.fat'))
      const digests = lines.map((line) => createHash('md5').update(line).digest('hex')).sort()
      const answer = await database.sql.query(
        'SELECT md5(row_to_json(r.*)::text) AS digest FROM app.fat r ORDER BY 1',
      )
      expect(digests).toEqual(answer.rows.map(({ digest }) => digest))
      expect(Math.max(...lines.map(({ length }) => length))).toBeGreaterThan(50 * 2 ** 20)
    },
  )

  it('writes no object for a table without rows', () => {
    expect(tables.get('app.empty')?.parts).toMatchObject([{ rows: 0, key: null, bytes: 0, sha256: null }])
  })

  it('lies under keys that hold no odd character', () => {
    for (const { key } of [...tables.values()].flatMap(({ parts }) => parts)) {
      if (key !== null) expect(key).toMatch(/^[A-Za-z0-9._%/-]+$/)
    }
    expect(tables.get(`app.${oddName}`)?.parts[0]?.key).toContain('/app.a%22b%27c%2Fd.e%5Cf%25g..h')
  })
})

describe('what is read of a shard', () => {
  it.each(
    isFull
      ? ['app.many', 'app.squeezed', 'app.plump', 'app.wide', 'app.no_columns', 'app.empty']
      : ['app.many', 'app.no_columns', 'app.empty'],
  )(
    'is of %s each range with its rows, and the hash of each line in the order of the lines',
    async (name) => {
      const table = (await catalogOf(clients)).tables.find((one) => one.name === name)!
      const [shard] = shardsOf(table)
      await withConnection(clients, async (connection) => {
        await connection.query(`BEGIN ISOLATION LEVEL REPEATABLE READ; ${ownSearchPath}`)
        const of = linesOfRows(rowsOf(table, fingerprints), fingerprints)
        const known = await connection.query(`SELECT md5(line) AS line, hash FROM ${of}`)
        const hashOf = new Map(known.rows.map(({ line, hash }) => [line, String(hash)]))
        const [expected] = await readRanges([connection], [{ of: table }], fingerprints)
        const to = (await readEndPages(connection, [table])).get(name) ?? 0
        const ranges: { range: number; rows: number; fingerprint: string }[] = []
        let [count, line, lines]: [number, Hash, string[]] = [0, createHash('md5'), []]
        for await (const piece of readPages(connection, { ...shard!, fingerprints }, [{ from: 0, to }])) {
          if ('lines' in piece) {
            let from = 0
            for (let end = piece.lines.indexOf('\n'); end !== -1; end = piece.lines.indexOf('\n', from)) {
              lines.push(line.update(piece.lines.subarray(from, end)).digest('hex'))
              line = createHash('md5')
              from = end + 1
            }
            line.update(piece.lines.subarray(from))
          } else if ('end' in piece) {
            const { hashes, rows, fingerprint } = piece.end
            const found = Array.from({ length: hashes.length / 8 }, (_, at) => hashes.readBigInt64BE(8 * at))
            expect(found.map(String)).toEqual(lines.map((one) => hashOf.get(one)))
            lines = []
            if (rows > 0) ranges.push({ range: count, rows, fingerprint })
            count++
          }
        }
        expect(ranges).toEqual(expected)
        expect(count).toBe(Math.ceil(to / pagesInRange))
      })
    },
  )
})

/** Reads the lines of a backup into a table as docs/formats.md says, and gives both tables' rows as Postgres writes them. */
async function reload(
  name: string,
  table: BackedUpTable | undefined,
  columns: readonly { name: string; type: string }[],
) {
  const { sql } = database
  const values = columns.map((column) => `(line->>${`'${column.name}'`})::${column.type}`)
  await sql.query(
    `SET search_path = app, public; DROP TABLE IF EXISTS app.again; CREATE TABLE app.again (LIKE ${name})`,
  )
  const lines = await linesOf(clients, table)
  await sql.query(`INSERT INTO app.again SELECT ${values} FROM unnest($1::json[]) line`, [lines])
  const text = async (of: string) =>
    (await sql.query(`SELECT t::text AS row FROM ${of} t`)).rows.map(({ row }) => row).sort()
  const both = { before: await text(name), after: await text('app.again') }
  await sql.query('DROP TABLE app.again')
  return both
}

describe('values', () => {
  it('of every type come back from their line exactly as they were', async () => {
    const table = tables.get('app.every_type')
    const { before, after } = await reload('app.every_type', table, table?.columns ?? [])
    expect(after).toEqual(before)
    expect(before.length).toBeGreaterThan(5)
  })

  it('stand in their line as text where JSON would lose something', () => {
    const asText = tables
      .get('app.every_type')
      ?.columns.filter((column) => column.asText)
      .map(({ type }) => type)
    expect(asText).toEqual(
      expect.arrayContaining([
        'json',
        'jsonb',
        'integer[]',
        'json[]',
        'app.pair',
        'app.pair[]',
        'app.document',
        'public.hstore',
      ]),
    )
    expect(asText).not.toContain('text')
    expect(asText).not.toContain('bigint')
  })

  it('keep one row on one line, whatever a json value looks like', async () => {
    const lines = await linesOf(clients, tables.get('app.every_type'))
    for (const line of lines) {
      expect(() => JSON.parse(line)).not.toThrow()
      expect(line).not.toMatch(/[\n\r]/)
    }
  })

  it('of any text, json, bytes, number and time come back, in any number of rows', async () => {
    const { sql } = database
    const text = fc.string({ unit: 'binary' }).map((one) => one.replaceAll('\0', '').toWellFormed())
    const row = fc.tuple(
      fc.option(text),
      fc.option(fc.json().chain((json) => fc.constantFrom(json, `\n${json}\r\n`, ` {"a":1,"a":\t${json}}`))),
      fc.option(fc.double().map(String)),
      fc.option(fc.uint8Array().map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`)),
      fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)),
      fc.option(
        fc
          .date({ noInvalidDate: true, min: new Date(-1e13), max: new Date(1e14) })
          .map((date) => date.toISOString().replace(/^\+/, '')),
      ),
      fc.array(fc.option(text), { maxLength: 3 }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 300, size: 'max' }), async (rows) => {
        await sql.query(`DROP SCHEMA IF EXISTS random CASCADE; CREATE SCHEMA random;
          CREATE TABLE random.t (a text, b json, c float8, d bytea, e int8, f timestamptz, g text[])`)
        for (const one of rows)
          await sql.query('INSERT INTO random.t VALUES ($1, $2, $3, $4::text::bytea, $5, $6, $7)', one)
        const own = configured(clients, { DATABASE_SCHEMAS: ['random'] })
        const manifest = await backUp(own, await planReset(own))
        const table = manifest.database?.tables[0]
        const { before, after } = await reload('random.t', table, table?.columns ?? [])
        expect(after).toEqual(before)
      }),
      { numRuns: rounds({ short: 1, full: 8 }) },
    )
  })
})

describe('an export that is repeated', () => {
  const schemas = ['twice']
  let own: Clients
  beforeAll(async () => {
    await database.sql.query(
      'CREATE SCHEMA twice; CREATE TABLE twice.t (id int); INSERT INTO twice.t VALUES (1)',
    )
    own = configured(clients, { DATABASE_SCHEMAS: schemas })
  })

  it('leaves the parts that later steps have read, also when it saw other rows', async () => {
    const { sql, storage } = database
    const plan = await planReset(own)
    const { database: sealed } = await backUp(own, plan)
    const again = { ...databaseOf(plan), backupId: plan.backupId!, batch: 0 }
    const result = () => getJson(storage, workKeys(plan).databaseResult(0), DatabaseResult)
    const before = await result()
    await sql.query('INSERT INTO twice.t VALUES (3)')
    await exportDatabase(own, again, noProgress)
    expect(await result()).toEqual(before)
    expect(sealed?.tables.find(({ name }) => name === 'twice.t')?.rows).toBe(1)
  })

  it.runIf(isFull)(`does so when both are at work, and the first one ends last ${inFullForm}`, async () => {
    const { sql, storage } = database
    const plan = await planReset(own)
    const again = { ...databaseOf(plan), backupId: plan.backupId!, batch: 0 }
    let first: unknown
    await exportDatabase(own, again, async (done, total) => {
      if (done < total) return
      await exportDatabase(own, again, noProgress)
      first = await getJson(storage, workKeys(plan).databaseResult(0), DatabaseResult)
      await sql.query('DELETE FROM twice.t WHERE id = 3')
    })
    expect(first).toBeDefined()
    expect(await getJson(storage, workKeys(plan).databaseResult(0), DatabaseResult)).toEqual(first)
  })
})

describe('a part whose name is taken while it is read', () => {
  it('is written under the next, and counts each of its rows once', async () => {
    const { storage } = database
    const table = (await catalogOf(clients)).tables.find(({ name }) => name === 'app.no_key')
    const [shard] = shardsOf(table!)
    const key = (copy: number) => `parts/taken-${copy}.jsonl.zst`
    const written = await withConnection(clients, async (connection) => {
      const query = connection.query.bind(connection) as (...given: unknown[]) => Promise<unknown>
      let reads = 0
      const taken = async (...given: unknown[]) => {
        if (++reads === 1) await putJson(storage, key(1), 'of another invocation')
        return query(...given)
      }
      const hashed = { ...shard!, fingerprints }
      return exportShard(storage, Object.assign(connection, { query: taken }) as Connection, hashed, 1, key)
    })
    const { fingerprint } = tables.get('app.no_key')!
    expect(written).toMatchObject({ key: key(2), rows: 3, fingerprint })
  })
})

describe('an export of a table that is no longer the one that was counted', () => {
  it.each(
    [
      ['another column', 'ALTER TABLE app."table" ADD extra int', 'ALTER TABLE app."table" DROP extra'],
      [
        'another type',
        'ALTER TABLE app."table" ALTER id TYPE bigint',
        'ALTER TABLE app."table" ALTER id TYPE int',
      ],
    ].slice(0, isFull ? undefined : 1),
  )('is refused when it has %s, and leaves no result', async (_what, change, back) => {
    const { sql, storage } = database
    const plan = await planReset(clients)
    await sql.query(change)
    await expect(backUp(clients, plan)).rejects.toMatchObject({
      name: 'BackupIsStale',
      message: expect.stringContaining('app.table'),
    })
    await expect(getJson(storage, workKeys(plan).databaseResult(0), DatabaseResult)).rejects.toThrow()
    await sql.query(back)
  })
})
