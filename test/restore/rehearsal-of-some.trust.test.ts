import { randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import type * as z from 'zod'
import { getJson } from '../../lib/backup/documents/read.ts'
import { putJson } from '../../lib/backup/documents/write.ts'
import { workKeys } from '../../lib/backup/layout.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import type { RangedPart } from '../../lib/backup/ranges/range.ts'
import { readRangesOf } from '../../lib/backup/ranges/sidecar.ts'
import { readTables } from '../../lib/database/catalog/tables.ts'
import { readRequirements } from '../../lib/database/constraints/requirements.ts'
import { DatabaseBatch, DatabaseResult } from '../../lib/database/export/batch.ts'
import { exportDatabase } from '../../lib/database/export/export.ts'
import { Rehearsed, readExported } from '../../lib/database/export/results.ts'
import { compareExported, loadExported } from '../../lib/database/load/rehearse.ts'
import type { DatabasePlan } from '../../lib/database/schema/plan.ts'
import { dropScratch } from '../../lib/database/scratch/drop.ts'
import { readNoted } from '../../lib/ledger/documents.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { countAll } from '../../lib/run/count.ts'
import { databaseOf, type Plan, readPlan } from '../../lib/run/planning/plan.ts'
import { seal } from '../../lib/run/seal.ts'
import { noProgress, readBackup, useDatabase } from '../database/database-stack.ts'
import { inFullForm, isFull } from '../support/trust.ts'

const database = useDatabase()
const earlier = '2026-11-20T03:04:05.000Z'

beforeEach(async () => {
  await database.admin.query(
    `DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app AUTHORIZATION CURRENT_USER; GRANT ALL ON SCHEMA app TO PUBLIC`,
  )
  await database.sql.query(`CREATE TABLE app.parent (id int PRIMARY KEY, v text);
    CREATE TABLE app.child (id int PRIMARY KEY, up int REFERENCES app.parent, v text);
    INSERT INTO app.parent SELECT g, repeat('p', 500) FROM generate_series(1, 900) g;
    INSERT INTO app.child SELECT g, g, repeat('c', 500) FROM generate_series(1, 900) g`)
})

type Result = z.input<typeof DatabaseResult>
type Run = {
  plan: Plan
  planned: DatabasePlan
  copied: (table: string, shards: readonly number[]) => Promise<void>
  /** Its part of several ranges, of which all but the last are of that backup. @returns the rows that are new */
  composed: (table: string) => Promise<number>
}

/**
 * A backup that is rehearsed, up to its export, in shards of some pages, as if `requirements` were what stood when Count decided
 * which proofs count. `copied` makes parts of the result those that an earlier backup had proved.
 */
async function exported(rehearse = true): Promise<Run> {
  const { clients } = database
  const run = { runId: randomUUID(), attempt: 0 }
  await withConnection(clients, (connection) =>
    connection.query(`UPDATE taskmaster_reset.runs SET status = 'failed' WHERE status = 'running'`),
  )
  const configured = { ...clients, config: { ...clients.config, DATABASE_SCHEMAS: ['app'] } }
  Object.assign(database, { clients: configured })
  const request = { operation: 'backup', strategy: 'database-only', rehearse, takeOver: false }
  await countAll(configured, { request, startedAt: new Date().toISOString(), ...run })
  const noted = await withConnection(configured, (connection) => readNoted(connection, run.runId))
  const plan = await readPlan(configured.backups, run, noted)
  const lists = workKeys(plan)
  const { shards, ...batch } = await getJson(configured.backups, lists.databaseBatch(0), DatabaseBatch)
  const cut = shards.flatMap((shard) =>
    [0, 1, 2].map((at) => ({
      ...shard,
      shard: at,
      pages: { from: at * 16, to: at === 2 ? null : (at + 1) * 16 },
    })),
  )
  await putJson(configured.backups, lists.databaseBatch(0), { ...batch, shards: cut })
  const requirements = await withConnection(configured, async (connection) =>
    Object.fromEntries(await readRequirements(connection, (await readTables(connection, ['app'])).tables)),
  )
  const base = { backupId: 'base', startedAt: '2026-11-21T03:00:00.000Z', requirements, askedTogether: {} }
  const planned: DatabasePlan = { ...databaseOf(plan).planned, base }
  const about = { run: databaseOf(plan).run, planned, backupId: plan.backupId! }
  await exportDatabase(configured, { ...about, batch: 0 }, noProgress)
  const key = workKeys(plan).databaseResult(0)
  type Part = Result['parts'][number]
  const takeOver = async (
    chosen: (part: Part) => boolean,
    origin: (part: Part) => Promise<Part['origin']>,
  ) => {
    const result: Result = await getJson(configured.backups, key, DatabaseResult)
    const parts: Part[] = []
    for (const part of result.parts)
      parts.push(chosen(part) ? { ...part, provedAt: earlier, origin: await origin(part) } : part)
    await putJson(configured.backups, key, { ...result, parts })
  }
  return {
    plan,
    planned,
    copied: (table, shards) =>
      takeOver(
        (part) => part.table === table && shards.includes(part.shard),
        async ({ rows, bytes }) => ({
          kind: 'copied',
          load: 'nothing',
          fresh: [],
          freshFingerprint: '0',
          rows,
          bytes,
        }),
      ),
    async composed(table) {
      let rows = 0
      await takeOver(
        (part) => part.table === table && (part.ranges?.count ?? 0) > 1,
        async (part) => {
          const ranges = await readRangesOf(configured.backups, part as RangedPart)
          const last = ranges.at(-1)!
          rows += last.rows
          const of = { rows: part.rows - last.rows, bytes: part.bytes - last.length }
          const fresh: [number, number][] = [[ranges.length - 1, ranges.length]]
          return { kind: 'composed', load: 'fresh', fresh, freshFingerprint: last.fingerprint, ...of }
        },
      )
      return rows
    },
  }
}

async function rehearsed({
  plan,
  planned,
}: Run): Promise<{ manifest: Manifest; scratch: string[]; noted: z.output<typeof Rehearsed> }> {
  const { clients } = database
  const about = { run: databaseOf(plan).run, planned }
  await loadExported(clients, { ...about, batch: 0 }, noProgress)
  const found = await database.admin.query(
    `SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname LIKE 'taskmaster\\_scratch%' AND c.relkind = 'r' AND c.relname LIKE 't%' ORDER BY 1`,
  )
  const scratch: string[] = []
  for (const { name } of found.rows) {
    const rows = await database.admin.query(`SELECT count(*)::int AS rows, left(min(v), 1) AS v FROM ${name}`)
    scratch.push(`${rows.rows[0].v}: ${rows.rows[0].rows}`)
  }
  try {
    await compareExported(clients, { ...about, wipes: false })
  } finally {
    await withConnection(clients, (connection) => dropScratch(connection, plan.runId))
  }
  await seal(clients, { ...plan, database: planned }, async () => {})
  const noted = await getJson(clients.backups, workKeys(plan).rehearsed, Rehearsed)
  return { manifest: (await readBackup(clients, plan.backupId!)).manifest, scratch: scratch.sort(), noted }
}

const readTablesOf = ({ plan, planned }: Run) =>
  readExported(database.clients.backups, { run: databaseOf(plan).run, planned })

const proofsOf = ({ database: held }: Manifest, table: string) =>
  held?.tables.find(({ name }) => name === table)?.parts.map(({ provedAt }) => provedAt)

describe('a rehearsal that loads some of the parts', () => {
  it('keeps the time of those that it does not load, and the oldest is when the backup was rehearsed', async () => {
    const run = await exported()
    await run.copied('app.parent', [0, 1, 2])
    await run.copied('app.child', [0, 2])
    const { manifest, scratch, noted } = await rehearsed(run)
    const rows = manifest.database?.tables.find(({ name }) => name === 'app.child')?.parts[1]?.rows
    expect(scratch).toEqual([`c: ${rows}`])
    expect(proofsOf(manifest, 'app.parent')).toEqual([earlier, earlier, earlier])
    expect(proofsOf(manifest, 'app.child')).toEqual([earlier, noted.rehearsedAt, earlier])
    expect(manifest.rehearsedAt).toBe(earlier)
    const under = manifest.database!.tables.map(({ name, provedUnder }) => [name, provedUnder])
    expect(Object.fromEntries(under)).toEqual(run.planned.base?.requirements)
  })

  it('loads of a part that is composed what is new, and keeps the time of the rest', async () => {
    const run = await exported()
    await run.copied('app.parent', [0, 1, 2])
    await run.copied('app.child', [0, 1])
    const rows = await run.composed('app.child')
    const { manifest, scratch } = await rehearsed(run)
    expect(rows).toBeGreaterThan(0)
    expect(scratch).toEqual([`c: ${rows}`])
    expect(proofsOf(manifest, 'app.child')).toEqual([earlier, earlier, earlier])
    expect(manifest.rehearsedAt).toBe(earlier)
  })

  it.runIf(isFull)(`of which all parts are loaded proves them together ${inFullForm}`, async () => {
    const { manifest, noted } = await rehearsed(await exported())
    expect(
      new Set(manifest.database!.tables.flatMap(({ parts }) => parts.map(({ provedAt }) => provedAt))),
    ).toEqual(new Set([noted.rehearsedAt]))
    expect(manifest.rehearsedAt).toBe(noted.rehearsedAt)
  })

  it.runIf(isFull)(
    `is stale when a table asks another thing of its rows by then, unless it was loaded whole ${inFullForm}`,
    async () => {
      const run = await exported()
      await run.copied('app.child', [0])
      await database.sql.query(`ALTER TABLE app.child ADD CHECK (v <> 'x')`)
      await expect(rehearsed(run)).rejects.toMatchObject({
        name: 'BackupIsStale',
        message: expect.stringContaining('app.child'),
      })
      const other = await exported()
      await other.copied('app.child', [0])
      await database.sql.query(`ALTER TABLE app.parent ADD CHECK (v <> 'x')`)
      const { manifest, noted } = await rehearsed(other)
      const { provedUnder } = manifest.database!.tables.find(({ name }) => name === 'app.parent')!
      expect(provedUnder).toBe(noted.requirements['app.parent'])
      expect(provedUnder).not.toBe(other.planned.base?.requirements['app.parent'])
    },
  )

  it('finds a loaded row that a row which was not loaded equals by a unique index, although the index has let it in', async () => {
    const valid = (is: boolean) =>
      database.admin.query(
        `UPDATE pg_index SET indisready = ${is} WHERE indexrelid = 'app.child_pkey'::regclass`,
      )
    await valid(false)
    await database.sql.query(`INSERT INTO app.child SELECT 1, 2, repeat('c', 500)`)
    await valid(true)
    const run = await exported()
    await run.copied('app.child', [0, 1])
    await expect(rehearsed(run)).rejects.toMatchObject({
      name: 'RehearsalFailed',
      message: expect.stringMatching(
        /child_pkey of app\.child would not take .* 1 key of it stands in several/,
      ),
    })
  })

  it('asks live rows for keys that it cannot ask the loaded ones, and not of tables that are as they were', async () => {
    await database.admin.query(
      `SET session_replication_role = replica; INSERT INTO app.child VALUES (9999, 8888, repeat('c', 500)); RESET session_replication_role`,
    )
    const some = await exported()
    await some.copied('app.parent', [0, 1])
    await some.copied('app.child', [0])
    const { manifest, noted } = await rehearsed(some)
    expect(manifest.warnings.map(({ code, message }) => `${code}: ${message}`)).toEqual([
      expect.stringMatching(
        /^ConstraintBroken: 1 row of app\.child does not keep its foreign key child_up_fkey/,
      ),
    ])
    // What is to be told has to be found by the next rehearsal, too.
    expect(noted.requirements).toEqual({})
    expect(manifest.database!.tables.every(({ provedUnder }) => provedUnder === undefined)).toBe(true)
    const none = await exported()
    await none.copied('app.parent', [0, 1, 2])
    await none.copied('app.child', [0, 1, 2])
    const sums = manifest.database!.tables.map(({ name, fingerprint }) => [name, fingerprint])
    const unchanged = await rehearsed({
      ...none,
      planned: { ...none.planned, base: { ...none.planned.base!, askedTogether: Object.fromEntries(sums) } },
    })
    expect([unchanged.scratch, unchanged.manifest.warnings]).toEqual([[], []])
    expect(unchanged.manifest.rehearsedAt).toBe(earlier)
  })

  it.runIf(isFull)(
    `asks only rows that are new for keys to a table that is as it was, and takes nothing for broken that went since ${inFullForm}`,
    async () => {
      const warned = async (statement: string) => {
        const run = await exported()
        await run.copied('app.parent', [0, 1, 2])
        await run.copied('app.child', [0, 1])
        await database.admin.query(statement)
        const { tables } = await readTablesOf(run)
        const askedTogether = Object.fromEntries(tables.map(({ name, fingerprint }) => [name, fingerprint]))
        delete askedTogether['app.child']
        const planned = { ...run.planned, base: { ...run.planned.base!, askedTogether } }
        return (await rehearsed({ ...run, planned })).manifest.warnings.map(({ message }) => message)
      }
      expect(
        await warned('DELETE FROM app.child WHERE id > 890; DELETE FROM app.parent WHERE id > 890'),
      ).toEqual([])
      const broken = `SET session_replication_role = replica; DELETE FROM app.parent WHERE id = 889; RESET session_replication_role`
      expect(await warned(broken)).toEqual([
        expect.stringMatching(/^1 row of app\.child does not keep its foreign key child_up_fkey/),
      ])
    },
  )

  it.runIf(isFull)(
    `that is none leaves what was copied its proof, and is no rehearsal ${inFullForm}`,
    async () => {
      const run = await exported(false)
      await run.copied('app.child', [0, 1, 2])
      await seal(database.clients, { ...run.plan, database: run.planned }, async () => {})
      const { manifest } = await readBackup(database.clients, run.plan.backupId!)
      expect(manifest.rehearsedAt).toBeNull()
      expect(proofsOf(manifest, 'app.child')).toEqual([earlier, earlier, earlier])
      expect(proofsOf(manifest, 'app.parent')).toEqual([null, null, null])
    },
  )
})
