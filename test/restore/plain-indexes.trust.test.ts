import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import { readTables } from '../../lib/database/catalog/tables.ts'
import { replaceRows } from '../../lib/database/restore/replace-rows.ts'
import { ensureScratch } from '../../lib/database/scratch/create.ts'
import { dropScratch } from '../../lib/database/scratch/drop.ts'
import { scratchTableOf } from '../../lib/database/scratch/schema.ts'
import { SchemaChanged } from '../../lib/errors.ts'
import type { Connection } from '../../lib/postgres/connection.ts'
import { qualified } from '../../lib/postgres/identifiers.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { useDatabase, waiting } from '../database/database-stack.ts'
import { postgresMajor } from '../support/server-version.ts'
import { inFullForm, isFull } from '../support/trust.ts'

const database = useDatabase()

/** Fewer are not worth it. */
const rows = 10_000

/** What the server knows of each index, by its name, but for its number, its file and what was counted of its use. */
const properties = `
  SELECT c.relname::text AS name, c.oid::text AS oid, jsonb_build_object('definition', pg_get_indexdef(c.oid), 'comment', obj_description(c.oid, 'pg_class'),
    'index', to_jsonb(i) - '{indexrelid,indcheckxmin,indisvalid}'::text[], -- TRUNCATE makes an invalid one valid
    'relation', to_jsonb(c) - '{oid,relfilenode,relpages,reltuples,relallvisible,relallfrozen,reltype}'::text[],
    'constraints', (SELECT jsonb_agg(pg_get_constraintdef(k.oid) ORDER BY k.conname) FROM pg_constraint k WHERE k.conindid = c.oid),
    'columns', (SELECT jsonb_agg(to_jsonb(a) - 'attrelid' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid),
    'needs', (SELECT jsonb_agg(pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) || ' ' || d.deptype::text ORDER BY d.refclassid, d.refobjid, d.refobjsubid)
      FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid),
    'needed', (SELECT count(*) FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid)) AS known
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
  WHERE t.relnamespace = 'app'::regnamespace ORDER BY 1`

/** Makes tables, puts the rows of the large one back as a restore does, and gives what is known of the indexes before and after. */
async function replaced(make: string, { later = '', admin = '', meanwhile = '', last = '' } = {}) {
  await database.sql.query(`DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app`)
  await database.admin.query(
    `CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public; CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public`,
  )
  await database.sql.query(make)
  await database.admin.query(admin)
  const runId = randomUUID()
  const known = async (connection: Connection) => {
    const found = await connection.query(properties)
    return new Map<string, { oid: string; known: unknown }>(found.rows.map((row) => [row.name, row]))
  }
  return withConnection(database.clients, async (connection) => {
    const { tables: live } = await readTables(connection, ['app'])
    const pairs = live
      .filter(({ partitioned }) => !partitioned)
      .map((table) => ({ table: { ...table, rows, fingerprint: '0', parts: [] }, live: table }))
    const tables = pairs.map(({ table }) => table)
    await ensureScratch(connection, { runId, tables })
    for (const table of tables)
      await connection.query(
        `INSERT INTO ${qualified(scratchTableOf(runId, table))} SELECT * FROM ONLY ${qualified(table)}`,
      )
    await database.sql.query(later)
    await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT') // the snapshot that a restore has by then
    await database.sql.query(meanwhile)
    const before = await withConnection(database.clients, known)
    try {
      const replacing = replaceRows(connection, { runId, sequences: [], pairs })
      await Promise.all([replacing, last === '' ? undefined : whenItWaits(last)])
      const after = await known(connection)
      const first = new Set([...before.values()].map(({ oid }) => oid))
      const anew = [...after].filter(([, { oid }]) => !first.has(oid)).map(([name]) => name)
      const plain = (all: typeof before) =>
        Object.fromEntries([...all].map(([name, one]) => [name, one.known]))
      return { anew, before: plain(before), after: plain(after) }
    } finally {
      await connection.query('ROLLBACK')
      await dropScratch(connection, runId)
    }
  })
}

async function whenItWaits(statement: string): Promise<void> {
  await expect.poll(() => waiting(database)).toBe(1)
  await database.sql.query(statement)
}

const filled = `INSERT INTO app.t SELECT g, g % 7, 'text ' || g, ARRAY[g, g % 5], int4range(g, g + 2), point(g, g), g FROM generate_series(1, ${rows}) AS g`
const table = `CREATE TABLE app.t (id int PRIMARY KEY, v int NOT NULL, w text COLLATE "C", a int[], r int4range, p point, u int NOT NULL UNIQUE)`

