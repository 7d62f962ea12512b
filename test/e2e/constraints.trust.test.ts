import { describe, expect, it } from 'vitest'
import { postgresMajor, skipBefore } from '../support/server-version.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { useStrangeDatabases, warned } from './strange-database.ts'

/** Databases whose own rules are against rows that they hold, or ask other tables. */
const strange = useStrangeDatabases()

/** Replaces a function by one that looks each number's topmost parent up in a table, and raises when a row is not there. */
const finds = (name: string, table: string) =>
  `CREATE OR REPLACE FUNCTION ${name}(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ DECLARE up int; BEGIN
     SELECT n.parent INTO STRICT up FROM public.${table} AS n WHERE n.id = $1;
     RETURN CASE up WHEN id THEN id ELSE public.${name}(up) END; END $$`

/** The dump in which the constraints of that name are NOT VALID. */
const notValid =
  (...names: string[]) =>
  (before: Record<string, unknown>) => ({
    ...before,
    constraints: (before.constraints as string[])
      .map((line) =>
        names.some((name) => line.split(/[ .]/).includes(name)) && !line.includes('NOT VALID')
          ? line.replace(/ t f f$/, ' NOT VALID f f f').replace(/ t t t$/, ' NOT VALID f t t')
          : line,
      )
      .sort(),
  })

