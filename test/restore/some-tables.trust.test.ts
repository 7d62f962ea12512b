import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readBackup as readWholeBackup } from '../../lib/backup/read.ts'
import type { Clients } from '../../lib/clients.ts'
import { diffDatabase } from '../../lib/database/difference/difference.ts'
import { readRestored } from '../../lib/database/load/sources.ts'
import { keysToCount } from '../../lib/database/plan/actions/keys-to-count.ts'
import { leaveOut } from '../../lib/database/plan/exclusions.ts'
import { restoreDatabase } from '../../lib/database/restore/restore.ts'
import type { BrokenKey } from '../../lib/database/schema/difference.ts'
import { ParentsMissing, PreservationConflict } from '../../lib/errors.ts'
import { databaseOf, type Plan, restoredBy, stayingBy } from '../../lib/run/planning/plan.ts'
import {
  backUp,
  configured,
  linesOf,
  noProgress,
  planReset,
  readBackup,
  session,
  useDatabase,
} from '../database/database-stack.ts'
import {
  dropSql,
  type Graph,
  graphs,
  managed,
  planName,
  relationsOf,
  sqlName,
  sqlOf,
} from '../database/random-graphs.ts'
import { postgresMajor } from '../support/server-version.ts'
import { inFullForm, isFull, tried } from '../support/trust.ts'
import { dump } from './dump.ts'
import { load, planRestore } from './steps.ts'

const database = useDatabase()

/** A restore of some tables from Count to its COMMIT, or a reset to the backup that preserves some; without a safety backup. */
async function restoreSome(
  clients: Clients,
  backupId: string | null,
  asked: { tables: string[]; includeParents?: boolean } | { preserve: { tables: string[] } },
  foretold: (broken: BrokenKey[]) => void = () => {},
) {
  const plan = await planRestore(clients, backupId, { ...asked, safetyBackup: false })
  foretold(await foretell(clients, plan))
  await load(clients, plan)
  const backup = await readRestored(clients, restoredBy(plan))
  return restoreDatabase(clients, { ...databaseOf(plan), backup, staying: stayingBy(plan) })
}

/** What a dry run counts of the keys that would not hold. */
async function foretell(clients: Clients, plan: Plan): Promise<BrokenKey[]> {
  const { names } = stayingBy(plan) ?? { names: [] }
  const whole = await readWholeBackup(
    clients.backups,
    clients.config.BACKUP_PREFIX,
    restoredBy(plan).backupId,
  )
  const { database: held } = leaveOut(whole, names)
  const asked = { ...held!, untold: names, keysToCount }
  return (await diffDatabase(clients, asked, noProgress)).broken ?? []
}

async function backUpAll(clients: Clients): Promise<string | null> {
  const plan = await planReset(clients)
  await backUp(clients, plan)
  return plan.backupId
}

function allManaged(graph: Graph): Graph {
  const nodes = graph.nodes.map((one) => (one.schema === 'outside' ? { ...one, schema: managed[0] } : one))
  return { ...graph, nodes: nodes as Graph['nodes'] }
}

/** The same tables with other rows. */
function changed({ nodes, links, ...rest }: Graph, draw: (most: number) => number): Graph {
  const others = nodes.map((one) => ({ ...one, rows: draw(5) }))
  const refer = (to: number) => [1, 2, 3, 4, 5].map(() => draw(others[to]!.rows))
  return { ...rest, nodes: others, links: links.map((one) => ({ ...one, refs: refer(one.to) })) }
}

/** Gives the tables of a graph the rows that it says, in place of those that they have. */
function refill({ nodes, links }: Graph): string {
  return [
    `TRUNCATE ${nodes.map(sqlName)} RESTART IDENTITY CASCADE`,
    ...nodes.map((one) => `INSERT INTO ${sqlName(one)} SELECT FROM generate_series(1, ${one.rows})`),
    ...links.flatMap(({ from, refs }, at) =>
      refs
        .slice(0, nodes[from]!.rows)
        .map(
          (ref, row) => `UPDATE ${sqlName(nodes[from]!)} SET l${at} = ${ref || 'NULL'} WHERE id = ${row + 1}`,
        ),
    ),
  ].join(';\n')
}

