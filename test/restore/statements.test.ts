import { randomUUID } from 'node:crypto'
import { beforeAll, expect, it } from 'vitest'
import { type Backup, readBackup } from '../../lib/backup/read.ts'
import { seal } from '../../lib/backup/seal.ts'
import type { Clients } from '../../lib/clients.ts'
import { exportDatabase } from '../../lib/database/export.ts'
import { compareBackup, loadBackup } from '../../lib/database/load-backup.ts'
import { reconcileBatches } from '../../lib/database/reconcile-batches.ts'
import { restoreDatabase } from '../../lib/database/restore.ts'
import { countAll } from '../../lib/run/count.ts'
import { type Plan, readPlan } from '../../lib/run/work.ts'
import { backUp, noProgress, planReset, useDatabase } from '../database/database-stack.ts'
import { dump } from './dump.ts'

const database = useDatabase()
let plan: Plan
let backup: Backup
let before: Record<string, unknown>
let changed: Record<string, unknown>

beforeAll(async () => {
  const { clients, sql, admin } = database
  await sql.query(`CREATE TABLE a (id serial PRIMARY KEY, b int, v text);
    CREATE TABLE b (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int REFERENCES a);
    ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE INITIALLY DEFERRED;
    COMMENT ON CONSTRAINT a_b_fkey ON a IS 'kept'; CREATE SEQUENCE alone START 7;
    CREATE TABLE parts (id int, a int REFERENCES a) PARTITION BY RANGE (id); CREATE TABLE low PARTITION OF parts DEFAULT;
    CREATE TABLE log (what text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.log VALUES (TG_OP); RETURN NULL; END $$;
    CREATE TRIGGER noted AFTER INSERT OR TRUNCATE ON a EXECUTE FUNCTION note(); ALTER TABLE a ENABLE ALWAYS TRIGGER noted;
    INSERT INTO a (v) SELECT g::text FROM generate_series(1, 20) g; INSERT INTO b (a) SELECT g FROM generate_series(1, 20) g;
    UPDATE a SET b = id; INSERT INTO parts SELECT g, g FROM generate_series(1, 5) g;
    SELECT setval('alone', 70, false)`)
  await sql.query('ALTER TABLE a ADD CONSTRAINT later CHECK (id > 1) NOT VALID')
  before = await dump(admin)
  const first = await planReset(clients)
  await backUp(clients, first)
  await sql.query(`DELETE FROM parts; UPDATE a SET b = NULL; DELETE FROM b; DELETE FROM a WHERE id > 10; INSERT INTO a (v) VALUES ('new'), ('newer');
    SELECT nextval('alone'), setval('b_id_seq', 900)`)
  plan = await planRestore(clients, first.backupId ?? '')
  backup = await readBackup(
    { s3: clients.s3, bucket: clients.config.BACKUP_BUCKET },
    clients.config.BACKUP_PREFIX,
    first.backupId ?? '',
  )
  for (const _ of [1, 2]) await loadBackup(clients, { plan, batch: 0 }, noProgress)
  await compareBackup(clients, plan)
  changed = await dump(admin)
}, 60_000)

/** The states "Count" to "Seal" of a restore. */
async function planRestore(clients: Clients, backupId: string): Promise<Plan> {
  const run = { runId: randomUUID(), attempt: 0 }
  await database.sql.query(`UPDATE taskmaster_reset.runs SET status = 'failed' WHERE status = 'running'`)
  const { ENVIRONMENT: confirm, DATABASE_SCHEMAS: schemas } = clients.config
  const request = { operation: 'restore', backupId, confirm, rehearse: false }
  await countAll(clients, { request, startedAt: new Date().toISOString(), ...run })
  const planned = await readPlan({ s3: clients.s3, bucket: clients.config.BACKUP_BUCKET }, run)
  await exportDatabase(clients, { run, backupId: planned.backupId ?? '', batch: 0, schemas }, noProgress)
  await seal(clients, planned, (tables, id) => reconcileBatches(clients, tables, id))
  return planned
}

/** Clients whose `at`-th statement fails, in place of being sent or after it was; `at` counts over all connections. */
function failing(at: number, when: 'before' | 'after', broken: { statement?: string }): Clients {
  let count = 0
  const connect = async () => {
    const connection = await database.clients.connect()
    const query = connection.query.bind(connection) as (...given: unknown[]) => Promise<unknown>
    Object.assign(connection, {
      query: async (...given: unknown[]) => {
        if (++count !== at) return query(...given)
        const [first] = given as [string | { text?: string }]
        broken.statement = typeof first === 'string' ? first : (first.text ?? '')
        if (when === 'after') await query(...given)
        throw new Error(`injected at statement ${at}`)
      },
    })
    return connection
  }
  return { ...database.clients, connect }
}

it('a failure at any statement of the restore leaves every row, sequence, constraint and trigger as it was', async () => {
  const seen: string[] = []
  for (let at = 1; ; at++) {
    const broken: { statement?: string } = {}
    const answer = await restoreDatabase(failing(at, 'before', broken), { plan, backup }).catch(
      (error) => error,
    )
    if (broken.statement === undefined) {
      expect(answer).toMatchObject({ tables: { 'public.a': 20, 'public.b': 20, 'public.low': 5 } })
      break
    }
    expect(answer).toBeInstanceOf(Error)
    seen.push(broken.statement)
    expect(await dump(database.admin), `after a failure at ${broken.statement}`).toEqual(changed)
  }
  for (const part of [
    'LOCK TABLE',
    'TRUNCATE',
    'INSERT INTO',
    'setval',
    'ADD CONSTRAINT',
    'ENABLE ALWAYS',
    'COMMIT',
  ])
    expect(
      seen.some((statement) => statement.includes(part)),
      part,
    ).toBe(true)
  expect(await dump(database.admin)).toEqual(before)
}, 60_000)

it('a repeat after the answer was lost gives the same answer, and changes nothing', async () => {
  const again = await planRestore(database.clients, backup.backupId)
  await loadBackup(database.clients, { plan: again, batch: 0 }, noProgress)
  for (let at = 1; ; at++) {
    const broken: { statement?: string } = {}
    const answer = restoreDatabase(failing(at, 'after', broken), { plan: again, backup })
    await answer.catch(() => {})
    expect(await dump(database.admin)).toMatchObject({
      'public.a': before['public.a'],
      constraints: before.constraints,
    })
    if (broken.statement === 'COMMIT') break
  }
  await database.sql.query(`INSERT INTO log VALUES ('since')`)
  const answer = await restoreDatabase(database.clients, { plan: again, backup })
  expect(answer.rows).toBe(45)
  const log = ['(since)', ...(before['public.log'] as string[])].sort()
  expect(await dump(database.admin)).toEqual({ ...before, 'public.log': log })
}, 60_000)
