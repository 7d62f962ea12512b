import { beforeAll, expect, it } from 'vitest'
import type { Backup } from '../../lib/backup/read.ts'
import type { Clients } from '../../lib/clients.ts'
import { compareBackup } from '../../lib/database/load/rehearse.ts'
import { restoreDatabase } from '../../lib/database/restore/restore.ts'
import { dropScratch } from '../../lib/database/scratch/drop.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { databaseOf, type Plan, plannedRun, restoredBy } from '../../lib/run/planning/plan.ts'
import { backUp, planReset, useDatabase } from '../database/database-stack.ts'
import { inFullForm, isFull, tried } from '../support/trust.ts'
import { dump } from './dump.ts'
import { load, planRestore, readBackupOf } from './steps.ts'

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
  // So large that its index is made anew, and of the other that the few rows which differ are exchanged: rows are looked at
  // after every statement.
  if (isFull)
    await sql.query(`CREATE TABLE large AS SELECT g AS id, g % 7 AS v FROM generate_series(1, 10000) g;
      CREATE INDEX large_v ON large (v); COMMENT ON INDEX large_v IS 'kept';
      CREATE TABLE few AS SELECT g AS id FROM generate_series(1, 2000) g`)
  before = await dump(admin)
  const first = await planReset(clients)
  await backUp(clients, first)
  await sql.query(`DELETE FROM parts; UPDATE a SET b = NULL WHERE id > 1; DELETE FROM b WHERE id > 1; DELETE FROM a WHERE id > 10; INSERT INTO a (v) VALUES ('new'), ('newer'); ${isFull ? 'DELETE FROM large WHERE id > 5000; DELETE FROM few WHERE id > 1990; INSERT INTO few VALUES (0);' : ''}
    SELECT nextval('alone'), setval('b_id_seq', 900)`)
  plan = await planRestore(clients, first.backupId)
  backup = await readBackupOf(clients, first)
  for (const _ of [1, 2]) await load(clients, plan)
  await compareBackup(clients, { run: plannedRun(plan), ...restoredBy(plan) })
  changed = await dump(admin)
})

/** What the short form breaks: statements that change something, or lock it. */
const breaking = /LOCK TABLE|TRUNCATE|INSERT INTO|setval|ADD CONSTRAINT|ENABLE ALWAYS|COMMIT/

/** What a statement does, by its first keywords: of those the short form breaks the first of each kind, and what follows COMMIT. */
function kindOf(statement: string): string {
  return (statement.match(/\b[A-Z]{2,}\b/g) ?? [statement]).slice(0, 5).join(' ')
}

/**
 * Clients whose `at`-th statement fails, in place of being sent or after it was; `at` counts over all connections, in the
 * short form the first statements of each kind that it breaks.
 */
function failing(at: number, when: 'before' | 'after', broken: { statement?: string }): Clients {
  let count = 0
  const kinds = new Set<string>()
  const counts = (statement: string) => {
    // Said and asked on a line of its own, which opens another when it breaks.
    if (statement.includes('"waiting"') || statement.includes('pg_namespace WHERE nspname = ANY'))
      return false
    if (!isFull && !kinds.has('COMMIT') && !breaking.test(statement)) return false
    const isNew = !kinds.has(kindOf(statement))
    kinds.add(kindOf(statement))
    return isFull || isNew || kinds.has('COMMIT')
  }
  const connect = async () => {
    const connection = await database.clients.connect()
    const query = connection.query.bind(connection) as (...given: unknown[]) => unknown
    const breakAt = async (statement: string, given: unknown[]) => {
      broken.statement = statement
      if (when === 'after') await query(...given)
      throw new Error(`injected at statement ${at}`)
    }
    Object.assign(connection, {
      // A stream of COPY is given back as it is, and not a promise of it.
      query: (...given: unknown[]) => {
        const [first] = given as [string | { text?: string }]
        const statement = typeof first === 'string' ? first : (first.text ?? '')
        if (statement === '' || !counts(statement) || ++count !== at) return query(...given)
        return breakAt(statement, given)
      },
    })
    return connection
  }
  return { ...database.clients, connect }
}

/** The index that is made anew has another number. */
async function dumpOfRestored(): Promise<Record<string, unknown>> {
  const { tables, ...others } = await dump(database.admin)
  return { ...others, tables: unnumbered(tables) }
}

function unnumbered(tables: unknown): string[] {
  return (tables as string[]).map((line) => line.replace(/^[0-9]+ (?=public\.large_v )/, '')).sort()
}

/** What the state "Finish" does in the database. */
const finish = (runId: string) =>
  withConnection(database.clients, (connection) => dropScratch(connection, runId))

it('a failure at any statement of the restore leaves every row, sequence, constraint and trigger as it was', async () => {
  const seen: string[] = []
  for (let at = 1; ; at++) {
    const broken: { statement?: string } = {}
    const answer = await restoreDatabase(failing(at, 'before', broken), {
      ...databaseOf(plan),
      backup,
    }).catch((error) => error)
    if (broken.statement === undefined || seen.at(-1) === 'COMMIT') {
      // What comes after it cannot undo it, nor make the step fail.
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
    ...(isFull ? ['DROP INDEX', 'CREATE INDEX', 'DELETE FROM'] : []),
    'ADD CONSTRAINT',
    'ENABLE ALWAYS',
    'COMMIT',
  ])
    expect(
      seen.some((statement) => statement.includes(part)),
      part,
    ).toBe(true)
  tried('a failure at any statement of a restore', { statements: seen.length })
  await finish(plan.runId)
  expect(await dumpOfRestored()).toEqual({ ...before, tables: unnumbered(before.tables) })
}, 1_200_000)

it.runIf(isFull)(
  `a repeat after the answer was lost gives the same answer, and changes nothing ${inFullForm}`,
  async () => {
    const again = await planRestore(database.clients, backup.backupId)
    await load(database.clients, again)
    for (let at = 1; ; at++) {
      const broken: { statement?: string } = {}
      const answer = restoreDatabase(failing(at, 'after', broken), { ...databaseOf(again), backup })
      await answer.catch(() => {})
      expect(broken.statement, 'the restore came past what was to break').toBeDefined()
      expect(await dump(database.admin)).toMatchObject({
        'public.a': before['public.a'],
        constraints: before.constraints,
      })
      if (broken.statement === 'COMMIT') break
    }
    await database.sql.query(`INSERT INTO log VALUES ('since')`)
    const answer = await restoreDatabase(database.clients, { ...databaseOf(again), backup })
    expect(answer.rows).toBe(12_046)
    await finish(again.runId)
    const log = ['(since)', ...(before['public.log'] as string[])].sort()
    expect(await dumpOfRestored()).toEqual({
      ...before,
      'public.log': log,
      tables: unnumbered(before.tables),
    })
  },
)