describe('a restore takes what was there', () => {
  it.runIf(isFull)(`when a check reads another table, whatever their order ${inFullForm}`, async () => {
    const made = await strange.database(
      `CREATE TABLE z_kind (code text PRIMARY KEY);
       CREATE FUNCTION known_kind(c text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT EXISTS (SELECT FROM public.z_kind k WHERE k.code = c) $$;
       CREATE TABLE a_item (id int PRIMARY KEY, kind text CONSTRAINT known CHECK (public.known_kind(kind)));
       COMMENT ON CONSTRAINT known ON a_item IS 'it''s \\ kept';
       CREATE DOMAIN kind AS text CONSTRAINT known CHECK (public.known_kind(VALUE)); COMMENT ON CONSTRAINT known ON DOMAIN kind IS 'of a domain';
       CREATE TABLE b_item (k kind, n int);
       CREATE FUNCTION kinds() RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT count(*) FROM public.z_kind $$;
       CREATE FUNCTION needs_kinds(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
         IF public.kinds() = 0 THEN RAISE 'no kinds'; END IF; RETURN i; END $$;
       CREATE INDEX ON b_item (public.needs_kinds(n));
       CREATE TABLE c_made (i int, k bigint GENERATED ALWAYS AS (i + public.kinds()) STORED);
       INSERT INTO z_kind VALUES ('x'), ('y'); INSERT INTO a_item VALUES (1, 'x'), (2, 'y'); INSERT INTO b_item VALUES ('x', 1); INSERT INTO c_made VALUES (1)`,
    )
    const { reset, restore } = await strange.roundTrip(made)
    expect([reset.status, restore.status]).toEqual(['succeeded', 'succeeded'])
  })

  it('when a foreign key does not hold for its rows: it comes back NOT VALID, and key and rows are named', async () => {
    const made = await strange.database(
      `CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p_id int REFERENCES p, q_id int CONSTRAINT sound REFERENCES p DEFERRABLE INITIALLY DEFERRED);
       CREATE TABLE part (p_id int CONSTRAINT of_parts REFERENCES p) PARTITION BY RANGE (p_id); CREATE TABLE part_1 PARTITION OF part DEFAULT;`,
      {
        admin: `INSERT INTO p VALUES (1); SET session_replication_role = replica;
          INSERT INTO c VALUES (1, 1, 1), (2, 99, NULL), (3, 98, 1); INSERT INTO part VALUES (1), (77)`,
      },
    )
    if (postgresMajor < 18) {
      expect((await strange.refused(made)).cause).toMatch(
        /1 row of public\.part does not keep its foreign key of_parts.*cannot come back NOT VALID before PostgreSQL 18/,
      )
      await made.sql.query('TRUNCATE part')
    }
    const { reset, restore } = await strange.roundTrip(made, {}, (before) => {
      if (postgresMajor < 18) return notValid('c_p_id_fkey')(before)
      const root = notValid('c_p_id_fkey', 'of_parts')(before)
      // The key of a partition has no name in the dump; it follows the one above it.
      return notValid('part_1')(root)
    })
    expect(warned(reset, 'ConstraintBroken')).toMatch(
      postgresMajor < 18
        ? /^2 rows of public\.c .*c_p_id_fkey/
        : /2 rows of public\.c .*c_p_id_fkey.*\n.*1 row of public\.part .*of_parts/s,
    )
    expect(warned(restore, 'ConstraintNotValid')).toMatch(
      /foreign key c_p_id_fkey of public\.c does not hold for 2 rows/,
    )
    expect(warned(restore, 'ConstraintNotValid')).not.toContain('sound')
  })

  it.runIf(isFull)(
    'when a check is NOT VALID in parent and child, in each way that they can declare it (full form)',
    async () => {
      const made = await strange.database(
        `CREATE TABLE par (i int); CREATE TABLE chi (more int) INHERITS (par); CREATE TABLE gra () INHERITS (chi);
       INSERT INTO par VALUES (-1); INSERT INTO chi VALUES (-2, -2); INSERT INTO gra VALUES (5, 5);
       ALTER TABLE chi ADD CONSTRAINT pos CHECK (i > 0) NOT VALID; ALTER TABLE par ADD CONSTRAINT pos CHECK (i > 0) NOT VALID;
       ALTER TABLE gra VALIDATE CONSTRAINT pos;
       ALTER TABLE par ADD CONSTRAINT small CHECK (i < 100); ALTER TABLE chi ADD CONSTRAINT small CHECK (i < 100);
       ALTER TABLE par ADD CONSTRAINT alone CHECK (i > 0) NO INHERIT NOT VALID; ALTER TABLE chi ADD CONSTRAINT own CHECK (more > 0) NOT VALID;
       ALTER TABLE gra VALIDATE CONSTRAINT own;
       CREATE TABLE ev (i int) PARTITION BY RANGE (i); CREATE TABLE ev_1 PARTITION OF ev DEFAULT; INSERT INTO ev VALUES (-1);
       ALTER TABLE ev ADD CONSTRAINT pos CHECK (i > 0) NOT VALID`,
      )
      const inheritance = `SELECT conrelid::regclass::text, conname, conislocal, coninhcount, connoinherit, convalidated FROM pg_constraint WHERE contype = 'c' AND conrelid > 16384 ORDER BY 1, 2`
      const before = (await made.sql.query(inheritance)).rows
      const { restore } = await strange.roundTrip(made)
      expect((await made.sql.query(inheritance)).rows).toEqual(before)
      expect(restore.status).toBe('succeeded')
    },
  )

  it.runIf(isFull)(
    'when columns and domains were declared NOT NULL or checked after their rows, NOT VALID (full form)',
    async (context) => {
      skipBefore(18, 'NOT NULL that is NOT VALID', context)
      const made = await strange.database(
        `CREATE TABLE n (a int, b int); CREATE TABLE m () INHERITS (n); INSERT INTO n VALUES (NULL, 1); INSERT INTO m VALUES (NULL, 2);
       ALTER TABLE n ADD CONSTRAINT there NOT NULL a NOT VALID;
       CREATE TABLE q (a int); CREATE TABLE r (CONSTRAINT there NOT NULL a) INHERITS (q); CREATE TABLE s () INHERITS (r);
       INSERT INTO q VALUES (NULL); INSERT INTO r VALUES (1); INSERT INTO s VALUES (2); ALTER TABLE q ADD CONSTRAINT there NOT NULL a NOT VALID;
       CREATE TABLE o (a int); CREATE TABLE p () INHERITS (o); INSERT INTO o VALUES (NULL); INSERT INTO p VALUES (1);
       ALTER TABLE o ADD CONSTRAINT there NOT NULL a NOT VALID; ALTER TABLE p VALIDATE CONSTRAINT there;
       CREATE DOMAIN positive AS int; CREATE TYPE pair AS (a positive, b text);
       CREATE TABLE d (i positive, many positive[], two pair, UNIQUE (i)); INSERT INTO d VALUES (-1, '{-1,2}', '(-3,x)'), (2, NULL, NULL);
       ALTER DOMAIN positive ADD CONSTRAINT pos CHECK (VALUE > 0) NOT VALID`,
      )
      const domains = `SELECT conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint WHERE contypid > 16384`
      const before = (await made.sql.query(domains)).rows
      const { reset, restore } = await strange.roundTrip(made)
      expect((await made.sql.query(domains)).rows).toEqual(before)
      expect(warned(reset, 'ConstraintBroken')).toMatch(/public\.d\.i/)
      expect(restore.status).toBe('succeeded')
      const { backupId } = reset
      const verified = await strange.reset.succeed({ operation: 'verify', backupId, rehearse: true })
      expect(verified.subject?.state).toBe('rehearsed')
      expect(warned(verified, 'ConstraintBroken')).toMatch(/public\.d\.i/)
    },
  )

  it.runIf(isFull)('when a domain in a range came to refuse it, NOT VALID (full form)', async () => {
    const made = await strange.database(
      `CREATE DOMAIN d AS int; CREATE TYPE r AS RANGE (subtype = d, multirange_type_name = multi_r); CREATE TYPE two AS (a r, b text);
       CREATE TABLE t (id int PRIMARY KEY, r r UNIQUE, rs r[], m multi_r, two two, made r GENERATED ALWAYS AS (r) STORED);
       INSERT INTO t VALUES (1, '[1,5)', '{"[2,3)",NULL}', '{[1,2),[7,8)}', '("[3,4)",x)'), (2, NULL, NULL, NULL, NULL), (3, 'empty', '{}', '{}', '(empty,)'), (4, '[20,)', NULL, NULL, NULL);
       ALTER DOMAIN d ADD CONSTRAINT above CHECK (VALUE > 10) NOT VALID`,
    )
    const { reset, restore } = await strange.roundTrip(made)
    for (const column of ['r', 'rs', 'm', 'two', 'made'])
      expect(warned(reset, 'ConstraintBroken')).toContain(`of public.t.${column} refuses values`)
    expect(restore.status).toBe('succeeded')
    expect(await strange.reset.succeed({ operation: 'diff', backupId: reset.backupId })).toMatchObject({
      difference: { database: { equal: 1, tables: [] } },
    })
  })

  it.runIf(isFull)(
    "when indexes ask the rows of each other's tables, so that no order fills them (full form)",
    async () => {
      const made = await strange.database(
        `CREATE TABLE a (i int PRIMARY KEY); CREATE TABLE b (i int PRIMARY KEY);
       ${['a', 'b'].map((table) => `CREATE FUNCTION asks_${table}(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i'`).join('; ')};
       CREATE INDEX one ON a (public.asks_b(i)); CREATE INDEX "two ""of them" ON b (public.asks_a(i)) WHERE i > 0;
       CREATE UNIQUE INDEX three ON b (public.asks_a(i)); COMMENT ON INDEX three IS 'it''s asked';
       INSERT INTO a VALUES (1); INSERT INTO b VALUES (2);
       ${['a', 'b']
         .map(
           (
             table,
           ) => `CREATE OR REPLACE FUNCTION asks_${table}(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
         IF NOT EXISTS (SELECT FROM public.${table}) THEN RAISE 'nothing there'; END IF; RETURN i; END $$`,
         )
         .join('; ')}`,
      )
      const indexes = `SELECT indexdef, obj_description(format('%I', indexname)::regclass, 'pg_class') AS comment FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname`
      const all = async () => {
        const found: unknown[] = []
        for (const query of [indexes, 'TABLE a', 'TABLE b']) found.push((await made.sql.query(query)).rows)
        return found
      }
      const before = await all()
      const { status, backupId } = await strange.reset.succeed(strange.wipe())
      const restore = await strange.reset.succeed(strange.putBack(backupId))
      expect([status, restore.status]).toEqual(['succeeded', 'succeeded'])
      expect(await all()).toEqual(before) // but for the oids of the indexes
    },
  )

  it.runIf(isFull)(
    'when the function of an index reads its own table, and raises where a row lacks its parent (full form)',
    async () => {
      const made = await strange.database(
        `CREATE TABLE node (id int PRIMARY KEY, parent int, r int4range, path text GENERATED ALWAYS AS (id || '') STORED);
       CREATE FUNCTION top(id int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT id';
       CREATE INDEX node_top ON node (public.top(id)); CREATE UNIQUE INDEX node_once ON node (id, public.top(id));
       CREATE INDEX node_some ON node (parent) WHERE public.top(id) > 1;
       ALTER TABLE node ADD CONSTRAINT node_apart EXCLUDE USING gist (r WITH &&, int4range(public.top(id), public.top(id), '[]') WITH =) WHERE (r IS NOT NULL);
       INSERT INTO node VALUES (3, 2), (2, 1), (1, 1), (5, 4), (4, 4);
       ${finds('top', 'node')}`,
      )
      const indexes = `SELECT indexrelid::regclass::text AS name, indexrelid, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'node'::regclass ORDER BY 1`
      const before = (await made.sql.query(indexes)).rows
      const { reset, restore } = await strange.roundTrip(made)
      expect([reset.status, restore.status]).toEqual(['succeeded', 'succeeded'])
      expect((await made.sql.query(indexes)).rows).toEqual(before)
      // The values in the index are those that the function gives where all rows are.
      await made.sql.query('SET enable_seqscan = off; SET enable_bitmapscan = off')
      const found = await made.sql.query('SELECT id FROM node WHERE public.top(id) = 1 ORDER BY id')
      expect(found.rows).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }])
    },
  )

  it.runIf(isFull)(
    'when functions of indexes give something else, and raise nothing, where other tables have no rows yet (full form)',
    async () => {
      const made = await strange.database(
        `CREATE TABLE a (i int PRIMARY KEY); CREATE TABLE b (i int PRIMARY KEY);
       CREATE FUNCTION in_a(n int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN EXISTS (SELECT FROM public.a WHERE i = n); END $$;
       CREATE FUNCTION in_b(n int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN EXISTS (SELECT FROM public.b WHERE i = n); END $$;
       INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (2), (3);
       CREATE INDEX a_both ON a (public.in_b(i)); CREATE INDEX b_both ON b (public.in_a(i))`,
      )
      await strange.roundTrip(made)
      await made.sql.query('SET enable_seqscan = off; SET enable_bitmapscan = off')
      for (const [table, other] of ['ab', 'ba']) {
        const found = await made.sql.query(`SELECT i FROM ${table} WHERE public.in_${other}(i)`)
        expect(found.rows).toEqual([{ i: 2 }])
      }
    },
  )

  it.runIf(isFull)(
    `when the function of a check, of a domain or of a generated column was replaced after the rows, and says so before ${inFullForm}`,
    async () => {
      const made = await strange.database(
        `CREATE FUNCTION fine(i int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
       CREATE FUNCTION label(i int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT CASE i WHEN 1 THEN NULL ELSE 'v1-' || i END $$;
       CREATE DOMAIN good AS int CHECK (public.fine(VALUE)); CREATE TABLE g (v good);
       CREATE TABLE t (i int PRIMARY KEY CONSTRAINT fine CHECK (public.fine(i)), l text GENERATED ALWAYS AS (public.label(i)) STORED);
       -- Another text, a text in place of NULL, and NULL in place of a text.
       INSERT INTO t (i) VALUES (0), (1), (2); INSERT INTO g VALUES (1);
       CREATE OR REPLACE FUNCTION label(i int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT CASE i WHEN 2 THEN NULL ELSE 'v2-' || i END $$;
       INSERT INTO t (i) VALUES (3);
       CREATE OR REPLACE FUNCTION fine(i int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF i < 3 THEN RAISE 'secret %', i; END IF; RETURN true; END $$`,
      )
      const { reset, restore } = await strange.roundTrip(made, {}, (before) => ({
        ...notValid('fine', 'good_check')(before),
        'public.t': ['(0,v2-0)', '(1,v2-1)', '(2,)', '(3,v2-3)'],
      }))
      expect(warned(reset, 'GeneratedDiffers')).toMatch(/3 rows of public\.t .*column l /)
      expect(warned(restore, 'GeneratedDiffers')).toMatch(/3 rows of public\.t .*column l /)
      expect(warned(reset, 'ConstraintBroken')).toMatch(/fine of public\.t|check fine/)
      for (const name of ['check fine of public.t', 'domain public.good'])
        expect(warned(restore, 'ConstraintNotValid')).toContain(name)
      expect(JSON.stringify([reset, restore])).not.toContain('secret')
      expect(
        (await made.sql.query(`SELECT convalidated FROM pg_constraint WHERE contypid = 'good'::regtype`))
          .rows,
      ).toEqual([{ convalidated: false }])
    },
  )

  it.runIf(isFull)(
    'when a generated column reads rows that come with it: what comes back otherwise is named, before the wipe too (full form)',
    async () => {
      const made = await strange.database(`CREATE TABLE t (id int PRIMARY KEY, parent int);
      CREATE FUNCTION depth(of int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
        $$ BEGIN RETURN CASE WHEN of IS NULL THEN 0 ELSE (SELECT d + 1 FROM public.t WHERE id = of) END; END $$;
      ALTER TABLE t ADD d int GENERATED ALWAYS AS (depth(parent)) STORED;
      INSERT INTO t VALUES (1, NULL); INSERT INTO t VALUES (2, 1); INSERT INTO t VALUES (3, 2)`)
      // A backup takes nothing away, so it keeps nobody from his rows to try that.
      await made.sql.query('BEGIN; SELECT FROM t')
      const backup = { operation: 'backup', strategy: 'database-only', rehearse: true }
      const backedUp = await strange.reset.succeed(backup)
      await made.sql.query('COMMIT')
      expect(warned(backedUp, 'NotProved')).toMatch(/: generated column d of public\.t, which reads tables/)
      const { reset, restore } = await strange.roundTrip(made, {}, (before) => ({
        ...before,
        'public.t': ['(1,,0)', '(2,1,1)', '(3,2,)'],
      }))
      expect(warned(reset, 'GeneratedDiffers')).toMatch(/^1 row of public\.t .*column d /)
      expect(warned(restore, 'GeneratedDiffers')).toMatch(/^1 row of public\.t .*column d /)
    },
  )
})

describe('nothing is wiped that could not be put back, and the refusal says why,', () => {
  it.runIf(isFull)(
    `when the role may no longer refer to the table of another role ${inFullForm}`,
    async () => {
      const made = await strange.database('CREATE SCHEMA auth', {
        admin: (role) => `CREATE ROLE "${role}_auth"; ALTER SCHEMA auth OWNER TO "${role}_auth";
        CREATE TABLE auth.users (id int PRIMARY KEY); ALTER TABLE auth.users OWNER TO "${role}_auth"; INSERT INTO auth.users VALUES (1), (2);
        GRANT USAGE ON SCHEMA auth TO "${role}"; GRANT REFERENCES, SELECT ON auth.users TO "${role}"; SET ROLE "${role}";
        CREATE TABLE public.profiles (id int PRIMARY KEY REFERENCES auth.users ON DELETE CASCADE); INSERT INTO profiles VALUES (1), (2);
        RESET ROLE; REVOKE REFERENCES ON auth.users FROM "${role}"`,
      })
      const ended = await strange.refused(made, { rehearse: false })
      expect(ended.error).toBe('NotPermitted')
      expect(ended.cause).toContain(`GRANT REFERENCES ON auth.users TO ${made.role}`)
      await made.admin.query(`GRANT REFERENCES ON auth.users TO "${made.role}"`)
      const { restore } = await strange.roundTrip(made)
      expect(restore.status).toBe('succeeded')
      await made.admin.query(`DROP SCHEMA auth CASCADE; DROP ROLE "${made.role}_auth"`)
    },
  )

  it.runIf(isFull)(`when rows are not unique any more by an index, and names it ${inFullForm}`, async () => {
    const made = await strange.database(
      `CREATE FUNCTION slug(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT t $$;
       CREATE TABLE page (title text); CREATE UNIQUE INDEX page_slug ON page (public.slug(title)); INSERT INTO page VALUES ('A'), ('a');
       CREATE OR REPLACE FUNCTION slug(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT pg_catalog.lower(t) $$`,
    )
    const ended = await strange.refused(made)
    expect(ended.error).toBe('RehearsalFailed')
    expect(ended.cause).toMatch(/index page_slug of public\.page would not take/)
    const { output } = await strange.reset.run(strange.wipe({ rehearse: false, dryRun: true }))
    expect(warned(output, 'NotProved')).toContain('page_slug')
  })

  it.runIf(isFull)(
    `when ranges overlap by an exclusion constraint now, and names it ${inFullForm}`,
    async () => {
      const made = await strange.database(
        `CREATE FUNCTION wide(r int4range) RETURNS int4range LANGUAGE sql IMMUTABLE AS $$ SELECT r $$;
       CREATE TABLE booked (r int4range, CONSTRAINT alone EXCLUDE USING gist (public.wide(r) WITH &&)); INSERT INTO booked VALUES ('[1,2)'), ('[3,4)');
       CREATE OR REPLACE FUNCTION wide(r int4range) RETURNS int4range LANGUAGE sql IMMUTABLE AS $$ SELECT int4range(lower(r), upper(r) + 5) $$`,
      )
      expect((await strange.refused(made)).cause).toMatch(/index alone of public\.booked would not take/)
    },
  )

  it.runIf(isFull)(
    'when what looks at each row reads a table that a restore fills, and raises until it has its rows (full form)',
    async () => {
      // Nothing can hold the rows of these for their functions meanwhile.
      const cases = [
        [
          `CREATE TABLE node (id int, parent int) PARTITION BY RANGE (id); CREATE TABLE node_1 PARTITION OF node DEFAULT;
         CREATE FUNCTION top(id int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT id'; CREATE INDEX node_top ON node (public.top(id));
         INSERT INTO node VALUES (2, 1), (1, 1)`,
          /index node_1_top_idx of public\.node_1/,
        ],
        [
          `CREATE FUNCTION top(id int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT id';
         CREATE TABLE node (id int, parent int, top int GENERATED ALWAYS AS (public.top(id)) STORED); INSERT INTO node VALUES (1, 1), (2, 1)`,
          /generated column top of public\.node/,
        ],
        [
          `CREATE TABLE other (id int, parent int); INSERT INTO other VALUES (1, 1), (2, 1); CREATE MATERIALIZED VIEW node AS SELECT * FROM other;
         CREATE FUNCTION top(id int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT id';
         CREATE TABLE seen (id int); CREATE INDEX seen_top ON seen (public.top(id)); INSERT INTO seen VALUES (2)`,
          /index seen_top of public\.seen/,
        ],
        [
          `CREATE FUNCTION top(id int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT id'; CREATE TABLE node (id int, parent int)
         PARTITION BY RANGE (public.top(id)); CREATE TABLE node_1 PARTITION OF node FOR VALUES FROM (0) TO (9); INSERT INTO node VALUES (1, 1), (2, 1)`,
          /partition key of public\.node/,
        ],
      ] as const
      for (const [sql, names] of cases) {
        const made = await strange.database(`${sql}; ${finds('top', 'node')}`)
        const ended = await strange.refused(made)
        expect(ended.error).toBe('RehearsalFailed')
        expect(ended.cause).toMatch(names)
        const { output } = await strange.reset.run(strange.wipe({ rehearse: false, dryRun: true }))
        expect(warned(output, 'NotProved')).toMatch(names)
      }
    },
  )

  it('when an event trigger is against what a restore does to tables', async () => {
    const made = await strange.database('CREATE TABLE t (i int CHECK (i > 0)); INSERT INTO t VALUES (1)')
    await made.admin.query(`CREATE FUNCTION keep() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not here: %', tg_tag; END $$;
      CREATE EVENT TRIGGER keep_tables ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION keep()`)
    const ended = await strange.refused(made, { rehearse: false })
    expect(ended.error).toBe('NotPermitted')
    expect(ended.cause).toMatch(/keep_tables/)
  })

  it('when a row cannot be read, because a virtual column raises for it, and names the table', async (context) => {
    skipBefore(18, 'virtual columns', context)
    const made = await strange.database(
      'CREATE TABLE v (a int, d int GENERATED ALWAYS AS (10 / a) VIRTUAL); INSERT INTO v VALUES (0), (2)',
    )
    const ended = await strange.reset.run(strange.wipe())
    expect(ended).toMatchObject({ status: 'FAILED', error: 'BackupIncomplete' })
    expect(ended.cause).toMatch(/rows of public\.v cannot be read: \S/)
    expect((await made.sql.query('SELECT a FROM v ORDER BY 1')).rows).toEqual([{ a: 0 }, { a: 2 }])
  })

  it.runIf(isFull)(`when a sequence belongs to another role ${inFullForm}`, async () => {
    const made = await strange.database('CREATE TABLE t (i int); INSERT INTO t VALUES (1)', {
      admin: (role) =>
        `CREATE SEQUENCE public.foreign_numbers; GRANT SELECT, UPDATE, USAGE ON public.foreign_numbers TO "${role}"`,
    })
    expect((await strange.refused(made)).cause).toMatch(/sequences public\.foreign_numbers/)
  })
})

describe('what a restore needs and has not been proved is a warning', () => {
  it.runIf(isFull)(
    `when tables that are kept, or their sequences and keys, are not for the role to replace, with what to grant ${inFullForm}`,
    async () => {
      const made = await strange.database(
        `CREATE TABLE going (i int); INSERT INTO going VALUES (1); CREATE SCHEMA other`,
        {
          admin: (
            role,
          ) => `CREATE TABLE public.theirs (id serial PRIMARY KEY); INSERT INTO theirs DEFAULT VALUES;
          GRANT SELECT ON public.theirs, public.theirs_id_seq TO "${role}"; CREATE TABLE other.users (id int PRIMARY KEY); INSERT INTO other.users VALUES (1);
          GRANT REFERENCES ON other.users TO "${role}"; SET ROLE "${role}";
          CREATE TABLE public.profiles (id int CONSTRAINT of_user REFERENCES other.users); INSERT INTO public.profiles VALUES (1);
          RESET ROLE; REVOKE REFERENCES ON other.users FROM "${role}"`,
        },
      )
      const preserve = { tables: ['public.theirs', 'public.profiles'] }
      const reset = await strange.reset.succeed(strange.wipe({ preserve }))
      const named = warned(reset, 'NotRestorable')
      expect(named).toMatch(/does not own public\.theirs .*the sequence public\.theirs_id_seq/)
      expect(named).toContain(`GRANT REFERENCES ON other.users TO ${made.role}`)
      const whole = strange.putBack(reset.backupId)
      expect(await strange.reset.run(whole)).toMatchObject({ status: 'FAILED', error: 'NotPermitted' })
      await made.admin.query(
        `ALTER TABLE public.theirs OWNER TO "${made.role}"; GRANT REFERENCES ON other.users TO "${made.role}"`,
      )
      const again = await strange.reset.succeed(strange.wipe({ preserve }))
      expect(warned(again, 'NotRestorable')).toBe('')
      await strange.reset.succeed(whole)
      expect((await made.sql.query('SELECT i FROM going')).rows).toEqual([{ i: 1 }])
    },
  )

  it.runIf(isFull)(
    `when a table was in use while it would have been tried, with its name ${inFullForm}`,
    async () => {
      const made = await strange.database(
        'CREATE TABLE t (i int CHECK (i > 0)); CREATE TABLE idle (i int); INSERT INTO t VALUES (1)',
      )
      const request = strange.wipe({ dryRun: true })
      await made.admin.query('BEGIN; SELECT FROM t')
      const busy = await strange.reset.succeed(request)
      await made.admin.query('ROLLBACK')
      expect(warned(busy, 'NotProved')).toMatch(/needs of public\.t was not tried/)
      expect(warned(await strange.reset.succeed(request), 'NotProved')).toBe('')
    },
  )
})

it.runIf(isFull)(
  'a table that does not take its rows any more, because of what came after the backup, is named by the restore (full form)',
  async () => {
    const made = await strange.database(
      'CREATE TABLE fine (i int); CREATE TABLE made (a int); INSERT INTO fine VALUES (1); INSERT INTO made VALUES (0)',
    )
    const { backupId } = await strange.reset.succeed(strange.wipe())
    for (const [later, back] of [
      ['ALTER TABLE made ADD g int GENERATED ALWAYS AS (10 / a) STORED', 'ALTER TABLE made DROP COLUMN g'],
      ['CREATE INDEX later ON made ((10 / a))', 'DROP INDEX later'],
    ]) {
      await made.sql.query(later!)
      const ended = await strange.reset.run(strange.putBack(backupId))
      expect(ended).toMatchObject({ status: 'FAILED', error: 'SchemaChanged' })
      expect(ended.cause).toMatch(/live table public\.made does not take its rows of the backup: \S/)
      await made.sql.query(back!)
    }
    await strange.reset.succeed(strange.putBack(backupId))
    expect((await made.sql.query('SELECT a FROM made')).rows).toEqual([{ a: 0 }])
  },
)
