import { beforeEach, describe, expect, it } from 'vitest'
import type { Clients } from '../../lib/clients.ts'
import { readCatalog } from '../../lib/database/catalog/catalog.ts'
import { readPositions, sequencesOf } from '../../lib/database/catalog/sequences.ts'
import { readTables } from '../../lib/database/catalog/tables.ts'
import { chooseActions } from '../../lib/database/plan/actions/table-actions.ts'
import { warnOfLargeObjects } from '../../lib/database/plan/large-objects.ts'
import { warnOfLeftBehind } from '../../lib/database/plan/out-of-reach.ts'
import { warnOfPublications } from '../../lib/database/plan/publications.ts'
import { lackedByKeys } from '../../lib/database/plan/restore-rights.ts'
import { DatabaseBusy, InvalidConfiguration } from '../../lib/errors.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { catalogOf, configured, useDatabase } from './database-stack.ts'

const database = useDatabase()
let clients: Clients
let role: string

beforeEach(async () => {
  clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'] })
  role = new URL(database.env.DATABASE_URL!).username
  await database.admin.query(`DROP SCHEMA IF EXISTS app CASCADE; DROP SCHEMA IF EXISTS other CASCADE; DROP SCHEMA IF EXISTS "a.b" CASCADE;
    CREATE SCHEMA app AUTHORIZATION "${role}"; CREATE SCHEMA other AUTHORIZATION "${role}"`)
})

const make = (sql: string) => database.sql.query(sql)
const names = async (own = clients) => (await catalogOf(own)).tables.map(({ name }) => name)

/** The tables of migration tools, whose loss would make the application run its migrations again. */
const bookkeeping =
  `__drizzle_migrations _prisma_migrations alembic_version schema_migrations ar_internal_metadata
  flyway_schema_history knex_migrations knex_migrations_lock databasechangelog databasechangeloglock django_migrations
  goose_db_version migrations typeorm_metadata _sqlx_migrations sequelizemeta doctrine_migration_versions schema_version
  kysely_migration kysely_migration_lock`.split(/\s+/)

