import { describe, expect, it, vi } from 'vitest'
import { lookAtDatabase } from '../../lib/database/look.ts'
import { currentClients } from '../../lib/task.ts'
import { dump } from '../restore/dump.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { useStrangeDatabases, warned } from './strange-database.ts'

/** Databases that each have one thing that real ones have, and most tests have not. */
const strange = useStrangeDatabases()

/** What a look before any run says would stay. */
async function foretold(code: string): Promise<string> {
  const { found } = await lookAtDatabase(await currentClients(), {
    preserve: { tables: [], files: [], keys: [] },
    limits: null,
  })
  return warned(found, code)
}

describe('a database comes back from a reset and a restore exactly as it was', () => {
  it.runIf(isFull)(`with rows and a sequence, and nothing strange ${inFullForm}`, async () => {
    const made = await strange.database(
      'CREATE TABLE t (id serial PRIMARY KEY, x text); INSERT INTO t (x) SELECT g FROM generate_series(1, 5) g',
    )
    const { emptied, reset, restore } = await strange.roundTrip(made)
    expect(reset).toMatchObject({ status: 'succeeded', targets: { database: { state: 'wiped', rows: 5 } } })
    expect(restore.status).toBe('succeeded')
    expect(emptied['public.t']).toEqual([])
    expect(emptied['public.t_id_seq']).toEqual(['1 false'])
  })

  it.runIf(isFull)(
    `with an index and a generated column whose function reads another table, also one of an extension ${inFullForm}`,
    async () => {
      const { sql } = await strange.database(
        `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE z (id int PRIMARY KEY, label text); CREATE INDEX ON z (lower(label));
       INSERT INTO z SELECT g, 'label ' || g FROM generate_series(1, 20) g;
       CREATE FUNCTION label(i int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (SELECT z.label FROM public.z WHERE z.id = i); END $$;
       CREATE INDEX a_label ON a (public.label(id)); ALTER TABLE a ADD l text GENERATED ALWAYS AS (public.label(id)) STORED;
       INSERT INTO a SELECT g FROM generate_series(1, 20) g`,
        { admin: 'CREATE EXTENSION citext; ALTER EXTENSION citext ADD FUNCTION public.label(int)' },
      )
      await sql.query('SET enable_seqscan = off; SET enable_bitmapscan = off')
      const byIndex = async () =>
        (await sql.query(`SELECT id FROM a WHERE public.label(id) = 'label 7'`)).rows
      const byColumn = async () => (await sql.query(`SELECT id FROM a WHERE l = 'label 7'`)).rows
      expect([await byIndex(), await byColumn()]).toEqual([[{ id: 7 }], [{ id: 7 }]])
      const { backupId } = await strange.reset.succeed(strange.wipe())
      const { status } = await strange.reset.succeed(strange.putBack(backupId))
      expect([await byIndex(), await byColumn()]).toEqual([[{ id: 7 }], [{ id: 7 }]])
      expect(status).toBe('succeeded')
    },
  )
})

