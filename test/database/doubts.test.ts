import pg from 'pg'
import { expect, inject, it, onTestFinished } from 'vitest'
import type { DatabaseSection } from '../../lib/backup/sections/database.ts'
import { type Catalog, readCatalog } from '../../lib/database/catalog/catalog.ts'
import { readDefinition } from '../../lib/database/definition/read.ts'
import type { Connection } from '../../lib/postgres/connection.ts'
import { readDoubts } from '../../lib/run/baseline/doubts.ts'
import { createDatabase, dropDatabase } from '../../local/database/postgres.ts'

async function database(): Promise<{ sql: Connection; url: string }> {
  const adminUrl = inject('postgresAdminUrl')
  const url = await createDatabase(adminUrl)
  onTestFinished(() => dropDatabase(adminUrl, url))
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  onTestFinished(() => client.end())
  return { sql: client as unknown as Connection, url }
}

/** Of a backup what its section of the manifest tells of the tables. */
async function backUp(sql: Connection, schemas: string[]): Promise<DatabaseSection> {
  await sql.query('SET search_path = pg_catalog')
  const { tables, sequences, serverVersion } = await readCatalog(sql, schemas)
  const { definition } = await readDefinition(sql, { tables, sequences, schemas, excluded: [], waitMs: 100 })
  const held = tables.filter(({ partitioned }) => !partitioned)
  return { serverVersion, tables: held, sequences: [], definition } as unknown as DatabaseSection
}

const schemas = ['public', 'odd one']
const made = `CREATE SCHEMA "odd one"; CREATE TYPE "odd one"."a mood" AS ENUM ('sad', 'it''s', E'b\\\\', 'gone'); CREATE TYPE pair AS (a int, b int);
  CREATE DOMAIN small AS int CHECK (VALUE < 100); CREATE TYPE grows AS ENUM ('a');
  CREATE TABLE users (id int PRIMARY KEY, email text, nick text UNIQUE, age int CHECK (age > 0), mood "odd one"."a mood"[], p pair, s small, g grows, note text, CONSTRAINT "fine, as it is" CHECK (note <> ') ON DELETE '));
  CREATE TABLE "odd one"."p.osts" (id int PRIMARY KEY, author int REFERENCES users ON DELETE CASCADE, editor int, during tsrange, "a title" text);
  CREATE UNIQUE INDEX ON "odd one"."p.osts" (lower("a title")) WHERE author > 1; CREATE UNIQUE INDEX ON users (lower(email));
  CREATE TABLE parts (id int, k int, CHECK (k < 10)) PARTITION BY LIST (k); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1); CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
  CREATE TABLE base (id int CHECK (id > 0)); CREATE TABLE heir () INHERITS (base)`

it('what the live tables ask of rows by now, and did not, is told; what only came later, is called otherwise, or asks less, is not', async () => {
  const { sql, url } = await database()
  await sql.query(made)
  const held = await backUp(sql, schemas)
  const doubts = async (passed: DatabaseSection | null = null, before = held) => {
    const catalog: Catalog = await readCatalog(sql, schemas)
    return readDoubts(sql, catalog, { held: before, back: before, excluded: [], passed: async () => passed })
  }
  expect(await doubts()).toEqual([])
  await sql.query(`SET search_path = public; ALTER TABLE users RENAME CONSTRAINT users_nick_key TO other; ALTER INDEX users_lower_idx RENAME TO "another one"; ALTER TABLE "odd one"."p.osts" DROP CONSTRAINT "p.osts_author_fkey",
    ADD CONSTRAINT renamed FOREIGN KEY (author) REFERENCES users ON DELETE SET NULL; ALTER TYPE grows ADD VALUE 'b';
    CREATE TABLE teams (id int PRIMARY KEY); ALTER TABLE users ADD team int REFERENCES teams, ADD kind text DEFAULT 'x' CHECK (kind <> ''), ADD code text UNIQUE, ADD number int GENERATED ALWAYS AS IDENTITY UNIQUE;
    ALTER TABLE users ADD CHECK (age < 200) NOT VALID; CREATE INDEX ON users (age); ALTER TABLE parts ADD later int, ADD UNIQUE (later, k), DROP CONSTRAINT parts_k_check; ALTER TABLE users ADD UNIQUE (nick, code);
    CREATE TABLE invoices (id int, payer int REFERENCES users)`)
  await sql.query('SET search_path = pg_catalog')
  expect(await doubts()).toEqual([])
  const stricter = `ALTER TABLE users ADD CONSTRAINT adult CHECK (age > 17), ADD CONSTRAINT one_note UNIQUE (note), ALTER email SET NOT NULL; CREATE UNIQUE INDEX one_age ON users (age) WHERE age > 1;
    ALTER TABLE "odd one"."p.osts" ADD CONSTRAINT edits FOREIGN KEY (editor) REFERENCES users, ADD CONSTRAINT alone EXCLUDE USING gist (during WITH &&);
    ALTER TABLE parts ADD CONSTRAINT whole CHECK (id > 0), ADD CONSTRAINT keyed UNIQUE (id, k); ALTER DOMAIN small ADD CONSTRAINT positive CHECK (VALUE > 0);
    ALTER TYPE "odd one"."a mood" RENAME VALUE 'gone' TO 'left'; ALTER TYPE pair ADD ATTRIBUTE c int;
    INSERT INTO users (id, email) VALUES (1, 'x'); INSERT INTO invoices VALUES (1, 1)`
  await sql.query(`SET search_path = public; ${stricter}; SET search_path = pg_catalog`)
  const later =
    'rows of public.invoices, which came later and stay, refer to public.users (invoices_payer_fkey)'
  const found = [
    'the column public.users.email may not be null any more',
    `the type "odd one"."a mood" has no 'gone' any more`,
    'the type public.pair is made otherwise now',
    'a check of the domain public.small is new',
    'the exclusion constraint alone of "odd one"."p.osts" is new',
    'the unique constraint keyed of public.parts is new',
    'the unique constraint one_note of public.users is new',
    'the unique index one_age of public.users is new',
    'the foreign key edits of "odd one"."p.osts" is new',
    'the check whole of public.parts is new',
    'the check adult of public.users is new',
  ]
  const [first, ...others] = await doubts()
  expect(first).toBe(later)
  expect(others.toSorted()).toEqual(found.toSorted())
  expect(others.slice(0, 4).every((line) => / column | type | domain /.test(line))).toBe(true)
  expect(others.slice(-3).every((line) => / check | foreign key /.test(line))).toBe(true)
  // Of an earlier backup less is told; what a reset has met since it was asked is not told again, but for rows that stay.
  expect(await doubts(null, { ...held, definition: undefined })).toEqual([later, found[0]])
  expect(await doubts(null, { ...held, serverVersion: '9.6' })).toEqual([later, found[0]])
  expect(await doubts(await backUp(sql, schemas))).toEqual([later])
  // What cannot be asked of later rows hides nothing else.
  const other = new pg.Client({ connectionString: url })
  await other.connect()
  onTestFinished(() => other.end())
  const catalog = await readCatalog(sql, schemas)
  await other.query('BEGIN; LOCK TABLE public.invoices')
  await sql.query(`SET lock_timeout = '20ms'`)
  const asked = { held, back: held, excluded: [], passed: async () => null }
  const [untold, ...rest] = await readDoubts(sql, catalog, asked)
  expect(untold).toMatch(/^whether rows of public\.invoices.* cannot be told \(.*lock timeout/)
  expect(rest).toEqual(others)
})