describe('the tables that are managed', () => {
  it('are the ordinary and partitioned ones of the managed schemas, also unlogged ones', async () => {
    await make(`CREATE TABLE app.plain (id int); CREATE UNLOGGED TABLE app.unlogged (id int);
      CREATE TABLE app.parts (id int) PARTITION BY LIST (id); CREATE TABLE app.one PARTITION OF app.parts FOR VALUES IN (1);
      CREATE TABLE other.two PARTITION OF app.parts FOR VALUES IN (2);
      CREATE VIEW app.view AS SELECT 1; CREATE MATERIALIZED VIEW app.seen AS SELECT 1; CREATE SEQUENCE app.sequence;
      CREATE TEMPORARY TABLE passing (id int); CREATE TABLE other.away (id int)`)
    expect(await names()).toEqual(['app.one', 'app.parts', 'app.plain', 'app.unlogged'])
    const { tables } = await catalogOf(clients)
    expect(tables.find(({ name }) => name === 'app.parts')).toMatchObject({
      partitioned: true,
      partitions: expect.arrayContaining(['app.one', 'other.two']),
    })
    expect(tables.find(({ name }) => name === 'app.one')?.parents).toEqual(['app.parts'])
  })

  it('are not those that belong to an extension, lie elsewhere, or keep the migrations; the reason is given', async () => {
    await database.admin.query(`CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;
      CREATE FOREIGN TABLE app.far (id int) SERVER far; CREATE TABLE app.of_extension (id int);
      ALTER EXTENSION postgres_fdw ADD TABLE app.of_extension`)
    await make(
      ['plain', 'SequelizeMeta', ...bookkeeping].map((name) => `CREATE TABLE app."${name}" ()`).join(';'),
    )
    const { tables, unmanaged } = await catalogOf(clients)
    expect(tables.map(({ name }) => name)).toEqual(['app.plain'])
    expect(unmanaged).toEqual(
      expect.arrayContaining([
        { name: 'app.far', reason: 'a foreign table' },
        { name: 'app.of_extension', reason: 'belongs to an extension' },
        ...['SequelizeMeta', ...bookkeeping].map((name) => ({
          ...{ name: `app.${name}`, reason: 'keeps the migrations' },
        })),
      ]),
    )
    await database.admin.query('DROP EXTENSION postgres_fdw CASCADE')
  })

  it('are never those of the ledger, even when its schema is configured', async () => {
    await make('CREATE TABLE app.plain (id int)')
    const all = configured(clients, { DATABASE_SCHEMAS: ['app', 'taskmaster_reset', 'pg_catalog'] })
    expect(await names(all)).toEqual(['app.plain'])
  })

  it('are not found at all when a configured schema does not exist: that is an error, not an empty backup', async () => {
    const wrong = configured(clients, { DATABASE_SCHEMAS: ['app', 'publc', 'App'] })
    await expect(names(wrong)).rejects.toThrow(InvalidConfiguration)
    await expect(names(wrong)).rejects.toThrow(/DATABASE_SCHEMAS names publc, App/)
  })

  it('have names of their own, also when schemas and tables hold dots', async () => {
    await make(`CREATE SCHEMA IF NOT EXISTS app; CREATE TABLE app."b.c" (id int PRIMARY KEY)`)
    await database.admin.query(
      `DROP SCHEMA IF EXISTS "app.b" CASCADE; CREATE SCHEMA "app.b" AUTHORIZATION "${role}"`,
    )
    await make(`CREATE TABLE "app.b".c (id int REFERENCES app."b.c", s serial)`)
    const both = configured(clients, { DATABASE_SCHEMAS: ['app', 'app.b'] })
    const { tables, foreignKeys, sequences } = await catalogOf(both)
    expect(tables.map(({ name }) => name)).toEqual(['app.b.c', '"app.b".c'])
    expect(foreignKeys).toMatchObject([
      { from: '"app.b".c', to: 'app.b.c', fromRows: 'ONLY "app.b".c', toRows: 'ONLY app."b.c"' },
    ])
    expect(sequences).toMatchObject([{ name: '"app.b".c_s_seq', usedBy: ['"app.b".c'] }])
    await database.admin.query('DROP SCHEMA "app.b" CASCADE')
  })

  it('have their columns in order, without dropped ones', async () => {
    await make(`CREATE TABLE app.t (a int, "B b" text NOT NULL DEFAULT 'x', c numeric(5,2)[], gone int, d int GENERATED ALWAYS AS (a + 1) STORED,
      e bigint GENERATED BY DEFAULT AS IDENTITY, f json); ALTER TABLE app.t DROP COLUMN gone`)
    const { tables } = await catalogOf(clients)
    const plain = { notNull: false, hasDefault: false, generated: '', identity: '', asText: false }
    expect(tables[0]?.columns).toEqual([
      { ...plain, name: 'a', type: 'integer' },
      { ...plain, name: 'B b', type: 'text', notNull: true, hasDefault: true },
      { ...plain, name: 'c', type: 'numeric(5,2)[]', asText: true },
      { ...plain, name: 'd', type: 'integer', hasDefault: true, generated: 's' },
      { ...plain, name: 'e', type: 'bigint', notNull: true, identity: 'd' },
      { ...plain, name: 'f', type: 'json', asText: true },
    ])
  })
})

it.each([
  ['a managed table', 'app.t'],
  ['a partition elsewhere', 'other.p'],
])(
  'nothing waits for ever: %s that is locked ends the look at the tables in time, and leaves the limits as they were',
  async (_, locked) => {
    await make(
      'CREATE TABLE app.t (id int) PARTITION BY LIST (id); CREATE TABLE other.p PARTITION OF app.t DEFAULT',
    )
    await database.admin.query(`BEGIN; LOCK TABLE ONLY ${locked}`)
    try {
      await withConnection(clients, async (connection) => {
        await expect(readCatalog(connection, ['app'], 100)).rejects.toThrow(DatabaseBusy)
        expect((await connection.query('SHOW lock_timeout')).rows).toEqual([{ lock_timeout: '0' }])
        await connection.query('SET lock_timeout = 50')
        await expect(readCatalog(connection, ['app'], 60_000)).rejects.toThrow(DatabaseBusy)
      })
    } finally {
      await database.admin.query('COMMIT')
    }
  },
)