describe('materialized views over wiped tables', () => {
  it('are refreshed after the wipe and after the restore, each after those it depends on, in any schema', async () => {
    const made = await strange.database(`CREATE SCHEMA reports; CREATE SCHEMA lists;
      CREATE TABLE t (i int PRIMARY KEY) PARTITION BY RANGE (i); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100);
      CREATE TABLE kept (i int PRIMARY KEY);
      INSERT INTO t SELECT generate_series(1, 5); INSERT INTO kept VALUES (7);
      CREATE FUNCTION reports.many() RETURNS bigint STABLE BEGIN ATOMIC SELECT count(*) FROM t; END;
      CREATE MATERIALIZED VIEW reports.z_first AS SELECT count(*) AS n FROM t;
      CREATE VIEW reports.between AS SELECT n * 10 AS n FROM reports.z_first;
      CREATE MATERIALIZED VIEW lists.a_second AS SELECT n + 1 AS n FROM reports.between;
      CREATE UNIQUE INDEX ON lists.a_second (n);
      CREATE MATERIALIZED VIEW lists."by function" AS SELECT reports.many() AS n;
      CREATE MATERIALIZED VIEW lists.by_partition AS SELECT i, date_trunc('day', '2026-01-01 23:30+00'::timestamptz)::text AS d FROM t1;
      CREATE MATERIALIZED VIEW lists.empty AS SELECT i FROM t WITH NO DATA;
      CREATE MATERIALIZED VIEW lists.of_kept AS SELECT i, clock_timestamp() AS made FROM kept`)
    const keep = { preserve: { tables: ['kept'] } }
    const { before, emptied, reset, restore } = await strange.roundTrip(made, keep, (held) => ({
      ...held,
      'lists.of_kept': expect.anything(),
    }))
    expect(emptied['lists.of_kept']).toEqual(before['lists.of_kept']) // until the restore swaps its table, too
    expect([reset.status, restore.status]).toEqual(['succeeded', 'succeeded'])
    expect(emptied).toMatchObject({
      'reports.z_first': ['(0)'],
      'lists.a_second': ['(1)'],
      'lists."by function"': ['(0)'],
      'lists.by_partition': [],
    })
  })

  it.runIf(isFull)(
    `show values as the role sees them, not under the settings of a backup ${inFullForm}`,
    async () => {
      const made = await strange.database(
        `CREATE TABLE t (at timestamptz); INSERT INTO t VALUES ('2026-01-01 23:30+00');
       CREATE MATERIALIZED VIEW mv AS SELECT at::text AS text, current_setting('TimeZone') AS zone FROM t`,
        { admin: (role) => `ALTER ROLE ${role} SET TimeZone = 'Asia/Tokyo'; REFRESH MATERIALIZED VIEW mv` },
      )
      await made.sql.query(`SET TimeZone = 'Asia/Tokyo'; REFRESH MATERIALIZED VIEW mv`)
      await strange.roundTrip(made)
    },
  )

  it.runIf(isFull)(
    `that cannot be refreshed are named with the reason, before and after; one with a unique index is, while somebody reads it; what was wiped stays wiped ${inFullForm}`,
    async () => {
      const { sql, admin, role } = await strange.database(
        `CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5);
       CREATE MATERIALIZED VIEW divides AS SELECT 100 / count(*) AS n FROM t;
       CREATE MATERIALIZED VIEW locked AS SELECT i FROM t;
       CREATE UNIQUE INDEX ON locked ((i + 1)); CREATE UNIQUE INDEX ON locked (i) WHERE i > 0;
       CREATE MATERIALIZED VIEW being_read AS SELECT i, '[]'::json AS j, NULL::xid AS x FROM t; CREATE UNIQUE INDEX ON being_read (i)`,
        { admin: 'CREATE MATERIALIZED VIEW not_ours AS SELECT i FROM t' },
      )
      expect(await foretold('ViewsNotRefreshed')).toMatch(/public\.not_ours .*owns? it/)
      await sql.query('BEGIN; SELECT FROM locked, being_read')
      process.env.LOCK_TIMEOUT_MS = '2000'
      try {
        const { status, warnings, targets } = await strange.reset.succeed(strange.wipe())
        expect([status, targets.database.state]).toEqual(['succeeded_with_warnings', 'wiped'])
        const message = warned({ warnings }, 'ViewsNotRefreshed')
        expect(message).toMatch(/public\.divides \(.*22012/)
        expect(message).toMatch(/public\.locked \(.*locked/)
        expect(message).toMatch(/public\.not_ours/)
        expect(message).toContain('REFRESH MATERIALIZED VIEW')
        expect(message).not.toContain('being_read')
      } finally {
        delete process.env.LOCK_TIMEOUT_MS
        await sql.query('COMMIT')
      }
      expect((await admin.query('SELECT count(*)::int AS n FROM t')).rows).toEqual([{ n: 0 }])
      expect((await sql.query('SELECT FROM being_read')).rowCount).toBe(0)
      // CONCURRENTLY wants to make a temporary table.
      await admin.query(`REVOKE TEMPORARY ON DATABASE "${role}" FROM PUBLIC, "${role}"`)
      await sql.query('INSERT INTO t VALUES (1); REFRESH MATERIALIZED VIEW being_read')
      const { warnings } = await strange.reset.succeed({ ...strange.wipe(), backup: false })
      expect(warned({ warnings }, 'ViewsNotRefreshed')).not.toContain('being_read')
      expect((await sql.query('SELECT FROM being_read')).rowCount).toBe(0)
    },
  )

  it.runIf(isFull)(
    `are named when the connection breaks while one is refreshed; the wipe stands, and the run goes on ${inFullForm}`,
    async () => {
      const { admin, sql } =
        await strange.database(`CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t VALUES (1);
      CREATE MATERIALIZED VIEW mv AS SELECT count(*) AS n FROM t`)
      await sql.query('BEGIN; SELECT FROM mv')
      const resetting = strange.reset.succeed(strange.wipe())
      const killed = await vi.waitUntil(
        async () => {
          const waiting = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'REFRESH%'
          AND application_name = 'taskmaster-reset' AND datname = current_database() AND wait_event_type = 'Lock'`
          return (await admin.query(waiting)).rowCount === 1
        },
        { timeout: 60_000 },
      )
      await sql.query('COMMIT')
      const { targets, warnings } = await resetting
      expect([killed, targets.database.state]).toEqual([true, 'wiped'])
      expect(warned({ warnings }, 'ViewsNotRefreshed')).toMatch(/public\.mv \(the connection/)
      expect((await admin.query('SELECT count(*)::int AS n FROM t')).rows).toEqual([{ n: 0 }])
    },
  )
})

describe('what a reset leaves is named, in the plan, in the outcome and before any run', () => {
  const partitions = `CREATE SCHEMA parts; CREATE SCHEMA more;
    CREATE TABLE ev (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE parts.ev_2024 PARTITION OF ev FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    CREATE TABLE parts.ev_2025 PARTITION OF ev FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    CREATE TABLE parts.ev_2026 PARTITION OF ev FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY RANGE (at);
    CREATE TABLE more.ev_2026_a PARTITION OF parts.ev_2026 FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
    CREATE TABLE other (i int PRIMARY KEY); INSERT INTO other VALUES (1);
    CREATE TABLE parts.heir () INHERITS (other); INSERT INTO parts.heir VALUES (2);
    INSERT INTO ev VALUES (1, '2024-02-02'), (3, '2026-02-02')`

  it.runIf(isFull)(
    `partitions and heirs in schemas that are not managed, with both ways out ${inFullForm}`,
    async () => {
      const made = await strange.database(partitions)
      const { reset, emptied, restore } = await strange.roundTrip(made)
      expect(emptied).toMatchObject({
        'parts.ev_2024': ['(1,2024-02-02)'],
        'parts.heir': ['(2)'],
        'public.other': [],
      })
      for (const message of [
        warned(reset, 'RowsElsewhere'),
        warned(restore, 'RowsElsewhere'),
        await foretold('RowsElsewhere'),
      ]) {
        expect(message).toContain('parts.ev_2024 (of public.ev)')
        expect(message).toContain('more.ev_2026_a (of public.ev)')
        expect(message).toContain('parts.heir (of public.other)')
        expect(message).not.toContain('ev_2025') // it holds no row
        expect(message).toMatch(/DATABASE_SCHEMAS.*EXCLUDE_TABLES/)
      }
    },
  )

  it.runIf(isFull)(
    `no longer, when their schema is managed, or when EXCLUDE_TABLES names them: it is meant ${inFullForm}`,
    async () => {
      const managed = await strange.database(partitions, { schemas: ['public', 'parts', 'more'] })
      const { emptied } = await strange.roundTrip(managed)
      expect(emptied).toMatchObject({ 'parts.ev_2024': [], 'more.ev_2026_a': [], 'parts.heir': [] })
      expect(await foretold('RowsElsewhere')).toBe('')
      process.env.DATABASE_SCHEMAS = 'public'
      process.env.EXCLUDE_TABLES = 'parts.ev_2024,ev_2026_a,heir'
      try {
        expect(await foretold('RowsElsewhere')).toBe('')
        expect((await strange.roundTrip(managed)).reset.status).toBe('succeeded')
      } finally {
        delete process.env.EXCLUDE_TABLES
      }
    },
  )

  it.runIf(isFull)(
    `rows that were put into the tables of an extension, but not those that it brought ${inFullForm}`,
    async () => {
      await strange.database(
        `CREATE TABLE t (i int PRIMARY KEY); CREATE TABLE jobs (i int); INSERT INTO jobs VALUES (1);
       CREATE TABLE systems (i int); INSERT INTO systems VALUES (4326); CREATE TABLE void (i int)`,
        {
          admin: `CREATE EXTENSION hstore; ALTER EXTENSION hstore ADD TABLE jobs; ALTER EXTENSION hstore ADD TABLE systems;
          ALTER EXTENSION hstore ADD TABLE void;
          UPDATE pg_extension SET extconfig = ARRAY['systems'::regclass::oid], extcondition = ARRAY['WHERE i <> 4326'] WHERE extname = 'hstore'`,
        },
      )
      const { warnings } = await strange.reset.succeed(strange.wipe())
      for (const message of [warned({ warnings }, 'ExtensionRows'), await foretold('ExtensionRows')]) {
        expect(message).toContain('public.jobs (hstore)')
        expect(message).not.toMatch(/systems|void/)
      }
    },
  )

  it.runIf(isFull)(`sequences that do not start again, with the reason ${inFullForm}`, async () => {
    const made = await strange.database(`CREATE SEQUENCE free; SELECT nextval('free'); CREATE SEQUENCE shared;
      CREATE TABLE t (id serial PRIMARY KEY, n int DEFAULT nextval('shared')); CREATE TABLE kept (n int DEFAULT nextval('shared'));
      CREATE TABLE own (id serial PRIMARY KEY); CREATE TABLE partly (id serial PRIMARY KEY);
      INSERT INTO t DEFAULT VALUES; INSERT INTO kept DEFAULT VALUES; INSERT INTO own DEFAULT VALUES; INSERT INTO partly DEFAULT VALUES`)
    process.env.PRESERVE_TABLES = 'kept,own'
    process.env.PRESERVE_ROWS = '{"partly": "id < 2"}'
    try {
      const before = await foretold('SequencesNotRestarted')
      const { reset, emptied } = await strange.roundTrip(made)
      for (const message of [before, warned(reset, 'SequencesNotRestarted')]) {
        expect(message).toContain('public.free (no column uses it)')
        expect(message).toContain('public.shared (public.kept keeps its rows, and uses it)')
        expect(message).not.toMatch(/public\.(own|partly|t_id)/)
      }
      expect(emptied).toMatchObject({ 'public.t_id_seq': ['1 false'], 'public.free': ['1 true'] })
    } finally {
      delete process.env.PRESERVE_TABLES
      delete process.env.PRESERVE_ROWS
    }
  })
})

describe('tables that came or went since a backup', () => {
  const table = `CREATE TABLE ev (id serial, at date) PARTITION BY RANGE (at);
    CREATE TABLE ev_2024 PARTITION OF ev FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    CREATE TABLE ev_2025 PARTITION OF ev FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    CREATE TABLE old (id serial PRIMARY KEY); INSERT INTO old DEFAULT VALUES;
    INSERT INTO ev (at) VALUES ('2024-02-02'), ('2024-03-03'), ('2025-02-02')`

  it.runIf(isFull)(
    `are left out when that is said, and named with their rows; without it nothing is touched ${inFullForm}`,
    async () => {
      const { sql } = await strange.database(table)
      const { backupId } = await strange.reset.succeed(strange.wipe())
      await sql.query('DROP TABLE ev_2024; DROP TABLE old')
      const refused = await strange.reset.run(strange.putBack(backupId))
      expect(refused.error).toBe('SchemaChanged')
      for (const name of ['public.ev_2024', 'public.old', 'public.old_id_seq', '"without"'])
        expect(refused.cause).toContain(name)
      const without = ['public.ev_2024', 'public.old', 'public.old_id_seq']
      const dry = await strange.reset.succeed(strange.putBack(backupId, { without, dryRun: true }))
      const { warnings, targets } = await strange.reset.succeed(
        strange.putBack(backupId, { without, rehearse: true }),
      )
      for (const message of [warned(dry, 'TablesLeftOut'), warned({ warnings }, 'TablesLeftOut')])
        expect(message).toMatch(/public\.ev_2024 \(2 rows\), public\.old \(1 row\)/)
      expect(targets.database).toMatchObject({ state: 'restored', rows: 1, tables: { 'public.ev_2025': 1 } })
      expect((await sql.query('SELECT id, at::text FROM ev')).rows).toEqual([{ id: 3, at: '2025-02-02' }])
      await sql.query(`INSERT INTO ev (at) VALUES ('2025-05-05')`)
    },
  )

  it.runIf(isFull)(
    `cannot be left out while they are there, or when the backup does not hold them ${inFullForm}`,
    async () => {
      const { admin, sql } = await strange.database(table)
      const { backupId } = await strange.reset.succeed(strange.wipe())
      await sql.query('DROP TABLE old')
      const before = await dump(admin)
      for (const [without, says] of [
        [['public.ev_2024', 'public.old', 'public.old_id_seq'], /public\.ev_2024 is there/],
        [['public.elsewhere'], /public\.elsewhere/],
      ] as const) {
        const { error, cause } = await strange.reset.run(strange.putBack(backupId, { without }))
        expect(error).toBe('InvalidRequest')
        expect(cause).toMatch(says)
      }
      expect(await dump(admin)).toEqual(before)
    },
  )

  it.runIf(isFull)(
    `that came and hold rows are named by a restore, which leaves them ${inFullForm}`,
    async () => {
      const { sql } = await strange.database(table)
      const { backupId } = await strange.reset.succeed(strange.wipe())
      await sql.query(`CREATE TABLE ev_2026 PARTITION OF ev FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
      CREATE TABLE ev_2027 PARTITION OF ev FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
      CREATE TABLE later (id int); INSERT INTO later VALUES (1), (2); INSERT INTO ev (at) VALUES ('2026-06-06')`)
      const { warnings } = await strange.reset.succeed(strange.putBack(backupId))
      const message = warned({ warnings }, 'TablesNotInBackup')
      expect(message).toContain('public.ev_2026 (1 row, a partition of public.ev)')
      expect(message).toContain('public.later (2 rows)')
      expect(message).not.toContain('ev_2027')
      expect((await sql.query('SELECT count(*)::int AS rows FROM ev')).rows).toEqual([{ rows: 4 }])
    },
  )
})
