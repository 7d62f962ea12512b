import { expect, it } from 'vitest'
import { planReset, useDatabase } from '../database/database-stack.ts'
import { backUpNight, restoreNight } from '../database/nights.ts'
import { skipBefore } from '../support/server-version.ts'
import { planRestore } from './steps.ts'

const database = useDatabase()

/** Each with a key; of the first alone single rows may be deleted. */
const tables = ['plain', 'filtered', 'listed', 'deferred', 'kept_from', 'part_low']

it('fills tables anew of which Postgres would not delete single rows', async (context) => {
  skipBefore(15, 'publications with conditions and lists of columns', context)
  const { sql, admin, clients } = database
  for (const name of tables.slice(0, -1)) {
    const key = name === 'deferred' ? 'PRIMARY KEY DEFERRABLE' : 'PRIMARY KEY'
    await sql.query(`CREATE TABLE ${name} (id int ${key}, n int, note text)`)
  }
  await sql.query(`CREATE TABLE part (id int PRIMARY KEY, n int, note text) PARTITION BY RANGE (id);
    CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (0) TO (9000);
    CREATE PUBLICATION filters FOR TABLE filtered WHERE (n > 5), part WHERE (n > 5) WITH (publish_via_partition_root);
    CREATE PUBLICATION lists FOR TABLE listed (id, n); ALTER TABLE listed REPLICA IDENTITY FULL`)
  const fill = (name: string, from: number, to: number) =>
    sql.query(`INSERT INTO ${name} SELECT g, g, md5(g::text) FROM generate_series(${from}, ${to}) g`)
  for (const name of tables) await fill(name, 1, 2000)
  await admin.query(
    `CREATE PUBLICATION every FOR ALL TABLES; REVOKE DELETE ON kept_from FROM "${new URL(clients.config.DATABASE_URL).username}"`,
  )
  const { backupId } = await backUpNight(clients, { pagesPerShard: 64, rehearse: false })
  for (const name of tables) await fill(name, 2001, 2010)
  const before = await filesOf()
  await restoreNight(clients, backupId)
  for (const name of tables) {
    const { rows } = await sql.query(
      `SELECT count(*)::int AS rows, max(id) AS last FROM ${name} WHERE note = md5(id::text)`,
    )
    expect(rows, name).toEqual([{ rows: 2000, last: 2000 }])
  }
  const after = await filesOf()
  expect(tables.filter((name) => after.get(name) === before.get(name))).toEqual(['plain'])
})

it('restores nothing where code of the application writes into tables of which few rows or none differ, of which it warns beforehand', async () => {
  const { sql, admin, clients } = database
  await sql.query(`CREATE TABLE noted (id int PRIMARY KEY CHECK (id > 0), note text); INSERT INTO noted SELECT g FROM generate_series(1, 2000) g;
    CREATE TABLE aside (id int PRIMARY KEY, note text); INSERT INTO aside VALUES (1, 'y')`)
  const { backupId } = await backUpNight(clients, { pagesPerShard: 64, rehearse: false })
  await sql.query(`UPDATE noted SET note = 'y' WHERE id = 5`)
  const write = (when: string, what: string) =>
    admin.query(`CREATE OR REPLACE FUNCTION public.write() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
      IF current_query() LIKE '%${when}%' THEN UPDATE public.${what}; END IF; END $$`)
  await write('', `aside SET note = note || 'x'`)
  await admin.query(
    `CREATE EVENT TRIGGER writing ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION public.write()`,
  )
  try {
    const message = expect.stringContaining('the event triggers writing write into public.aside')
    for (const { warnings } of [await planReset(clients), await planRestore(clients, backupId)])
      expect(warnings).toContainEqual({ code: 'NotRestorable', message })
    for (const what of [`noted SET note = 'x' WHERE id = 1200`, `aside SET note = 'x'`]) {
      await write('VALIDATE', what)
      const refusal = new RegExp(
        `what came out is not what went in: public\\.${what.split(' ')[0]} has its .* Keep it from that, `,
      )
      await expect(restoreNight(clients, backupId)).rejects.toThrow(refusal)
    }
  } finally {
    await admin.query('DROP EVENT TRIGGER writing; DROP FUNCTION public.write()')
  }
  const changed = await sql.query(
    `SELECT (SELECT array_agg(id) FROM noted WHERE note IS NOT NULL) AS noted, (SELECT note FROM aside) AS aside`,
  )
  expect(changed.rows).toEqual([{ noted: [5], aside: 'y' }])
})

/** TRUNCATE gives a table another file. */
async function filesOf(): Promise<Map<string, number>> {
  const found = await database.sql.query(
    'SELECT relname AS name, relfilenode::int8::float8 AS file FROM pg_class WHERE relname = ANY($1)',
    [tables],
  )
  return new Map(found.rows.map(({ name, file }) => [name, file]))
}