describe('what the role may do', () => {
  it('is told per table', async () => {
    await make('CREATE TABLE app.own (id int)')
    await database.admin.query(`CREATE TABLE app.hidden (id int); CREATE TABLE app.readable (id int); CREATE TABLE app.truncatable (id int);
      GRANT SELECT ON app.readable, app.truncatable TO "${role}"; GRANT TRUNCATE ON app.truncatable TO "${role}"`)
    const { tables } = await catalogOf(clients)
    expect(
      tables.map(({ table, owned, mayRead, mayTruncate }) => [table, owned, mayRead, mayTruncate]),
    ).toEqual([
      ['hidden', false, false, false],
      ['own', true, true, true],
      ['readable', false, true, false],
      ['truncatable', false, true, true],
    ])
  })

  it('is nothing in a schema that it may not use', async () => {
    await database.admin.query(
      `CREATE TABLE app.t (id int); GRANT SELECT ON app.t TO "${role}"; ALTER SCHEMA app OWNER TO postgres`,
    )
    expect((await catalogOf(clients)).tables).toMatchObject([{ mayRead: false }])
  })

  it('to a table through a role that it is a member of counts', async () => {
    const owners = `owners_${role}`
    await database.admin.query(
      `CREATE ROLE "${owners}"; GRANT "${owners}" TO "${role}"; CREATE TABLE app.t (id int); ALTER TABLE app.t OWNER TO "${owners}"`,
    )
    expect((await catalogOf(clients)).tables).toMatchObject([
      { owned: true, mayRead: true, mayTruncate: true },
    ])
    await database.admin.query(`DROP TABLE app.t; DROP ROLE "${owners}"`)
  })
})

describe('what a restore would lack the rights for', () => {
  const lacked = () =>
    withConnection(clients, async (connection) =>
      lackedByKeys(connection, (await readTables(connection, ['app'])).tables),
    )

  it('is told with what to grant, for the key and its schema, and how many more keys there are', async () => {
    await make('CREATE TABLE app.own (id int PRIMARY KEY, to_b int, to_c int)')
    expect(await lacked()).toBeNull()
    await database.admin.query(`DROP SCHEMA IF EXISTS far CASCADE; CREATE SCHEMA far; CREATE TABLE far.b (id int PRIMARY KEY); CREATE TABLE far.c (id int PRIMARY KEY);
      ALTER TABLE app.own ADD CONSTRAINT b FOREIGN KEY (to_b) REFERENCES far.b, ADD CONSTRAINT c FOREIGN KEY (to_c) REFERENCES far.c`)
    expect(await lacked()).toBe(
      `A restore has to take away the foreign key b from app.own to far.b (and 1 more keys) and put it back, and the role may not refer to far.b. Say GRANT USAGE ON SCHEMA far TO ${role}; GRANT REFERENCES ON far.b TO ${role}`,
    )
    await database.admin.query(
      `GRANT USAGE ON SCHEMA far TO "${role}"; GRANT REFERENCES (id) ON far.b TO "${role}"`,
    )
    expect(await lacked()).toMatch(
      /key c from .* and the role may not refer to far\.c\. Say GRANT REFERENCES ON far\.c TO/,
    )
    await database.admin.query(`GRANT REFERENCES ON far.c TO "${role}"`)
    expect(await lacked()).toBeNull()
    await database.admin.query('CREATE TABLE far.theirs (id int REFERENCES app.own)')
    expect(await lacked()).toMatch(
      new RegExp(
        `from far\\.theirs to app\\.own and put it back, and far\\.theirs belongs to another role\\. Make ${role} its owner`,
      ),
    )
    await database.admin.query('DROP SCHEMA far CASCADE')
  })
})