it('an index that is made anew by a restore is the one that it was, in all that the server knows of it', async () => {
  const { anew, before, after } = await replaced(
    `${table}; ${filled};
     CREATE INDEX simple ON app.t (v); CREATE INDEX "Odd ""name" ON app.t (v DESC NULLS LAST, id) INCLUDE (u);
     CREATE INDEX pattern ON app.t (w COLLATE "POSIX" text_pattern_ops); CREATE INDEX half ON app.t (v) WITH (fillfactor = 50, deduplicate_items = off);
     CREATE UNIQUE INDEX once ON app.t (id, v) ${postgresMajor >= 15 ? 'NULLS NOT DISTINCT' : ''}; CREATE INDEX hashed ON app.t USING hash (w); CREATE INDEX brin ON app.t USING brin (id int4_minmax_multi_ops (values_per_range = 16)) WITH (pages_per_range = 4);
     CREATE INDEX lists ON app.t USING gin (a) WITH (fastupdate = off); CREATE INDEX ranges ON app.t USING gist (r, v public.gist_int4_ops); CREATE INDEX points ON app.t USING spgist (p);
     COMMENT ON INDEX app.simple IS 'it''s "simple"'; ALTER TABLE app.t SET (autovacuum_enabled = false)`,
  )
  expect(anew.sort()).toEqual(
    ['Odd "name', 'brin', 'half', 'hashed', 'lists', 'once', 'pattern', 'points', 'ranges', 'simple'].sort(),
  )
  expect(after).toEqual(before)
})

it('an index stays in place that a constraint needs, or of which something would not come back', async () => {
  const { anew, before, after } = await replaced(
    `${table}; ${filled}; CREATE INDEX simple ON app.t (v);
     CREATE UNIQUE INDEX referred ON app.t (u, id); CREATE TABLE app.c (id int, u int, FOREIGN KEY (u, id) REFERENCES app.t (u, id)); INSERT INTO app.c VALUES (1, 1);
     ALTER TABLE app.t ADD CONSTRAINT alone EXCLUDE USING btree (id WITH =);
     CREATE INDEX clustered ON app.t (v); ALTER TABLE app.t CLUSTER ON clustered; CREATE UNIQUE INDEX replica ON app.t (u, v); ALTER TABLE app.t REPLICA IDENTITY USING INDEX replica;
     CREATE INDEX extension ON app.t (v); CREATE INDEX invalid ON app.t (v); CREATE INDEX elsewhere ON app.t (v); CREATE INDEX renamed ON app.t (w); ALTER TABLE app.t RENAME COLUMN w TO x;
     CREATE INDEX expression ON app.t (lower(x)); CREATE INDEX partial ON app.t (v) WHERE v > 3; ALTER INDEX app.expression ALTER COLUMN 1 SET STATISTICS 7;
     CREATE FUNCTION app.cmp(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp($1, $2)';
     CREATE TABLE app.parted (id int, v int) PARTITION BY RANGE (id); CREATE TABLE app.part PARTITION OF app.parted DEFAULT; CREATE INDEX attached ON app.parted (v); INSERT INTO app.parted VALUES (1, 1)`,
    {
      admin: `ALTER INDEX app.extension DEPENDS ON EXTENSION hstore; UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.invalid'::regclass;
       UPDATE pg_class SET reltablespace = 1663 WHERE oid = 'app.elsewhere'::regclass;
       CREATE OPERATOR CLASS app.mine FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 app.cmp(int, int);
       CREATE INDEX mine ON app.t (v app.mine)`,
    },
  )
  expect(anew).toEqual(['simple'])
  expect(after).toEqual(before)
})

const reasons: [string, string, string][] = [
  [
    'the role may make none in the schema',
    `ALTER SCHEMA app OWNER TO CURRENT_USER; GRANT USAGE ON SCHEMA app TO PUBLIC`,
    `ALTER SCHEMA app OWNER TO $role`,
  ],
  ...['CREATE INDEX', 'COMMENT'].map((tag): [string, string, string] => [
    `an event trigger would hear of ${tag}`,
    `CREATE FUNCTION app.hear() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$; CREATE EVENT TRIGGER heard ON ddl_command_end WHEN TAG IN ('${tag}') EXECUTE FUNCTION app.hear()`,
    'DROP EVENT TRIGGER heard',
  ]),
  [
    'temporary files are limited',
    `ALTER ROLE $role SET temp_file_limit = '1GB'`,
    'ALTER ROLE $role RESET temp_file_limit',
  ],
]
it.each(reasons.slice(0, isFull ? undefined : 2))(
  'every index stays in place when %s',
  async (_, admin, undo) => {
    const { rows: roles } = await database.sql.query('SELECT quote_ident(current_user) AS role')
    try {
      const { anew } = await replaced(`${table}; ${filled}; CREATE INDEX simple ON app.t (v)`, {
        admin: admin.replace('$role', roles[0].role),
      })
      expect(anew).toEqual([])
    } finally {
      await database.admin.query(undo.replace('$role', roles[0].role))
    }
  },
)

