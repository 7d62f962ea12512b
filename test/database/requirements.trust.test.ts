import { beforeAll, describe, expect, it } from 'vitest'
import { readTables } from '../../lib/database/catalog/tables.ts'
import { readRequirements } from '../../lib/database/constraints/requirements.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { isFull } from '../support/trust.ts'
import { useDatabase } from './database-stack.ts'

const database = useDatabase()

beforeAll(async () => {
  await database.sql.query(`CREATE SCHEMA app; CREATE SCHEMA fn;
    CREATE FUNCTION fn.same(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i';
    CREATE FUNCTION fn.told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE DOMAIN fn.small AS int CHECK (VALUE < 100);
    CREATE TYPE fn.mood AS ENUM ('good', 'bad');
    CREATE TEXT SEARCH CONFIGURATION fn.words (COPY = pg_catalog.english);
    CREATE TABLE app.parent (id int PRIMARY KEY, m fn.mood);
    CREATE TABLE app.child (id int PRIMARY KEY, up int REFERENCES app.parent, n fn.small, doubled int GENERATED ALWAYS AS (id * 2) STORED,
      v text DEFAULT 'a', at timestamptz, CONSTRAINT positive CHECK (id > 0));
    CREATE TABLE app.whole (id int) PARTITION BY RANGE (id); CREATE TABLE app.piece PARTITION OF app.whole FOR VALUES FROM (0) TO (10);
    CREATE TABLE app.other (id int)`)
})

async function requirements(): Promise<Record<string, string>> {
  return withConnection(database.clients, async (connection) => {
    const { tables } = await readTables(connection, ['app'])
    return Object.fromEntries(await readRequirements(connection, tables))
  })
}

/** The tables that ask another thing after the statement, which is taken back. */
async function changedBy(statement: string, undo: string): Promise<string[]> {
  const before = await requirements()
  await database.admin.query(statement)
  try {
    const after = await requirements()
    return Object.keys(before).filter((name) => before[name] !== after[name])
  } finally {
    await database.admin.query(undo)
    expect(await requirements()).toEqual(before)
  }
}

const all = ['app.child', 'app.other', 'app.parent', 'app.piece', 'app.whole']
const add = (what: string) => `ALTER TABLE app.child ADD CONSTRAINT late ${what}`
const dropped = 'ALTER TABLE app.child DROP CONSTRAINT late'

describe('what a table asks of its rows is another thing', () => {
  it.each(
    [
      ['a check came', add('CHECK (id < 1000)'), dropped],
      ['a check came that is not valid', add('CHECK (id < 1000) NOT VALID'), dropped],
      ['a key came', add('FOREIGN KEY (id) REFERENCES app.parent (id)'), dropped],
      ['a unique constraint came', add('UNIQUE (up)'), dropped],
      ['an exclusion constraint came', add('EXCLUDE (up WITH =)'), dropped],
      ['a partial index came', 'CREATE INDEX late ON app.child (up) WHERE id > 5', 'DROP INDEX app.late'],
      [
        'a column may not be null',
        'ALTER TABLE app.child ALTER up SET NOT NULL',
        'ALTER TABLE app.child ALTER up DROP NOT NULL',
      ],
      [
        'a column has another type',
        'ALTER TABLE app.child ALTER v TYPE varchar(9)',
        'ALTER TABLE app.child ALTER v TYPE text',
      ],
    ].slice(0, isFull ? undefined : 2),
  )('when %s, and so it is of no other table', async (_, statement, undo) => {
    expect(await changedBy(statement, undo)).toEqual(['app.child'])
  })

  it.each(
    [
      [
        'a domain that it holds',
        'ALTER DOMAIN fn.small ADD CONSTRAINT late CHECK (VALUE > -100)',
        'ALTER DOMAIN fn.small DROP CONSTRAINT late',
        'app.child',
      ],
      [
        'a label of its type',
        `ALTER TYPE fn.mood RENAME VALUE 'bad' TO 'worse'`,
        `ALTER TYPE fn.mood RENAME VALUE 'worse' TO 'bad'`,
        'app.parent',
      ],
    ].slice(0, isFull ? undefined : 1),
  )('when %s changed, and of no other table', async (_, statement, undo, table) => {
    expect(await changedBy(statement, undo)).toEqual([table])
  })

  it('of all tables, when a function came or changed where functions say what types take', async () => {
    await database.admin.query(`CREATE TYPE fn.span AS RANGE (subtype = date)`)
    const statement =
      'CREATE OR REPLACE FUNCTION fn.same(i int) RETURNS int LANGUAGE sql IMMUTABLE AS $$SELECT i + 0$$'
    const undo = `CREATE OR REPLACE FUNCTION fn.same(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i'`
    expect((await changedBy(statement, undo)).sort()).toEqual(all)
    await database.admin.query(`DROP TYPE fn.span`)
    expect(await changedBy(statement, undo)).toEqual([])
  })

  it.each(
    [
      ['an extension', 'CREATE EXTENSION hstore SCHEMA fn', 'DROP EXTENSION hstore'],
      [
        'what text search makes of words',
        'ALTER TEXT SEARCH CONFIGURATION fn.words ALTER MAPPING FOR asciiword WITH simple',
        'ALTER TEXT SEARCH CONFIGURATION fn.words ALTER MAPPING FOR asciiword WITH english_stem',
      ],
    ].slice(0, isFull ? undefined : 1),
  )('of all tables, when %s came or changed', async (_, statement, undo) => {
    expect((await changedBy(statement, undo)).sort()).toEqual(all)
  })

  it.each(
    [
      ['a plain index', 'CREATE INDEX late ON app.child (up)', 'DROP INDEX app.late'],
      [
        'a default',
        `ALTER TABLE app.child ALTER v SET DEFAULT 'b'`,
        `ALTER TABLE app.child ALTER v SET DEFAULT 'a'`,
      ],
      [
        'the name of a constraint',
        'ALTER TABLE app.child RENAME CONSTRAINT positive TO above',
        'ALTER TABLE app.child RENAME CONSTRAINT above TO positive',
      ],
      [
        'a trigger and its function',
        `CREATE FUNCTION fn.later() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER t AFTER INSERT ON app.child FOR EACH ROW EXECUTE FUNCTION fn.later()`,
        'DROP FUNCTION fn.later CASCADE',
      ],
      ['a type that it does not hold', `CREATE TYPE fn.late AS ENUM ('one')`, 'DROP TYPE fn.late'],
      [
        'a function that it does not ask',
        'CREATE FUNCTION fn.late() RETURNS int LANGUAGE sql AS $$SELECT 1$$',
        'DROP FUNCTION fn.late',
      ],
      ['a table beside it', 'CREATE TABLE fn.other (id int CHECK (id > 0))', 'DROP TABLE fn.other'],
      [
        'another partition',
        'CREATE TABLE fn.piece PARTITION OF app.whole FOR VALUES FROM (10) TO (20)',
        'DROP TABLE fn.piece',
      ],
      ['a row', 'INSERT INTO app.parent VALUES (1); ANALYZE app.parent', 'TRUNCATE app.parent CASCADE'],
    ].slice(0, isFull ? undefined : 3),
  )('not for %s', async (_, statement, undo) => {
    expect(await changedBy(statement, undo)).toEqual([])
  })
})