describe('what a run on the database leaves behind', () => {
  type Found = Awaited<ReturnType<typeof catalogOf>>
  const told = async (operation: 'backup' | 'reset', catalog: Found, tables: string[] = []) => {
    const plan = chooseActions(catalog, { tables, rows: {}, excluded: [] })
    const warnings = await withConnection(clients, (connection) =>
      warnOfLeftBehind(connection, { catalog, plan, operation }),
    )
    return Object.fromEntries(warnings.map(({ code, message }) => [code, message]))
  }

  it.runIf(isFull)(
    `are rows below tables that it acts on, also where nobody may look: on another server, or in a table in use ${inFullForm}`,
    async () => {
      await database.admin.query(
        `CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw; GRANT USAGE ON FOREIGN SERVER far TO "${role}"`,
      )
      await make(`CREATE TABLE app.going (id int); CREATE TABLE app.kept (id int); CREATE TABLE other.of_kept () INHERITS (app.kept); INSERT INTO other.of_kept VALUES (1);
      CREATE TABLE other.locked () INHERITS (app.going); INSERT INTO other.locked VALUES (1); CREATE TABLE other.denied () INHERITS (app.going); INSERT INTO other.denied VALUES (1);
      REVOKE ALL ON other.denied FROM "${role}"; CREATE TABLE other.empty () INHERITS (app.going); `)
      await database.admin.query(`CREATE TABLE app.of_extension (id int); INSERT INTO app.of_extension VALUES (1); ALTER EXTENSION postgres_fdw ADD TABLE app.of_extension;
      CREATE MATERIALIZED VIEW other.shown AS SELECT id FROM app.going; CREATE FOREIGN TABLE other.far () INHERITS (app.going) SERVER far`)
      const catalog = await catalogOf(clients)
      await database.admin.query('BEGIN; LOCK TABLE other.locked')
      const [reset, backup] = [
        await told('reset', catalog, ['kept']),
        await told('backup', catalog, ['kept']),
      ]
      await database.admin.query('COMMIT')
      await database.admin.query('DROP EXTENSION postgres_fdw CASCADE')
      expect(reset.RowsElsewhere).toMatch(
        /^Rows that are not backed up and stay .*: other\.denied \(of app\.going\), other\.far \(of app\.going\), other\.locked \(of app\.going\)\. Name/,
      )
      expect(backup.RowsElsewhere).toMatch(
        /^Not in the backup, .*: other\.denied .*, other\.far .*, other\.locked .*, other\.of_kept \(of app\.kept\)\. Name/,
      )
      expect(reset.ExtensionRows).toContain(': app.of_extension (postgres_fdw). ')
      expect([reset.ViewsNotRefreshed, backup.ViewsNotRefreshed]).toEqual([
        expect.stringContaining(': other.shown (the role neither owns it nor may refresh it). '),
        undefined,
      ])
    },
  )

  it('is cut after twenty names, with how many more', async () => {
    const heirs = Array.from({ length: 22 }, (_, index) => `other.heir_${index + 10}`)
    await make(
      `CREATE TABLE app.going (); ${heirs.map((name) => `CREATE TABLE ${name} () INHERITS (app.going); INSERT INTO ${name} DEFAULT VALUES`).join(';')}`,
    )
    const { RowsElsewhere } = await told('reset', await catalogOf(clients))
    expect(RowsElsewhere).toMatch(/heir_29 \(of app\.going\) and 2 more\. Name/)
    expect(RowsElsewhere).not.toContain('heir_30')
  })

  it('are large objects, which are counted up to a thousand; and only a publication of all tables sends the ledger', async () => {
    const { sql, admin } = database
    const said = () =>
      withConnection(clients, async (connection) => [
        await warnOfLargeObjects(connection),
        await warnOfPublications(connection),
      ])
    await make('CREATE TABLE app.t (id int)')
    await admin.query('CREATE PUBLICATION one FOR TABLE app.t')
    expect(await said()).toEqual([[], []])
    await sql.query('SELECT lo_create(0) FROM generate_series(1, 1000)')
    expect((await said())[0]).toMatchObject([
      { message: expect.stringContaining('has large objects (1000):') },
    ])
    await sql.query('SELECT lo_create(0)')
    await admin.query('CREATE PUBLICATION everything FOR ALL TABLES')
    expect(await said()).toMatchObject([
      [{ message: expect.stringContaining('has large objects (more than 1000):') }],
      [{ message: expect.stringMatching(/^Of everything, which/) }],
    ])
    await admin.query('DROP PUBLICATION everything; DROP PUBLICATION one')
  })
})

