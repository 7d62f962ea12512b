import { beforeAll, expect, it } from 'vitest'
import type { Clients } from '../../lib/clients.ts'
import { countTables } from '../../lib/database/plan/rows/count.ts'
import { estimateTables } from '../../lib/database/plan/rows/estimate.ts'
import { DatabaseBusy, InvalidConfiguration, NotPermitted } from '../../lib/errors.ts'
import { configured, session, useDatabase } from './database-stack.ts'

const database = useDatabase()
let clients: Clients

beforeAll(async () => {
  clients = configured(database.clients, { LOCK_TIMEOUT_MS: 200 })
  await database.sql.query(`CREATE SCHEMA app; CREATE TABLE app.people (id int, name text);
    INSERT INTO app.people SELECT g, CASE WHEN g <= 3 THEN 'admin' END FROM generate_series(1, 70) g;
    CREATE TABLE app.child () INHERITS (app.people); INSERT INTO app.child VALUES (1)`)
})

const table = (name: string, keepRows: string | null = null) => ({
  ...{ name: `app.${name}`, schema: 'app', table: name, keepRows },
})

it('rows are counted exactly, without those of child tables', async () => {
  const counts = await countTables(clients, [table('people'), table('child')])
  expect(Object.fromEntries(counts)).toEqual({
    'app.people': { rows: 70, keptRows: 0 },
    'app.child': { rows: 1, keptRows: 0 },
  })
})

it('rows are counted in any number of tables', async () => {
  const names = Array.from({ length: 120 }, (_, index) => `many_${index}`)
  await database.sql.query(
    names.map((name, rows) => `CREATE TABLE app.${name} AS SELECT generate_series(1, ${rows})`).join(';'),
  )
  const counts = await countTables(
    clients,
    names.map((name) => table(name)),
  )
  expect(names.map((name) => counts.get(`app.${name}`)?.rows)).toEqual(names.map((_, rows) => rows))
})

it('kept rows are those that match the condition; NULL is no match', async () => {
  const counts = await countTables(clients, [table('people', `name = 'admin' OR people.id = 70`)])
  expect(counts.get('app.people')).toEqual({ rows: 70, keptRows: 4 })
})

it.each([
  ['is no SQL', 'name ==== 1'],
  ['is no boolean', 'id'],
  ['names a column that is not there', "role = 'admin'"],
  ['names a table without its schema', 'id IN (SELECT id FROM child)'],
  ['fails on some rows only', '1 / (id - 50) = 1'],
  ['fails on a value', "name::int > 0 OR name = 'x'"],
  ['ends in a comment', 'id = 1 -- the first'],
  ['writes', "nextval('app.counter') > 0"],
  ['is an aggregate', 'count(*) > 1'],
])('a condition that %s is refused, with its table and what Postgres says', async (_, condition) => {
  await database.sql.query('CREATE SEQUENCE IF NOT EXISTS app.counter')
  const counting = countTables(clients, [table('child'), table('people', condition)])
  await expect(counting).rejects.toThrow(InvalidConfiguration)
  await expect(counting).rejects.toThrow(`PRESERVE_ROWS has the condition "${condition}" for app.people`)
})

it('a table that somebody has locked, or that may not be read, is an error that says so', async () => {
  const other = await session(database, 'migration')
  await other.query('BEGIN; LOCK TABLE app.people')
  await expect(countTables(clients, [table('people')])).rejects.toThrow(DatabaseBusy)
  await expect(countTables(clients, [table('people', 'true')])).rejects.toThrow(DatabaseBusy)
  await other.end()
  await database.admin.query('CREATE TABLE app.secret (id int)')
  await expect(countTables(clients, [table('secret')])).rejects.toThrow(NotPermitted)
})

it('what is estimated is refused as what is counted is: a condition that is none, and a table that may not be read', async () => {
  const estimate = (one: ReturnType<typeof table>) =>
    estimateTables(clients, [{ ...one, bytes: 1 }], { bytes: 0, milliseconds: 30_000 })
  expect((await estimate(table('people', 'id < 0'))).get('app.people')).toMatchObject({ estimated: true })
  const wrong = estimate(table('people', 'nothing = 1'))
  await expect(wrong).rejects.toThrow(InvalidConfiguration)
  await expect(wrong).rejects.toThrow('PRESERVE_ROWS has the condition "nothing = 1" for app.people')
  await database.admin.query('CREATE TABLE IF NOT EXISTS app.secret (id int)')
  await expect(estimate(table('secret'))).rejects.toThrow(NotPermitted)
})
