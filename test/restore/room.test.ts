import { describe, expect, it } from 'vitest'
import type { BackedUpTable } from '../../lib/backup/sections/database.ts'
import { compareExported, loadExported } from '../../lib/database/load/rehearse.ts'
import { leastHeld } from '../../lib/database/locks/duration.ts'
import { bytesOfSetting, checkRoom } from '../../lib/database/plan/room.ts'
import { databaseOf } from '../../lib/run/planning/plan.ts'
import { backUp, noProgress, planReset, readBackup, useDatabase } from '../database/database-stack.ts'
import { dump } from './dump.ts'
import { planRestore } from './steps.ts'

const mb = 2 ** 20

describe("Neon's limit of a project", () => {
  it.each([
    ['512MB', 512 * mb],
    ['16TB', 2 ** 44],
    ['1GB', 2 ** 30],
    ['64', 64 * mb],
    ['-1', null],
    ['0', null],
    ['', null],
    ['plenty', null],
  ])('is read as the server writes it: %s', (setting, expected) => {
    expect(bytesOfSetting(setting)).toBe(expected)
  })

  it('refuses what has no room at least, warns of what may have none, and says the figures of both', () => {
    const parts = [{ bytes: 20 * mb, plain: 90 * mb }]
    const table = { rows: 0, columns: [], parts } as unknown as BackedUpTable
    const room = (left: number) => ({ limit: 512 * mb, used: (512 - left) * mb })
    expect(checkRoom([table], null)).toEqual([])
    expect(checkRoom([table], room(91))).toEqual([])
    expect(checkRoom([table], room(11))).toEqual([
      {
        code: 'MayRunOutOfRoom',
        message: expect.stringMatching(
          /10\.0 MiB to 90\.0 MiB of rows.* of the 512\.0 MiB .* 11\.0 MiB are left/,
        ),
      },
    ])
    expect(() => checkRoom([table], room(9))).toThrow(
      expect.objectContaining({
        name: 'LimitExceeded',
        message: expect.stringMatching(/512\.0 MiB .* 9\.0 MiB are left\. Nothing was touched; raise/),
      }),
    )
    expect(() => checkRoom([table], { limit: 512 * mb, used: 600 * mb })).toThrow(/ 0 B are left/)
  })
})

describe('where the project has no room left', () => {
  const database = useDatabase()
  async function limit(setting: string): Promise<void> {
    const named = await database.admin.query(
      `SELECT format('ALTER DATABASE %I SET "neon.max_cluster_size" = %L', current_database(), $1::text) AS text`,
      [setting],
    )
    await database.admin.query(named.rows[0].text)
  }

  it('what is said to be needed at least is no more than the rows take, also of many short columns', async () => {
    const { clients, sql } = database
    const kinds = {
      smallints: ['int2', '(random() * 30000)::int2'],
      bigints: ['int8', '(random() * 9e18)::int8'],
      flags: ['bool', 'CASE WHEN random() < 0.5 THEN true END'],
      lists: ['int2[]', 'ARRAY[(random() * 30000)::int2, (random() * 30000)::int2]'],
      texts: ['text', 'md5(random()::text)'],
    }
    for (const [name, [type, value]] of Object.entries(kinds))
      await sql.query(`CREATE TABLE ${name} (${Array.from({ length: 60 }, (_, column) => `c${column} ${type}`)});
        INSERT INTO ${name} SELECT ${Array(60).fill(value)} FROM generate_series(1, 500)`)
    const { backupId } = await backUp(clients, await planReset(clients))
    for (const table of (await readBackup(clients, backupId)).tables) {
      const found = await sql.query('SELECT pg_table_size($1::regclass)::int AS bytes', [table.name])
      expect(leastHeld([table]), table.name).toBeLessThan(found.rows[0].bytes)
    }
    await sql.query(`DROP TABLE ${Object.keys(kinds)}`)
  })

  /** Whatever table is made from now on in a scratch schema has to be one that Neon does not count. */
  async function refuseWhatCounts(): Promise<void> {
    await database.admin.query(`CREATE FUNCTION refuse_permanent() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() d JOIN pg_class c ON c.oid = d.objid
          JOIN pg_namespace n ON n.oid = c.relnamespace WHERE starts_with(n.nspname, 'taskmaster_scratch_') AND c.relpersistence <> 'u')
        THEN RAISE 'a scratch table counts'; END IF; END $$;
      CREATE EVENT TRIGGER refuse_permanent ON ddl_command_end EXECUTE FUNCTION refuse_permanent()`)
  }

  it('Count refuses a restore before anything is touched; a backup is made, and rehearsed in tables that do not count', async () => {
    const { clients, sql, admin } = database
    await sql.query(`CREATE DOMAIN word AS text; CREATE TABLE t (id int PRIMARY KEY, word word UNIQUE);
      INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 2000) g`)
    await refuseWhatCounts()
    await limit('1MB')
    const plan = await planReset(clients)
    await backUp(clients, plan)
    const exported = databaseOf(plan)
    await loadExported(clients, { ...exported, batch: 0 }, noProgress)
    await compareExported(clients, { ...exported, wipes: false })

    const before = await dump(admin)
    await expect(planRestore(clients, plan.backupId)).rejects.toMatchObject({
      name: 'LimitExceeded',
      message: expect.stringMatching(/of rows.*of the 1\.0 MiB.*0 B are left/),
    })
    expect(await dump(admin)).toEqual(before)
    await limit('1TB')
    await expect(planRestore(clients, plan.backupId)).resolves.toMatchObject({ backupId: expect.any(String) })
  })
})
