import { expect, it } from 'vitest'
import { useDatabase } from '../database/database-stack.ts'
import { backUpNight, restoreNight } from '../database/nights.ts'

const database = useDatabase()

/** Each with a key; of the first alone single rows may be deleted. */
const tables = ['plain', 'filtered', 'listed', 'deferred', 'kept_from', 'part_low']

it('fills tables anew of which Postgres would not delete single rows', async () => {
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

/** TRUNCATE gives a table another file. */
async function filesOf(): Promise<Map<string, number>> {
  const found = await database.sql.query(
    'SELECT relname AS name, relfilenode::int8::float8 AS file FROM pg_class WHERE relname = ANY($1)',
    [tables],
  )
  return new Map(found.rows.map(({ name, file }) => [name, file]))
}