/** The tables of which it cannot be told after the statement, which is taken back. */
async function untold(statement: string, undo: string): Promise<string> {
  await database.admin.query(statement)
  const told = await requirements()
  await database.admin.query(undo)
  return all.filter((name) => !(name in told)).join(', ')
}

describe('what a table asks cannot be told', () => {
  it.each(
    [
      ['an index', 'CREATE INDEX late ON app.child (fn.same(up))', 'DROP INDEX app.late', 'app.child'],
      ['a check', add('CHECK (fn.same(id) > 0)'), dropped, 'app.child'],
      [
        'a generated column',
        'ALTER TABLE app.parent ADD g int GENERATED ALWAYS AS (fn.same(id)) STORED',
        'ALTER TABLE app.parent DROP g',
        'app.parent',
      ],
      [
        'its domain',
        'ALTER DOMAIN fn.small ADD CONSTRAINT late CHECK (fn.same(VALUE) > -100)',
        'ALTER DOMAIN fn.small DROP CONSTRAINT late',
        'app.child',
      ],
      [
        'a domain in an array in a composite type',
        `CREATE DOMAIN fn.deep AS int CHECK (fn.same(VALUE) > -100); CREATE TYPE fn.pair AS (one fn.deep[], other int); ALTER TABLE app.other ADD pair fn.pair`,
        'ALTER TABLE app.other DROP pair; DROP TYPE fn.pair; DROP DOMAIN fn.deep',
        'app.other',
      ],
    ].slice(0, isFull ? undefined : 2),
  )('while %s asks a function of the application', async (_, statement, undo, tables) => {
    expect(await untold(statement, undo)).toBe(tables)
  })

  it.each(
    [
      ['the time', add('CHECK (at > now())'), dropped, 'app.child'],
      ['the day', add(`CHECK (CURRENT_DATE > DATE '2000-01-01')`), dropped, 'app.child'],
      ['an age', add(`CHECK (age(at) > INTERVAL '-1 year')`), dropped, 'app.child'],
      ['a setting', add(`CHECK (current_setting('app.limit', true) IS NULL)`), dropped, 'app.child'],
      [
        'the time, in its domain,',
        'ALTER DOMAIN fn.small ADD CONSTRAINT late CHECK (VALUE < extract(epoch FROM clock_timestamp()))',
        'ALTER DOMAIN fn.small DROP CONSTRAINT late',
        'app.child',
      ],
      [
        'a time zone alone, which is always the same,',
        add(`CHECK (at + INTERVAL '1 day' > '2000-01-01' AND at::date > DATE '2000-01-01')`),
        dropped,
        '',
      ],
    ].slice(isFull ? 0 : -2),
  )('while a check asks %s of Postgres', async (_, statement, undo, tables) => {
    expect(await untold(statement, undo)).toBe(tables)
  })

  it('while a unique index is not valid, or the triggers of a key are switched off, on either side', async () => {
    const { admin } = database
    const told = async () => Object.keys(await requirements()).sort()
    const valid = (is: boolean) =>
      admin.query(`UPDATE pg_index SET indisvalid = ${is} WHERE indexrelid = 'app.child_pkey'::regclass`)
    await valid(false)
    expect(await told()).not.toContain('app.child')
    await valid(true)
    for (const table of ['app.child', 'app.parent']) {
      await admin.query(`ALTER TABLE ${table} DISABLE TRIGGER ALL`)
      expect(await told()).toEqual(all.filter((name) => name !== table))
      await admin.query(`ALTER TABLE ${table} ENABLE TRIGGER ALL`)
    }
    const triggers = await admin.query(`SELECT tgname FROM pg_trigger WHERE tgrelid = 'app.child'::regclass`)
    for (const { tgname } of triggers.rows)
      await admin.query(`ALTER TABLE app.child ENABLE REPLICA TRIGGER "${tgname}"`)
    expect(await told()).not.toContain('app.child')
    for (const { tgname } of triggers.rows)
      await admin.query(`ALTER TABLE app.child ENABLE TRIGGER "${tgname}"`)
    expect(await told()).toEqual(all)
  })
})
