import { randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import type { BackedUpTable } from '../../lib/backup/sections/database.ts'
import { readTables, type Tables } from '../../lib/database/catalog/tables.ts'
import { brokenChecks } from '../../lib/database/constraints/broken-checks.ts'
import { brokenKeys } from '../../lib/database/constraints/broken-keys.ts'
import { constraintChanges } from '../../lib/database/constraints/constraints.ts'
import { differentlyGenerated } from '../../lib/database/constraints/generated-columns.ts'
import { dropIndexes } from '../../lib/database/constraints/indexes.ts'
import { readRowExpressions } from '../../lib/database/constraints/row-expressions.ts'
import { proveTypes } from '../../lib/database/constraints/types.ts'
import { compareLoaded } from '../../lib/database/load/compare.ts'
import { wholeOf } from '../../lib/database/load/loaded.ts'
import { tryIndexes } from '../../lib/database/load/trial-indexes.ts'
import { tryReplace } from '../../lib/database/load/trial-replace.ts'
import { warnOfUnproved } from '../../lib/database/plan/trial-restore.ts'
import { fillTables } from '../../lib/database/restore/fill.ts'
import { compareLive } from '../../lib/database/restore/replace-rows.ts'
import { fingerprintOf, queryRows, rowsOf } from '../../lib/database/rows.ts'
import { ensureScratch } from '../../lib/database/scratch/create.ts'
import { dropScratch } from '../../lib/database/scratch/drop.ts'
import { isHeldAsText, scratchTableOf } from '../../lib/database/scratch/schema.ts'
import type { TablePair } from '../../lib/database/table-pair.ts'
import { DatabaseBusy, RehearsalFailed, SchemaChanged } from '../../lib/errors.ts'
import type { Connection } from '../../lib/postgres/connection.ts'
import { qualified, quote } from '../../lib/postgres/identifiers.ts'
import { underOwnSearchPath } from '../../lib/postgres/search-path.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { databaseOf } from '../../lib/run/planning/plan.ts'
import { configured, planReset, session, useDatabase } from '../database/database-stack.ts'
import { postgresMajor } from '../support/server-version.ts'

const database = useDatabase()

beforeEach(async () => {
  await database.sql.query('DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app')
  await database.admin.query(`CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public;
    CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public`)
})

const plpgsql = (name: string, returns: string, body: string) =>
  `CREATE OR REPLACE FUNCTION app.${name}(i int) RETURNS ${returns} LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN ${body} END $$`
const same = plpgsql('same', 'int', 'RETURN i;')

const fingerprints = { version: 2, seed: '7' } as const

type Loaded = {
  runId: string
  pairs: TablePair[]
  live: Tables
  loaded: Set<string>
  whole: Set<string>
  known: Set<string>
}

/**
 * Makes tables of the schema app, loads their rows beside them as a rehearsal does, and lets something happen to the live ones.
 * @param later by a superuser
 */
async function loaded<Result>(
  make: string,
  { later = '', without = [] as string[], runId = randomUUID() as string },
  use: (connection: Connection, loaded: Loaded) => Promise<Result>,
): Promise<Result> {
  await database.sql.query(make)
  return withConnection(database.clients, async (connection) => {
    const read = async () => readTables(connection, ['app'])
    const tables: BackedUpTable[] = []
    for (const table of (await read()).tables) {
      if (table.partitioned || without.includes(table.table)) continue
      await connection.query('BEGIN')
      const [{ rows, fingerprint }] = await underOwnSearchPath(connection, () =>
        queryRows(connection, [table], fingerprintOf(rowsOf(table, fingerprints), fingerprints)),
      )
      await connection.query('COMMIT')
      tables.push({ ...table, rows: Number(rows), fingerprint, parts: [] })
    }
    await ensureScratch(connection, { runId, tables })
    for (const table of tables) {
      const values = table.columns.map(
        (column) => `${quote(column.name)}${isHeldAsText(column) ? '::pg_catalog.text' : ''}`,
      )
      await connection.query(
        `INSERT INTO ${qualified(scratchTableOf(runId, table))} SELECT ${values} FROM ONLY ${qualified(table)}`,
      )
    }
    await database.admin.query(later)
    const live = await read()
    const pairs = tables.map((table) => ({
      table,
      live: live.tables.find(({ name }) => name === table.name)!,
    }))
    try {
      const whole = new Set(tables.map(({ name }) => name))
      return await use(connection, { runId, pairs, live, loaded: whole, whole, known: new Set() })
    } finally {
      await connection.query('ROLLBACK')
      await dropScratch(connection, runId)
    }
  })
}

/** The same in a transaction. */
const within =
  <Result>(use: (connection: Connection, loaded: Loaded) => Promise<Result>) =>
  async (connection: Connection, asked: Loaded) => {
    await connection.query('BEGIN')
    return use(connection, asked)
  }

const messages = (warnings: { message: string }[]) => warnings.map(({ message }) => message)

describe('loaded rows that constraints would refuse', () => {
  it('are told of a key that is valid, whatever its columns, and only when what it refers to was backed up', async () => {
    const hasPeriods = postgresMajor >= 18
    const told = await loaded(
      `CREATE TABLE app.p (id int PRIMARY KEY, a int, b int, UNIQUE (a, b)); INSERT INTO app.p VALUES (1, 10, 20);
       CREATE TABLE app.elsewhere (id int PRIMARY KEY); INSERT INTO app.elsewhere VALUES (5);
       CREATE TABLE app.room (id int, during int4range, PRIMARY KEY (id, during${hasPeriods ? ' WITHOUT OVERLAPS' : ''})); INSERT INTO app.room VALUES (1, '[1,3)'), (1, '[3,9)');
       CREATE TABLE app.c (id int CONSTRAINT later CHECK (id > 0), a int, b int, away int CONSTRAINT away REFERENCES app.elsewhere, during int4range, up int CONSTRAINT up REFERENCES app.p,
         CONSTRAINT turned FOREIGN KEY (b, a) REFERENCES app.p (b, a), CONSTRAINT whole FOREIGN KEY (a, b) REFERENCES app.p (a, b) MATCH FULL
         ${hasPeriods ? ', CONSTRAINT booked FOREIGN KEY (id, PERIOD during) REFERENCES app.room (id, PERIOD during)' : ''});
       INSERT INTO app.c VALUES (1, 10, 20, 5, '[2,5)', 1);
       ALTER TABLE app.c ADD CONSTRAINT small CHECK (id > 5) NOT VALID, ADD CONSTRAINT old FOREIGN KEY (b) REFERENCES app.p (id) NOT VALID`,
      { without: ['elsewhere'] },
      within(async (connection, asked) => [
        ...(await brokenChecks(connection, asked)),
        ...(await brokenKeys(connection, asked)),
      ]),
    )
    expect(told).toEqual([])
  })

  it('are told of each key that was gone past, with how many; a pair that is half empty only breaks one that is MATCH FULL', async () => {
    const table = (key: string) =>
      `(id int, a int, b int, up int CONSTRAINT up REFERENCES app.p, CONSTRAINT ${key} FOREIGN KEY (a, b) REFERENCES app.p (a, b)`
    await database.sql.query(`CREATE TABLE app.p (id int PRIMARY KEY, a int, b int, UNIQUE (a, b)); INSERT INTO app.p VALUES (1, 10, 20);
      CREATE TABLE app.simple ${table('half')}); CREATE TABLE app.whole ${table('fully')} MATCH FULL)`)
    await database.admin.query(`SET session_replication_role = replica; INSERT INTO app.simple VALUES (1, 10, NULL, 9), (2, 10, 20, 8);
      INSERT INTO app.whole VALUES (1, 10, NULL, 1), (2, NULL, NULL, NULL); RESET session_replication_role`)
    const told = await loaded('SELECT', {}, within(brokenKeys))
    expect(messages(told)).toEqual([
      expect.stringMatching(/^2 rows of app\.simple do not keep its foreign key up: .* as NOT VALID$/),
      expect.stringMatching(/^1 row of app\.whole does not keep its foreign key fully: /),
    ])
  })

  it('end the rehearsal when a column may not be empty, and is: nothing could put them back', async () => {
    const asking = loaded(
      'CREATE TABLE app.t (id int, v int); INSERT INTO app.t VALUES (1, 1), (2, NULL), (3, NULL)',
      // As is done to large tables in place of the statement that looks at each row.
      {
        later: `UPDATE pg_attribute SET attnotnull = true WHERE attrelid = 'app.t'::regclass AND attname = 'v'`,
      },
      within(brokenChecks),
    )
    await expect(asking).rejects.toThrow(RehearsalFailed)
    await expect(asking).rejects.toThrow(
      /^2 rows of app\.t have nothing in the column v, which may not be null,/,
    )
  })
})

describe('loaded values of types of the application', () => {
  const types = (later: string, make = '') =>
    loaded(
      `CREATE TABLE public.named (); CREATE TYPE app.names AS (r regclass); CREATE DOMAIN app.small AS int; CREATE TYPE app.span AS RANGE (subtype = app.small);
       CREATE TABLE app.t (r app.names, s app.span[]); INSERT INTO app.t VALUES (ROW('public.named'), '{"[-5,3)"}'); ${make}`,
      { later },
      within((connection, asked) => proveTypes(connection, { ...asked, version: 2 })),
    ).finally(() => database.sql.query('DROP TABLE public.named'))

  it('are proved under either search path, and not those of a column that came later', async () => {
    expect(await types('ALTER TABLE app.t ADD later app.small[]')).toEqual([])
  })

  it('that a domain of the role refuses by now are told, also inside of a range in an array', async () => {
    const told = await types('ALTER DOMAIN app.small ADD CONSTRAINT positive CHECK (VALUE > 0) NOT VALID')
    expect(messages(told)).toEqual([
      expect.stringMatching(/^A domain in the type app\.span\[\] of app\.t\.s refuses .*SQLSTATE 23514/),
    ])
  })

  it('that a domain of another role refuses end the rehearsal: its constraint could not be put aside', async () => {
    const asking = types(`ALTER DOMAIN app.small OWNER TO CURRENT_USER;
      ALTER DOMAIN app.small ADD CONSTRAINT positive CHECK (VALUE > 0) NOT VALID`)
    await expect(asking).rejects.toThrow(RehearsalFailed)
    await expect(asking).rejects.toThrow(
      /^The type app\.span\[\] of app\.t\.s does not read .*SQLSTATE 23514.*owned by the database role/,
    )
  })
})

describe('what looks at each row', () => {
  const made = `${same}; CREATE TABLE app.t (id int, v int, g int GENERATED ALWAYS AS (app.same(v)) STORED); INSERT INTO app.t VALUES (1, 1), (2, 2)`
  const raises = plpgsql('same', 'int', 'RETURN 1 / (i - i);')

  it('ends the rehearsal when it raises an error by now: a generated column by its name', async () => {
    const asking = loaded(made, { later: raises }, within(differentlyGenerated))
    await expect(asking).rejects.toThrow(RehearsalFailed)
    await expect(asking).rejects.toThrow(/^The generated column g of app\.t cannot be made .*SQLSTATE 22012/)
  })

  it('ends it so as an index, when the tables are what was backed up; else only duplicates count', async () => {
    const index = `${same}; CREATE TABLE app.t (id int, v int); CREATE UNIQUE INDEX once ON app.t (app.same(v)); INSERT INTO app.t VALUES (1, 1), (2, 2)`
    const asked = (later: string, isCurrent: boolean) =>
      loaded(
        index,
        { later },
        within((connection, found) => tryIndexes(connection, { ...found, isCurrent })),
      )
    await expect(asked(raises, true)).rejects.toThrow(
      /^The index once of app\.t would not take .*they make it raise an error \(SQLSTATE 22012\).*drop the index or constraint$/,
    )
    await database.sql.query('DROP TABLE app.t')
    expect(await asked(raises, false)).toEqual([])
    await database.sql.query('DROP TABLE app.t')
    const invalid = `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.once'::regclass; ${plpgsql('same', 'int', 'RETURN 7;')}`
    await expect(asked(invalid, false)).rejects.toThrow(
      /^The index once of app\.t, which is INVALID, would not take .*they are not unique by it\..* or drop that index$/,
    )
    await database.sql.query('CREATE TABLE app.plain (id int); CREATE UNIQUE INDEX broken ON app.plain (id)')
    await database.admin.query(
      `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.broken'::regclass`,
    )
    const [unproved] = await withConnection(database.clients, async (connection) =>
      warnOfUnproved(connection, (await readTables(connection, ['app'])).tables),
    )
    expect(unproved?.message).toMatch(/: the index broken of app\.plain, the index once of app\.t may refuse/)
  })

  it('reads tables, or does not: a restore has to be tried on the live ones only when it does', async () => {
    const compared = (later: string, isCurrent = true) =>
      loaded(made, { later }, (connection, { runId, pairs, live }) =>
        compareLoaded(connection, {
          ...{ runId, live, isCurrent, fingerprints },
          tables: pairs.map(({ table }) => table),
          loaded: wholeOf(pairs.map(({ table }) => table)),
        }),
      )
    expect(await compared('')).toEqual({ warnings: [], reading: [] })
    await database.sql.query('DROP TABLE app.t')
    const reading = plpgsql('same', 'int', 'RETURN (SELECT t.v FROM app.t WHERE t.v = i);')
    expect(await compared(reading)).toEqual({ warnings: [], reading: ['generated column g of app.t'] })
    await database.sql.query('DROP TABLE app.t')
    // Of a backup of another time nothing that reads tables can be said.
    expect(await compared(raises, false)).toEqual({ warnings: [], reading: [] })
  })

  it('is named when it calls code of the application, also by an operator or a domain, and not that of an extension', async () => {
    await database.sql.query(
      `${same}; ${plpgsql('fine', 'boolean', 'RETURN true;')};
      CREATE FUNCTION app.plus(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2'; CREATE OPERATOR app.## (FUNCTION = app.plus, LEFTARG = int, RIGHTARG = int);
      CREATE DOMAIN app.checked AS int CHECK (app.fine(VALUE)); CREATE DOMAIN app.simple AS int CHECK (VALUE > 0);
      CREATE TABLE app.t (v int, h public.hstore, g int GENERATED ALWAYS AS (app.same(v)) STORED, k int GENERATED ALWAYS AS (v + 1) STORED);
      CREATE TABLE app.u (v int, h public.hstore); CREATE INDEX of_extension ON app.u ((h OPERATOR(public.->) 'x'), public.akeys(h)); CREATE INDEX by_function ON app.u (app.same(v));
      CREATE INDEX by_operator ON app.u ((v OPERATOR(app.##) 1)); CREATE INDEX by_domain ON app.u ((v::app.checked)); CREATE INDEX simple ON app.u ((v::app.simple), (v + 1))`,
    )
    const found = await withConnection(database.clients, async (connection) =>
      readRowExpressions(connection, (await readTables(connection, ['app'])).tables),
    )
    expect(found.map(({ name }) => name)).toEqual([
      'generated column g of app.t',
      ...['by_domain', 'by_function', 'by_operator'].map((index) => `index ${index} of app.u`),
    ])
  })
})

it('a table that asks no function, and does not take its rows any more, is named', async () => {
  const filling = loaded(
    'CREATE TABLE app.t (v int); INSERT INTO app.t VALUES (1), (1); CREATE TABLE app.fine (v int)',
    { later: 'TRUNCATE app.t; CREATE UNIQUE INDEX once ON app.t (v)' },
    within((connection, asked) => underOwnSearchPath(connection, () => fillTables(connection, asked))),
  )
  await expect(filling).rejects.toThrow(SchemaChanged)
  await expect(filling).rejects.toThrow(
    /^The live table app\.t does not take its rows of the backup: .*Nothing was changed/,
  )
})

it.each([
  ['a column that is given', 'CREATE TABLE app.t (v int, w int)'],
  [
    'one beside a generated column',
    'CREATE TABLE app.t (v int, w int, g int GENERATED ALWAYS AS (v) STORED)',
  ],
])('live rows that are not the backed-up ones in %s end a restore', async (_, make) => {
  const insert = 'INSERT INTO app.t (v, w) VALUES (1, 1), (2, 2)'
  const compared = (later: string) =>
    loaded(
      `DROP TABLE IF EXISTS app.t; ${make}; ${insert}`,
      { later },
      within((connection, { runId, pairs }) => compareLive(connection, { runId, pairs, fingerprints })),
    )
  expect(await compared('')).toEqual([])
  await expect(compared('UPDATE app.t SET w = 3 WHERE v = 2')).rejects.toThrow(
    /app\.t has its 2 rows, but at least one/,
  )
  await expect(compared('DELETE FROM app.t WHERE v = 2')).rejects.toThrow(/app\.t has 1 row instead of 2/)
})

it('a key of a table that is not swapped is tried together with the first that is', async () => {
  await database.sql.query(`CREATE TABLE app.a (id int PRIMARY KEY); CREATE TABLE app.b (id int REFERENCES app.a);
    CREATE TABLE app.c (id int CHECK (id > 0))`)
  await withConnection(database.clients, async (connection) => {
    const { tables } = await readTables(connection, ['app'])
    const [a, , c] = tables
    const changes = await constraintChanges(connection, [a!, c!])
    expect([...changes.keys()].sort()).toEqual([a!.oid, c!.oid].sort())
    expect(changes.get(a!.oid)?.join()).toContain('ALTER TABLE app.b DROP CONSTRAINT')
    expect(changes.get(c!.oid)).toHaveLength(2)
  })
})

it('an index is only put aside where making it again gives the same', async () => {
  await database.sql.query(`CREATE TABLE app.t (v int, r int4range, EXCLUDE USING gist ((int4range(v, v + 1)) WITH &&)); ALTER TABLE app.t RENAME CONSTRAINT t_int4range_excl TO constraint_;
    ${['plain', 'clustered', 'statistics', 'extension', 'invalid', 'elsewhere'].map((name) => `CREATE INDEX ${name} ON app.t ((v + 1))`).join('; ')};
    CREATE INDEX partial ON app.t (v) WHERE v > 0; CREATE INDEX simple ON app.t (v); COMMENT ON INDEX app.partial IS 'it''s some';
    ALTER TABLE app.t CLUSTER ON clustered; ALTER INDEX app.statistics ALTER COLUMN 1 SET STATISTICS 7`)
  await database.admin.query(`ALTER INDEX app.extension DEPENDS ON EXTENSION hstore;
    UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.invalid'::regclass;
    UPDATE pg_class SET reltablespace = 1663 WHERE oid = 'app.elsewhere'::regclass`)
  const indexes = `SELECT relname::text AS name FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = 'app.t'::regclass ORDER BY 1`
  await withConnection(database.clients, async (connection) => {
    const names = async () => (await connection.query(indexes)).rows.map(({ name }) => name)
    const { tables } = await readTables(connection, ['app'])
    await connection.query('BEGIN')
    const aside = await dropIndexes(connection, tables, 'asking')
    expect(await names()).toEqual([
      'clustered',
      'constraint_',
      'elsewhere',
      'extension',
      'invalid',
      'simple',
      'statistics',
    ])
    for (const { make } of aside) await connection.query(make)
    expect(await names()).toEqual(expect.arrayContaining(['partial', 'plain']))
    const comment = await connection.query(
      `SELECT obj_description('app.partial'::regclass, 'pg_class') AS text`,
    )
    expect(comment.rows).toEqual([{ text: "it's some" }])
    await connection.query('ROLLBACK')
  })
})

describe('a restore that has to be tried on the live tables', () => {
  it('is not, and that is said, when it would keep them locked for too long; a table that is in use is asked for later', async () => {
    const reading = ['index one of app.t']
    await database.sql.query('CREATE TABLE app.t (v int); INSERT INTO app.t VALUES (1)')
    const clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'], LOCK_TIMEOUT_MS: 200 })
    const plan = await planReset(clients)
    const holder = await session(database, 'holder')
    await holder.query('BEGIN; SELECT FROM app.t')
    await withConnection(clients, async (connection) => {
      const table = {
        ...plan.database!.tables[0]!.table,
        rows: 1,
        fingerprint: '0',
        parts: [] as BackedUpTable['parts'],
      }
      const part = {
        shard: 0,
        pages: { from: 0, to: null },
        rows: 1,
        fingerprint: '0',
        key: 'k',
        sha256: null,
      }
      const large = { ...table, parts: [{ ...part, bytes: 1, plain: 100 * 2 ** 30 }] }
      expect(
        await tryReplace(clients, connection, { ...databaseOf(plan), tables: [large], reading }),
      ).toEqual([
        {
          code: 'NotProved',
          message: expect.stringMatching(
            /locked for about 6000 s to try index one of app\.t, which reads tables .* it has 600 s$/,
          ),
        },
      ])
      await expect(
        tryReplace(clients, connection, { ...databaseOf(plan), tables: [table], reading }),
      ).rejects.toThrow(DatabaseBusy)
    })
  })

  it('is tried on those that the role may replace, and may refresh, and taken back', async () => {
    const { sql, admin } = database
    await sql.query(`${same}; CREATE TABLE app.t (v int); CREATE INDEX one ON app.t (app.same(v)); INSERT INTO app.t VALUES (1), (2);
      CREATE MATERIALIZED VIEW app.ours AS SELECT count(*)::int AS rows FROM app.t`)
    await admin.query(`CREATE MATERIALIZED VIEW app.theirs AS SELECT count(*) FROM app.t; CREATE TABLE app.not_ours AS SELECT 1 AS id;
      GRANT SELECT ON app.not_ours TO PUBLIC`)
    const clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'] })
    const plan = await planReset(clients, { tables: ['not_ours'] })
    const held = async () => (await sql.query('SELECT v, xmin::text FROM app.t')).rows
    const before = await held()
    const { run, planned } = databaseOf(plan)
    const warnings = await loaded('SELECT', { runId: plan.runId }, (connection, { pairs }) =>
      tryReplace(clients, connection, {
        run,
        planned: { ...planned, fingerprints },
        tables: pairs.map(({ table }) => table),
        reading: ['index one of app.t'],
      }),
    )
    expect(warnings).toEqual([])
    expect(await held()).toEqual(before)
    expect((await sql.query('SELECT rows FROM app.ours')).rows).toEqual([{ rows: 2 }])
  })
})
