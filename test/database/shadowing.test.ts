import { expect, it } from 'vitest'
import type { DatabaseSection } from '../../lib/backup/sections/database.ts'
import { diffDatabase } from '../../lib/database/difference/difference.ts'
import { noProgress, useDatabase } from './database-stack.ts'
import { backedUpLines, backUpNight, liveLines } from './nights.ts'

const database = useDatabase()

/** Functions of Postgres, each once more in the application's schema, where it is found first, and fails. */
const shadows = [
  ['octet_length(text)', 'int'],
  ['octet_length(bytea)', 'int'],
  ['substr(bytea, int, int)', 'bytea'],
  ['substr(text, int, int)', 'text'],
  ['length(bytea)', 'int'],
  ['encode(bytea, text)', 'text'],
  ['convert_to(text, name)', 'bytea'],
  ['array_position(anycompatiblearray, anycompatible)', 'int'],
  ['generate_series(int, int)', 'SETOF int'],
  ['unnest(anyarray)', 'SETOF anyelement'],
  ['pg_relation_size(regclass)', 'bigint'],
  ['pg_table_size(regclass)', 'bigint'],
  ['current_setting(text)', 'text'],
  ['int8send(bigint)', 'bytea'],
  ['get_byte(bytea, int)', 'int'],
]

it('takes no function of the application for one of Postgres, wherever pg_catalog stands in the search path', async () => {
  const { sql, admin, clients } = database
  const url = clients.config.DATABASE_URL
  for (const [signature, result] of shadows)
    await sql.query(
      `CREATE FUNCTION public.${signature} RETURNS ${result} LANGUAGE plpgsql AS 'BEGIN RAISE ''not this one''; END'`,
    )
  await sql.query(`CREATE AGGREGATE public.count(*) (sfunc = int8inc, stype = bigint, initcond = '7');
    CREATE AGGREGATE public.sum(bigint) (sfunc = int8larger, stype = bigint); CREATE AGGREGATE public.sum(numeric) (sfunc = numeric_larger, stype = numeric);
    CREATE TABLE many (id int PRIMARY KEY, note text);
    INSERT INTO many SELECT g, CASE WHEN g = 50 THEN repeat('long', 800000) WHEN g % 400 = 0 THEN repeat(md5(g::text), 1200) ELSE md5(g::text) END FROM pg_catalog.generate_series(1, 9000) AS g`)
  await admin.query(`ALTER DATABASE "${new URL(url).pathname.slice(1)}" SET search_path = public, pg_catalog`)
  const backUp = (day: number) =>
    backUpNight(
      { ...clients, now: () => new Date(Date.UTC(2026, 0, day)) },
      { pagesPerShard: 32, rehearse: true },
    )
  const first = await backUp(1)
  await sql.query(`UPDATE many SET note = 'other' WHERE id < 20`)
  const found = await diffDatabase(clients, first.database as DatabaseSection, noProgress)
  expect(found.tables).toMatchObject([{ name: 'public.many', extra: 0, missing: 0, changed: 19 }])
  const { database: held } = await backUp(2)
  expect(held?.takenOver?.rows).toBeGreaterThan(3000)
  const tables = held?.tables ?? []
  expect(await backedUpLines(clients, tables)).toEqual(await liveLines(url, tables))
})
