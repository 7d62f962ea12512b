import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { writePart } from '../../lib/backup/part/write.ts'
import type { Backup } from '../../lib/backup/read.ts'
import type { BackedUpTable } from '../../lib/backup/sections/database.ts'
import { checkTables } from '../../lib/database/catalog/schema-differences.ts'
import { loadParts } from '../../lib/database/load/load.ts'
import { type LoadablePart, loadBatches } from '../../lib/database/parts/load-batches.ts'
import { restoreDatabase } from '../../lib/database/restore/restore.ts'
import { dropScratch } from '../../lib/database/scratch/drop.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { databaseOf, type Plan } from '../../lib/run/planning/plan.ts'
import { backUp, noProgress, planReset, useDatabase } from '../database/database-stack.ts'
import { dump } from './dump.ts'
import { load, planRestore, readBackupOf } from './steps.ts'

const database = useDatabase()
let plan: Plan
let backup: Backup

beforeAll(async () => {
  await database.sql.query(`CREATE TABLE precious (id int); INSERT INTO precious VALUES (1);
    CREATE TABLE t (id serial PRIMARY KEY, j jsonb, n int); INSERT INTO t (j, n) VALUES ('{}', 1)`)
  const first = await planReset(database.clients)
  await backUp(database.clients, first)
  backup = await readBackupOf(database.clients, first)
  plan = await planRestore(database.clients, first.backupId)
  await load(database.clients, plan)
})

const injected = 'text); DROP TABLE public.precious; --'
type Column = BackedUpTable['columns'][number]
const column = (name: string, change: Partial<Column>) => (table: BackedUpTable) => ({
  ...table,
  columns: table.columns.map((one) => (one.name === name ? { ...one, ...change } : one)),
})

/** As whoever may write to the bucket could change what a manifest says of a table. */
const forged: [what: string, change: (table: BackedUpTable) => BackedUpTable][] = [
  ['the type of a column', column('n', { type: injected })],
  ['the type of one that is held as text', column('j', { type: injected })],
  ['a cast that calls a function', column('j', { type: 'text::regclass' })],
  ['how a column is held', column('n', { asText: true })],
  ['that a column is generated', column('n', { generated: 's' })],
  ['the name of a column', column('n', { name: 'n int); DROP TABLE public.precious; --' })],
  ['the table behind a name', (table) => ({ ...table, table: 'precious' })],
  ['the schema behind a name', (table) => ({ ...table, schema: 'pg_catalog' })],
  ['the name of a table', (table) => ({ ...table, name: 'public.t"; DROP TABLE public.precious; --' })],
]

describe('nothing of a manifest is put into SQL, and the table is named, when somebody changed', () => {
  it.each(forged)('%s', async (_, change) => {
    const { clients, admin } = database
    const whole = backup.database!
    const tables = whole.tables.map((table) => (table.name === 'public.t' ? change(table) : table))
    const parts = loadBatches(tables).flat()
    const before = await dump(admin)
    const named = expect.objectContaining({
      name: 'SchemaChanged',
      message: expect.stringMatching(/public\.t/),
    })
    await expect(
      loadParts(clients, { runId: plan.runId, parts, check: checkTables }, noProgress),
    ).rejects.toEqual(named)
    const replaced = { ...backup, database: { ...whole, tables } }
    await expect(restoreDatabase(clients, { ...databaseOf(plan), backup: replaced })).rejects.toEqual(named)
    expect(await dump(admin)).toEqual(before)
  })

  it('the sequence behind a name', async () => {
    const { clients, admin } = database
    const whole = backup.database!
    const before = await dump(admin)
    for (const change of [{ sequence: 'other' }, { schema: 'taskmaster_reset' }]) {
      const sequences = whole.sequences.map((one) => ({ ...one, ...change }))
      const replaced = { ...backup, database: { ...whole, sequences } }
      await expect(restoreDatabase(clients, { ...databaseOf(plan), backup: replaced })).rejects.toMatchObject(
        {
          name: 'SchemaChanged',
        },
      )
    }
    expect(await dump(admin)).toEqual(before)
  })
})

it('a part that gives another number of rows than is said of it is damaged, and named', async () => {
  const { clients } = database
  const parts = loadBatches(backup.database!.tables).flat()
  const runId = randomUUID()
  for (const difference of [1, -1]) {
    const lying = parts.map(({ table, part }) => ({
      table,
      part: table.name === 'public.t' ? { ...part, rows: part.rows + difference } : part,
    }))
    await expect(
      loadParts(clients, { runId, parts: lying, check: checkTables }, noProgress),
    ).rejects.toMatchObject({
      name: 'BackupDamaged',
      message: expect.stringMatching(/1 row was loaded .*public\.t\/00000\.jsonl\.zst/),
    })
  }
  await withConnection(clients, (connection) => dropScratch(connection, runId))
})

it('a part of the right bytes that are no rows is damaged, one whose values the types refuse is not; no line of it is told', async () => {
  const { clients } = database
  const runId = randomUUID()
  const [{ table, part }] = loadBatches(backup.database!.tables)
    .flat()
    .filter((one) => one.table.name === 'public.t') as [LoadablePart]
  const lines = [
    Buffer.from([0xff, 0xfe]),
    Buffer.from('{"secret": '),
    Buffer.from('{"id":1,"j":"{}\xff","n":1}', 'latin1'),
    Buffer.from('{"id":1,"j":"{}","n":1-1}'),
    Buffer.from(`{"id":1,"j":"${' '.repeat(60)}{}\t9","n":1}`),
    Buffer.from(`{"id":1,"j":"${' '.repeat(60)}{}\u0001","n":1}`),
    Buffer.from('{"id":1,"j":"{}","n":"secret"}'),
  ]
  for (const [index, line] of lines.entries()) {
    const key = () => `.taskmaster/forged/${index}.jsonl.zst`
    const written = await writePart(clients.backups, key, async function* () {
      yield Buffer.concat([line, Buffer.from('\n')])
    })
    const parts = [{ table, part: { ...part, ...written! } }]
    const loading = loadParts(clients, { runId, parts, check: checkTables }, noProgress)
    await expect(loading).rejects.toMatchObject({
      name: index < lines.length - 1 ? 'BackupDamaged' : 'SchemaChanged',
      message: expect.stringMatching(new RegExp(`forged/${index}.*The live tables were not touched`)),
    })
    await expect(loading).rejects.not.toThrow(/secret/)
  }
  await withConnection(clients, (connection) => dropScratch(connection, runId))
})