const same = `CREATE FUNCTION app.same(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'`
const asking: [what: string, make: string, later: string, anew: string[]][] = [
  [
    'every index stays in place while functions of the application are asked about rows: they may look for others by it',
    `CREATE TABLE app.asking (i int); CREATE INDEX asks ON app.asking (app.same(i))`,
    '',
    [],
  ],
  [
    'so it does while they are asked for a column that was added since the backup',
    '',
    'ALTER TABLE app.t ADD added int DEFAULT app.same(1)',
    [],
  ],
  [
    'it is made anew where a default that is a function has a value in the backup',
    'ALTER TABLE app.t ALTER v SET DEFAULT app.same(1)',
    '',
    ['simple'],
  ],
]

it.each(asking.slice(0, isFull ? undefined : 1))('%s', async (_, make, later, expected) => {
  const all = `${table}; ${filled}; CREATE INDEX simple ON app.t (v); ${same}; ${make}`
  expect((await replaced(all, { later })).anew).toEqual(expected)
})

it.runIf(isFull)(
  `rows that are not unique by an index that came later are refused by it, and the table is named ${inFullForm}`,
  async () => {
    const refused = replaced(`${table}; ${filled}`, {
      later: 'TRUNCATE app.t; CREATE UNIQUE INDEX once ON app.t (v)',
    })
    await expect(refused).rejects.toThrow(SchemaChanged)
    await expect(refused).rejects.toThrow(
      /^The live table app\.t does not take its rows of the backup: .*once.*Nothing was changed/s,
    )
  },
)

it.runIf(isFull)(
  `an index stays in place whose values functions of the application compare: they work under the search path of the role alone ${inFullForm}`,
  async () => {
    const { anew, before, after } = await replaced(
      `CREATE OR REPLACE FUNCTION public.one() RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT 1::float8';
     CREATE FUNCTION app.apart(int, int) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN ($1 - $2) * one(); END';
     CREATE TYPE app.span AS RANGE (subtype = int, subtype_diff = app.apart, multirange_type_name = app.spans);
     CREATE DOMAIN app.near AS app.span; CREATE DOMAIN app.word AS text; CREATE TYPE app.mood AS ENUM ('a'); CREATE TYPE app.pair AS (s app.span, i int);
     CREATE TABLE app.t (id int PRIMARY KEY, s app.span, d app.near, m app.spans, p app.pair, l app.span[], w app.word, e app.mood, r int4range);
     CREATE INDEX span ON app.t USING gist (s); CREATE INDEX near ON app.t USING gist (d); CREATE INDEX spans ON app.t USING gist (m);
     CREATE INDEX pairs ON app.t (p); CREATE INDEX list ON app.t (l); CREATE INDEX included ON app.t (id) INCLUDE (p);
     CREATE INDEX word ON app.t (w); CREATE INDEX mood ON app.t (e); CREATE INDEX simple ON app.t USING gist (r);
     INSERT INTO app.t SELECT g, s, s, app.spans(s), (s, g)::app.pair, ARRAY[s], 'w', 'a', int4range(g, g + 2)
     FROM generate_series(1, 200) AS g, LATERAL (SELECT app.span(g, g + 2) AS s) AS v`,
    )
    expect(anew.sort()).toEqual(['included', 'mood', 'simple', 'word'])
    expect(after).toEqual(before)
  },
)

const altered = 'ALTER INDEX app.simple RENAME TO other; ALTER INDEX app.other SET (fillfactor = 50)'

it.runIf(isFull)(
  `an index that was altered since the snapshot of the restore, which takes no lock on its table, comes back as it is now ${inFullForm}`,
  async () => {
    const { anew, before, after } = await replaced(`${table}; ${filled}; CREATE INDEX simple ON app.t (v)`, {
      meanwhile: altered,
    })
    expect(anew).toEqual(['other'])
    expect(after).toEqual(before)
  },
)

it('an index that somebody is altering stays in place', async () => {
  const { anew, after } = await replaced(
    `${table}; ${filled}; CREATE INDEX simple ON app.t (v); CREATE INDEX made ON app.t (v)`,
    {
      meanwhile: `BEGIN; ${altered}`,
      last: 'COMMIT',
    },
  )
  expect(anew).toEqual(['made'])
  // Emptying the table writes the index's row anew, and version 14 begins from the one that was committed meanwhile.
  const name = postgresMajor < 15 ? 'other' : 'simple'
  expect(after).toHaveProperty([name, 'definition'], expect.stringMatching(/INDEX other .*fillfactor='50'/))
})