describe('foreign keys', () => {
  it('are those of the whole database, with columns in the order of the key', async () => {
    await make(`CREATE TABLE app.a (x int, y int, PRIMARY KEY (y, x)); CREATE TABLE other.b (p int, q int);
      ALTER TABLE other.b ADD CONSTRAINT "the key" FOREIGN KEY (q, p) REFERENCES app.a (y, x) ON DELETE CASCADE`)
    expect((await catalogOf(clients)).foreignKeys).toMatchObject([
      {
        ...{
          name: 'the key',
          from: 'other.b',
          to: 'app.a',
          fromSql: 'other.b',
          fromRows: 'ONLY other.b',
          toRows: 'ONLY app.a',
          derived: false,
          onDelete: 'c',
        },
        ...{ columns: ['q', 'p'], referenced: ['y', 'x'] },
        operators: ['OPERATOR(pg_catalog.=)', 'OPERATOR(pg_catalog.=)'],
      },
    ])
  })

  it('of partitioned tables are there once more for each partition, on either side', async () => {
    await make(`CREATE TABLE app.p (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE app.p1 PARTITION OF app.p FOR VALUES IN (1);
      CREATE TABLE app.q (id int REFERENCES app.p) PARTITION BY LIST (id); CREATE TABLE app.q1 PARTITION OF app.q FOR VALUES IN (1)`)
    const pairs = (await catalogOf(clients)).foreignKeys.map(({ from, to }) => `${from} ${to}`)
    expect(pairs).toEqual(expect.arrayContaining(['app.q app.p', 'app.q app.p1', 'app.q1 app.p']))
  })
})

describe('sequences', () => {
  const positions = (own: Clients, tables: { name: string }[]) =>
    withConnection(own, async (connection) =>
      readPositions(connection, sequencesOf((await catalogOf(own)).sequences, tables)),
    )

  it('know which tables use them: by owning, by identity, and by a default', async () => {
    await make(`CREATE SEQUENCE app.free; CREATE SEQUENCE app.shared; CREATE SEQUENCE other.far; CREATE SEQUENCE other.unused;
      CREATE TABLE app.a (id serial, x int DEFAULT nextval('app.shared'), y int DEFAULT nextval('other.far'));
      CREATE TABLE app.b (id int GENERATED ALWAYS AS IDENTITY, x int DEFAULT nextval('app.shared') + 1);
      CREATE TABLE other.c (x int DEFAULT nextval('app.shared'))`)
    const { sequences } = await catalogOf(clients)
    expect(Object.fromEntries(sequences.map(({ name, usedBy }) => [name, usedBy]))).toEqual({
      'app.a_id_seq': ['app.a'],
      'app.b_id_seq': ['app.b'],
      'app.free': [],
      'app.shared': ['app.a', 'app.b', 'other.c'],
      'other.far': ['app.a'],
    })
  })

  it('are held in a backup when a table of it uses them, or none at all does', async () => {
    await make(`CREATE SEQUENCE app.free; CREATE TABLE app.a (id bigserial); CREATE TABLE app.excluded (id serial);
      SELECT nextval('app.free'), nextval('app.free'); SELECT setval('app.a_id_seq', 9223372036854775807)`)
    expect(await positions(clients, [{ name: 'app.a' }])).toEqual([
      {
        name: 'app.a_id_seq',
        schema: 'app',
        sequence: 'a_id_seq',
        lastValue: '9223372036854775807',
        isCalled: true,
      },
      { name: 'app.free', schema: 'app', sequence: 'free', lastValue: '2', isCalled: true },
    ])
  })

  it('that belong to an extension, or may not be read, are told apart', async () => {
    await database.admin.query(`CREATE SEQUENCE app.hidden; CREATE EXTENSION postgres_fdw; CREATE SEQUENCE app.of_extension;
      ALTER EXTENSION postgres_fdw ADD SEQUENCE app.of_extension`)
    expect((await catalogOf(clients)).sequences).toMatchObject([
      { name: 'app.hidden', owned: false, mayRead: false },
    ])
    await database.admin.query('DROP EXTENSION postgres_fdw CASCADE')
  })

  it('are read in any number', async () => {
    await make(
      Array.from({ length: 450 }, (_, index) => `CREATE SEQUENCE app.s${index} START ${index + 1}`).join(';'),
    )
    const found = await positions(clients, [])
    expect(found.map(({ name, lastValue }) => [name, lastValue]).sort()).toEqual(
      Array.from({ length: 450 }, (_, index) => [`app.s${index}`, String(index + 1)]).sort(),
    )
  })
})