describe('a restore of some tables', () => {
  it('puts these back and leaves the others, with their sequences; rows that would lose or lack a parent end it with nothing changed', async () => {
    const { clients, sql, admin } = database
    await sql.query(`CREATE TABLE users (id serial PRIMARY KEY, name text); CREATE TABLE posts (id serial PRIMARY KEY, author int REFERENCES users ON DELETE CASCADE);
      CREATE TABLE likes (post int REFERENCES posts) PARTITION BY LIST (post); CREATE TABLE likes_1 PARTITION OF likes FOR VALUES IN (1); CREATE TABLE likes_more PARTITION OF likes DEFAULT;
      INSERT INTO users (name) SELECT 'u' || g FROM generate_series(1, 3) g; INSERT INTO posts (author) VALUES (1), (2), (3); INSERT INTO likes VALUES (1), (3)`)
    const backupId = await backUpAll(clients)
    await sql.query(`UPDATE users SET name = 'changed'; INSERT INTO users (name) VALUES ('new'); UPDATE posts SET author = 1; INSERT INTO posts (author) VALUES (2);
      DELETE FROM likes; DELETE FROM users WHERE id = 3`)
    const before = await dump(admin)
    const told: BrokenKey[][] = []
    const note = (broken: BrokenKey[]) => told.push(broken)
    await expect(restoreSome(clients, backupId, { tables: ['posts'] }, note)).rejects.toThrow(
      expect.objectContaining({
        name: 'ParentsMissing',
        message: expect.stringMatching(
          /^1 row of public\.posts that is to be put back refers to rows of public\.users \(posts_author_fkey\).*"includeParents"/,
        ),
      }),
    )
    const { scratch: _, ...changed } = await dump(admin)
    expect(changed).toEqual({ ...before, scratch: undefined })

    const restored = await restoreSome(clients, backupId, { tables: ['public.posts'], includeParents: true })
    expect(restored).toMatchObject({ tables: { 'public.users': 3, 'public.posts': 3 }, warnings: [] })
    const after = await dump(admin)
    expect(after).toMatchObject({
      'public.users': ['(1,u1)', '(2,u2)', '(3,u3)'],
      'public.posts': ['(1,1)', '(2,2)', '(3,3)'],
      'public.likes_1': [],
      'public.users_id_seq': ['3 true'],
    })

    await sql.query('INSERT INTO posts VALUES (9, 1); INSERT INTO likes VALUES (9)')
    await expect(restoreSome(clients, backupId, { tables: ['posts'] }, note)).rejects.toThrow(
      expect.objectContaining({
        name: 'PreservationConflict',
        // Before version 18 a key of a partitioned table cannot be there, NOT VALID, to count what breaks it.
        message: expect.stringMatching(
          postgresMajor >= 18
            ? /^1 row of public\.likes, which stays as it is, refers to rows of public\.posts/
            : /^Rows of public\.likes, which stays as it is, refer to rows of public\.posts/,
        ),
      }),
    )
    const key = { coming: 0, staying: 0, later: false }
    expect(told).toEqual([
      [{ ...key, name: 'posts_author_fkey', from: 'public.posts', to: 'public.users', coming: 1 }],
      [{ ...key, name: 'likes_post_fkey', from: 'public.likes', to: 'public.posts', staying: 1 }],
    ])
    expect((await dump(admin))['public.likes_more']).toEqual(['(9)'])
    await restoreSome(clients, backupId, { tables: ['posts', 'likes'] })
    expect(await dump(admin)).toMatchObject({ 'public.likes_1': ['(1)'], 'public.likes_more': ['(3)'] })
  })

  it.runIf(isFull)(
    `counts rows that are half empty by a later key that is MATCH FULL, and the restore refuses as many ${inFullForm}`,
    async () => {
      const { clients, sql } = database
      await sql.query(`CREATE TABLE pairs (a int, b int, PRIMARY KEY (a, b)); CREATE TABLE refers (id int PRIMARY KEY, a int, b int);
        INSERT INTO pairs VALUES (1, 1); INSERT INTO refers VALUES (1, 1, 1), (2, 1, NULL), (3, NULL, 1), (4, NULL, NULL), (5, 2, 2)`)
      const backupId = await backUpAll(clients)
      await sql.query(
        'DELETE FROM refers; ALTER TABLE refers ADD FOREIGN KEY (a, b) REFERENCES pairs MATCH FULL',
      )
      const told: BrokenKey[][] = []
      await expect(
        restoreSome(clients, backupId, { tables: ['refers'] }, (broken) => told.push(broken)),
      ).rejects.toThrow(/^3 rows of public\.refers that are to be put back refer to rows of public\.pairs/)
      expect(told).toMatchObject([[{ name: 'refers_a_b_fkey', coming: 3, staying: 0 }]])
      await sql.query('DROP TABLE refers, pairs')
    },
  )

  it('locks these, and what their foreign keys lead to or shares a domain that is validated: who writes elsewhere goes on, and the safety backup holds what was there when it locked', async () => {
    const { clients, sql } = database
    await sql.query(`CREATE FUNCTION fine(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END'; CREATE DOMAIN number AS int CHECK (fine(VALUE)); CREATE DOMAIN less AS number;
      CREATE TABLE up (id int PRIMARY KEY); CREATE TABLE mid (id int PRIMARY KEY, up number REFERENCES up); CREATE TABLE down (mid int REFERENCES mid);
      CREATE TABLE alike (n less); CREATE TABLE elsewhere (id int); CREATE TABLE far (id int) PARTITION BY LIST (id); CREATE TABLE far_1 PARTITION OF far DEFAULT;
      INSERT INTO up VALUES (1); INSERT INTO mid VALUES (1, 1); INSERT INTO elsewhere VALUES (1)`)
    const backupId = await backUpAll(clients)
    await sql.query('INSERT INTO mid VALUES (2, 1)')
    const plan = await planRestore(clients, backupId, { tables: ['mid'] })
    await load(clients, plan)
    await sql.query('INSERT INTO mid VALUES (3, 1); INSERT INTO elsewhere VALUES (2)')
    await sql.query(`CREATE FUNCTION waits() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
        WHILE NOT pg_try_advisory_xact_lock(7) LOOP PERFORM pg_sleep(0.01); END LOOP; RETURN true; END $$;
      ALTER TABLE mid ADD CHECK (waits()); SELECT pg_advisory_lock(7)`)
    const backup = await readRestored(clients, restoredBy(plan))
    const { backupId: safety } = plan
    const restoring = restoreDatabase(clients, {
      ...{ ...databaseOf(plan), backup, backupId: safety, staying: stayingBy(plan) },
    })
    const writer = await session(database, 'an application')
    const canRead = async (table: string) =>
      writer
        .query(`SET lock_timeout = '20ms'; SELECT FROM ${table}`)
        .then(() => true)
        .catch((error) => error.code !== '55P03')
    await expect.poll(() => canRead('mid')).toBe(false)
    // The snapshot is taken when all locks are there, and that of mid may be long before: what waits has its snapshot.
    const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`
    await expect.poll(async () => (await sql.query(waiting)).rows).not.toEqual([])
    await writer.query(
      `SET lock_timeout = '5s'; INSERT INTO elsewhere VALUES (3); INSERT INTO far VALUES (1)`,
    )
    for (const table of ['up', 'down', 'alike']) expect(await canRead(table), table).toBe(false)
    await expect(writer.query(`SET lock_timeout = '20ms'; TRUNCATE elsewhere`)).rejects.toThrow(
      /lock timeout/,
    )
    await sql.query('SELECT pg_advisory_unlock(7)')
    expect(await restoring).toMatchObject({ tables: { 'public.mid': 1 }, warnings: [] })
    expect(await rowsOf(['public.mid', 'public.elsewhere', 'public.far_1'])).toEqual({
      ...{ 'public.mid': ['(1,1)'], 'public.elsewhere': ['(1)', '(2)', '(3)'], 'public.far_1': ['(1)'] },
    })
    const { tables } = await readBackup(clients, safety!)
    const heldOf = async (name: string) =>
      await linesOf(
        clients,
        tables.find((one) => one.name === name),
      )
    expect(await heldOf('public.mid')).toEqual([1, 2, 3].map((id) => `{"id":${id},"up":"1"}`))
    expect(await heldOf('public.elsewhere')).toEqual(['{"id":1}', '{"id":2}'])
    await sql.query(
      'DROP TABLE up, mid, down, alike, elsewhere, far; DROP DOMAIN number CASCADE; DROP FUNCTION waits, fine',
    )
  })

  it.runIf(isFull)(
    `names sequences that it leaves behind numbers which come back, because other tables use them, too ${inFullForm}`,
    async () => {
      const { clients, sql } = database
      await sql.query(`CREATE SEQUENCE shared; CREATE TABLE a (id int DEFAULT nextval('shared')); CREATE TABLE b (id int DEFAULT nextval('shared'));
        INSERT INTO a SELECT FROM generate_series(1, 5); INSERT INTO b SELECT FROM generate_series(1, 5)`)
      const backupId = await backUpAll(clients)
      const behind = async (tables: string[]) => {
        const { warnings } = await planRestore(clients, backupId, { tables, safetyBackup: false })
        return warnings.flatMap(({ code, message }) => (code === 'SequencesBehind' ? message : []))
      }
      expect(await behind(['a'])).toEqual([])
      await sql.query(`TRUNCATE a, b; SELECT setval('shared', 3)`)
      expect(await behind(['a'])).toEqual([
        expect.stringContaining('public.shared (at 3, in the backup at 10)'),
      ])
      expect(await behind(['a', 'b'])).toEqual([])
      await sql.query(`SELECT setval('shared', 10, false)`)
      expect(await behind(['a'])).toHaveLength(1)
    },
  )

  it.runIf(isFull)(`names sequences that count down in their direction ${inFullForm}`, async () => {
    const { clients, sql } = database
    await sql.query(`CREATE SEQUENCE falling INCREMENT -2; CREATE TABLE falls (id int DEFAULT nextval('falling')); CREATE TABLE other (id int DEFAULT nextval('falling'));
      INSERT INTO falls SELECT FROM generate_series(1, 5); INSERT INTO other SELECT FROM generate_series(1, 5)`)
    const backupId = await backUpAll(clients)
    const codes = async () => {
      const { warnings } = await planRestore(clients, backupId, { tables: ['falls'], safetyBackup: false })
      return warnings.map(({ code }) => code)
    }
    await sql.query('INSERT INTO other DEFAULT VALUES')
    expect(await codes()).not.toContain('SequencesBehind')
    await sql.query(`SELECT setval('falling', -1)`)
    expect(await codes()).toContain('SequencesBehind')
    await sql.query('DROP TABLE falls, other; DROP SEQUENCE falling')
  })

  it.runIf(isFull)(
    `and one of all tables leave alone what is excluded by now, though the backup holds it, and say so ${inFullForm}`,
    async () => {
      const { clients, sql, admin } = database
      await sql.query(
        'CREATE TABLE shut (id serial PRIMARY KEY); CREATE TABLE open (id int REFERENCES shut); INSERT INTO shut DEFAULT VALUES; INSERT INTO open VALUES (1)',
      )
      const backupId = await backUpAll(clients)
      await sql.query('INSERT INTO shut DEFAULT VALUES; UPDATE open SET id = 2')
      const excluding = configured(clients, { EXCLUDE_TABLES: ['shut'] })
      const plan = await planRestore(excluding, backupId)
      expect(plan.warnings).toContainEqual({
        code: 'TablesLeftOut',
        message: expect.stringContaining(
          'EXCLUDE_TABLES names them, so that they stay as they are: public.shut (1 row)',
        ),
      })
      await load(excluding, plan)
      const backup = await readRestored(excluding, restoredBy(plan))
      await restoreDatabase(excluding, { ...databaseOf(plan), backup, staying: stayingBy(plan) })
      expect(await dump(admin)).toMatchObject({
        ...{ 'public.shut': ['(1)', '(2)'], 'public.shut_id_seq': ['2 true'], 'public.open': ['(1)'] },
      })
      await sql.query('DROP TABLE shut, open')
    },
  )

  it.runIf(isFull)(
    `refuses rows whose parents lie in a table that no backup holds and are gone, as a reset to a backup does; no key is left NOT VALID ${inFullForm}`,
    async () => {
      const { clients, sql } = database
      await sql.query(`CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.parents (id int PRIMARY KEY); INSERT INTO elsewhere.parents VALUES (1), (2);
        CREATE TABLE orphans (id int REFERENCES elsewhere.parents); INSERT INTO orphans VALUES (1), (2)`)
      const backupId = await backUpAll(clients)
      await sql.query('DELETE FROM orphans; DELETE FROM elsewhere.parents WHERE id = 2')
      const restoring = restoreSome(clients, backupId, { tables: ['orphans'], includeParents: true })
      await expect(restoring).rejects.toThrow(ParentsMissing)
      await expect(restoring).rejects.toThrow(
        /elsewhere\.parents.*the backup does not hold it.*leave public\.orphans out/,
      )
      await expect(restoreSome(clients, backupId, { preserve: { tables: [] } })).rejects.toThrow(
        PreservationConflict,
      )
      expect((await sql.query('SELECT * FROM orphans')).rows).toEqual([])
      await sql.query('INSERT INTO elsewhere.parents VALUES (2)')
      await restoreSome(clients, backupId, { tables: ['orphans'] })
      const { rows } = await sql.query('SELECT FROM pg_constraint WHERE NOT convalidated')
      expect(rows).toEqual([])
      await sql.query('DROP TABLE orphans; DROP SCHEMA elsewhere CASCADE')
    },
  )

  it.runIf(isFull)(
    `refuses what a function writes into tables that stay, also where the server does not count that ${inFullForm}`,
    async () => {
      const { clients, sql, admin } = database
      await sql.query(`CREATE TABLE log (what text); CREATE TABLE asked (id int);
        CREATE FUNCTION asks(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.log VALUES ('asked'); RETURN true; END $$;
        ALTER TABLE asked ADD CHECK (asks(id)); INSERT INTO asked VALUES (1)`)
      const backupId = await backUpAll(clients)
      await sql.query('INSERT INTO asked VALUES (2)')
      const { 'public.log': log } = await rowsOf(['public.log'])
      for (const counts of ['on', 'off']) {
        await admin.query(
          `ALTER DATABASE ${new URL(database.env.DATABASE_URL!).pathname.slice(1)} SET track_counts = ${counts}`,
        )
        await expect(restoreSome(clients, backupId, { tables: ['asked'] })).rejects.toThrow(
          PreservationConflict,
        )
        expect((await rowsOf(['public.log']))['public.log']).toEqual(log)
      }
    },
  )

  it.runIf(isFull)(
    `leaves every table that was not named as it was, or that a reset to a backup preserves, and is refused exactly where a row would lose or lack its parent ${inFullForm}`,
    async () => {
      const counts = { restored: 0, preserved: 0, refused: 0 }
      const clients = configured(database.clients, { DATABASE_SCHEMAS: [...managed] })
      await fc.assert(
        fc.asyncProperty(graphs.map(allManaged), fc.infiniteStream(fc.nat(9)), async (before, drawn) => {
          const draw = (most: number) => (drawn.next().value as number) % (most + 1)
          await database.sql.query(`${dropSql}; ${sqlOf(before)}`)
          const backupId = await backUpAll(clients)
          const positionsBefore = await positionsOf(before)
          const now = changed(before, draw)
          await database.sql.query(`SET search_path = pg_catalog; ${refill(now)}`)
          const named = before.nodes.map(() => draw(1) === 1)
          const tables = before.nodes.filter((_, at) => named[at]).map(planName)
          const others = before.nodes.filter((_, at) => !named[at]).map(planName)
          const preserves = tables.length === 0 || draw(1) === 1
          const positions = await positionsOf(now, named, positionsBefore)
          const baseline = rowsIn(before)
          const live = await rowsOf(now.nodes.flatMap(relationsOf))
          const dangling = { coming: 0, staying: 0 }
          for (const [at, one] of before.links.entries()) {
            const source = named[one.from] ? before : now
            const parents = (named[one.to] ? before : now).nodes[one.to]!.rows
            const refs = source.links[at]!.refs.slice(0, source.nodes[one.from]!.rows)
            dangling[named[one.from] ? 'coming' : 'staying'] += refs.filter((ref) => ref > parents).length
          }
          const dangles = dangling.coming + dangling.staying > 0
          const asked = preserves ? { preserve: { tables: others } } : { tables }
          let told: BrokenKey[] = []
          const restoring = restoreSome(clients, backupId, asked, (broken) => {
            told = broken
          })
          await restoring.catch(() => {})
          const coming = told.reduce((sum, one) => sum + one.coming, 0)
          const staying = told.reduce((sum, one) => sum + one.staying, 0)
          expect({ coming, staying }).toEqual(dangling)
          if (dangles) {
            counts.refused++
            await expect(restoring).rejects.toSatisfy(
              (error) => error instanceof ParentsMissing || error instanceof PreservationConflict,
            )
            expect(await rowsOf(Object.keys(live))).toEqual(live)
          } else {
            counts[preserves ? 'preserved' : 'restored']++
            await restoring
            expect(await positionsOf(now)).toEqual(positions)
            const found = await rowsOf(Object.keys(live))
            for (const [at, node] of before.nodes.entries())
              for (const relation of relationsOf(node))
                if (!named[at]) expect(found[relation]).toEqual(live[relation])
            expect(await idsIn(before, named)).toEqual(baseline.filter((_, at) => named[at]))
          }
          const { rows } = await database.sql.query(`SELECT FROM pg_constraint WHERE NOT convalidated`)
          expect(rows).toEqual([])
        }),
        { numRuns: 20, endOnFailure: true },
      )
      tried('restores of some tables', counts)
      await database.sql.query(dropSql)
    },
  )

  /** Where the sequences of the ids stand: now, or as it was `before` for those of the tables that are named. */
  async function positionsOf(
    { nodes }: Graph,
    named: boolean[] = [],
    before: string[] = [],
  ): Promise<string[]> {
    const found: string[] = []
    for (const [at, node] of nodes.entries()) {
      const owned = await database.sql.query(`SELECT pg_get_serial_sequence($1, 'id') AS name`, [
        sqlName(node),
      ])
      const { rows } = await database.sql.query(
        `SELECT (last_value, is_called)::text AS at FROM ${owned.rows[0].name}`,
      )
      found.push((named[at] ? before[at] : rows[0].at) as string)
    }
    return found
  }

  /** Of each node its rows and what they refer to, as the graph says. */
  function rowsIn({ nodes, links }: Graph): string[] {
    return nodes.map((node, from) => {
      const own = links.filter((link) => link.from === from)
      const row = (at: number) => [at + 1, ...own.map(({ refs }) => refs[at] || null)]
      return JSON.stringify(Array.from({ length: node.rows }, (_, at) => row(at)))
    })
  }

  /** The same as the database has it. */
  async function idsIn({ nodes, links }: Graph, named: boolean[]): Promise<string[]> {
    const found: string[] = []
    for (const [from, node] of nodes.entries()) {
      if (!named[from]) continue
      const columns = links.flatMap((link, at) => (link.from === from ? [`l${at}`] : []))
      const text = `SELECT ${['id', ...columns]} FROM ${sqlName(node)} ORDER BY id`
      found.push(JSON.stringify((await database.sql.query({ text, rowMode: 'array' })).rows))
    }
    return found
  }

  async function rowsOf(relations: string[]): Promise<Record<string, string[]>> {
    const found: Record<string, string[]> = {}
    for (const relation of relations) {
      const { rows } = await database.admin.query(`SELECT t::text AS line FROM ONLY ${relation} t ORDER BY 1`)
      found[relation] = rows.map(({ line }) => line)
    }
    return found
  }
})
