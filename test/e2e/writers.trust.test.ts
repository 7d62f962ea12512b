import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { readPartLines } from '../../lib/backup/part/read.ts'
import { mergeLate } from '../../lib/backup/sections/merge-tables.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { useHookedStack } from './hooked-stack.ts'
import { backupBucket, quickReset, withVariables } from './reset-stack.ts'

const { reset, withHook } = useHookedStack()
const wipe = { ...quickReset, strategy: 'database-only' }

/** Tables that are written to under names of the writers' own, because sequences start again. */
async function seedNotes(): Promise<void> {
  await reset.seed({ users: 40, files: 0, keys: 0 })
  await reset.stack.sql.query(`
    CREATE TABLE folders (name text PRIMARY KEY, version int NOT NULL);
    CREATE TABLE notes (name text PRIMARY KEY, version int NOT NULL, folder text REFERENCES folders, filler text);
    CREATE TABLE log (name text, version int NOT NULL);
    INSERT INTO notes SELECT 'old-' || i, 0, NULL, repeat('x', 500) FROM generate_series(1, 500) i`)
}

/** Versions of the rows that were committed, by name; 'deleted' when their deletion was. */
type Committed = Map<string, number | 'deleted'>

/** Inserts, updates and deletes in three tables until stopped, and notes down what was committed. */
function startWriter(number: number, committed: Committed, pause = 0) {
  let stopped = false
  let written = 0
  const done = (async () => {
    const client = new pg.Client({ connectionString: reset.stack.env.DATABASE_URL })
    client.on('error', () => {})
    await client.connect()
    for (let turn = 0; !stopped; turn++) {
      const [folder, note, entry] = ['folder', 'note', 'entry'].map((what) => `${what}-${number}-${turn}`)
      // Alternately in one transaction of several tables, and in single statements.
      const whole = turn % 2 === 0
      const changes: [string, number | 'deleted'][] = []
      const write = async (
        text: string,
        name: string,
        version: number | 'deleted',
        values: unknown[] = [],
      ) => {
        const answer = await client.query(text, [name, ...values])
        if (answer.rowCount === 1) changes.push([name, version])
        if (!whole) keep()
      }
      const keep = () => {
        for (const [name, version] of changes.splice(0)) committed.set(name, version)
      }
      try {
        if (whole) await client.query('BEGIN')
        await write('INSERT INTO folders VALUES ($1, 1)', folder ?? '', 1)
        await write('INSERT INTO notes VALUES ($1, 1, $2)', note ?? '', 1, [folder])
        await write('INSERT INTO log VALUES ($1, 1)', entry ?? '', 1)
        await write('UPDATE notes SET version = 2 WHERE name = $1', note ?? '', 2)
        await write('UPDATE folders SET version = 2 WHERE name = $1', `folder-${number}-${turn - 3}`, 2)
        await write('DELETE FROM notes WHERE name = $1', `note-${number}-${turn - 2}`, 'deleted')
        await write('DELETE FROM log WHERE name = $1', `entry-${number}-${turn - 5}`, 'deleted')
        await write('DELETE FROM notes WHERE name = $1', `old-${number}${turn}`, 'deleted')
        if (whole) await client.query('COMMIT')
        keep()
        written++
      } catch {
        // The wipe came between two statements (a foreign key, a deadlock): what was not committed does not count.
        if (whole) await client.query('ROLLBACK')
      }
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause))
    }
    await client.end()
  })()
  return {
    stop: () => {
      stopped = true
      return done
    },
    get written() {
      return written
    },
  }
}

/** Versions by name, of what the sealed backup (manifest and highest late file) holds. */
async function inBackup(backupId: string | null): Promise<Map<string, number>> {
  const manifest = await reset.manifestOf(backupId)
  const late = await reset.lateOf(backupId)
  const found = new Map<string, number>()
  for (const table of mergeLate(manifest.database?.tables ?? [], late?.tables ?? [])) {
    if (!['public.folders', 'public.notes', 'public.log'].includes(table.name)) continue
    let rows = 0
    for (const { key } of table.parts) {
      if (key === null) continue
      for await (const line of readPartLines({ s3: reset.stack.s3, name: backupBucket }, key)) {
        const { name, version } = JSON.parse(line.toString())
        expect(found.has(name), `${name} is in the backup twice`).toBe(false)
        found.set(name, version)
        rows++
      }
    }
    expect(rows, table.name).toBe(table.rows)
  }
  return found
}

async function inTables(): Promise<Map<string, number>> {
  const found = await reset.stack.admin.query(
    'SELECT name, version FROM folders UNION ALL SELECT name, version FROM notes UNION ALL SELECT name, version FROM log',
  )
  return new Map(found.rows.map(({ name, version }) => [name, version]))
}

/** Each committed row, in its last version, is in the backup or still in the table; a deleted one in neither. */
async function checkNothingLost(committed: Committed, backupId: string | null): Promise<void> {
  const [backup, tables] = [await inBackup(backupId), await inTables()]
  const wrong: string[] = []
  for (const [name, version] of committed) {
    const found = tables.get(name) ?? backup.get(name)
    if (found !== (version === 'deleted' ? undefined : version))
      wrong.push(`${name}: ${version}, found ${found}`)
  }
  expect(wrong).toEqual([])
  // And the rows that nobody wrote to.
  for (let i = 1; i <= 500; i++) {
    const name = `old-${i}`
    if (!committed.has(name)) expect(tables.get(name) ?? backup.get(name), name).toBe(0)
  }
}

describe('a backup that went stale before the wipe', () => {
  test.runIf(isFull)(`is taken again at most twice, and then nothing was wiped ${inFullForm}`, async () => {
    await seedNotes()
    const was = await reset.fingerprint()
    const sealed = await reset.sealed()
    const states: string[] = []
    const ended = await withVariables({ LATE_MAX_BYTES: '1' }, () =>
      withHook(
        async (state) => {
          states.push(state)
          if (state === 'Wipe database') await reset.stack.sql.query(`INSERT INTO log VALUES ('late', 1)`)
        },
        () => reset.run(wipe),
      ),
    )
    expect(ended).toMatchObject({ status: 'FAILED', error: 'BackupIsStale' })
    expect(ended.cause).toMatch(
      /^Since the backup \d+ bytes changed in public\.log \(1 of 1 part\), more than the 1 of/,
    )
    expect(ended.cause).toContain('Nothing was wiped; pause the writers, or raise LATE_MAX_BYTES')
    expect(states.filter((state) => state === 'Count again')).toHaveLength(2)
    expect(states.filter((state) => state === 'Seal')).toHaveLength(3)
    expect(states.filter((state) => state === 'Wipe database')).toHaveLength(3)

    const row = await reset.row(ended.name)
    expect(row).toMatchObject({ status: 'failed', attempt: 2, wiped: null })
    const added = (await reset.sealed()).filter((id) => !sealed.includes(id))
    expect(new Set(added).size).toBe(3)
    expect(added).toContain(row.backup_id)
    expect(row.outcome).toMatchObject({
      backupId: row.backup_id,
      targets: { database: { state: 'backed_up' }, files: { state: 'untouched' } },
    })
    const { 'public.log': _, ...others } = was.database
    expect((await reset.fingerprint()).database).toMatchObject(others)
    expect((await reset.rows())['public.log']).toBe(3)
  })

  test('is taken again, and the reset succeeds when the writer stops', async () => {
    await seedNotes()
    let attempts = 0
    const outcome = await withVariables({ LATE_MAX_BYTES: '1' }, () =>
      withHook(
        async (state) => {
          if (state === 'Wipe database' && ++attempts === 1)
            await reset.stack.sql.query(`INSERT INTO log VALUES ('late', 7)`)
        },
        () => reset.succeed(wipe),
      ),
    )
    expect(attempts).toBe(2)
    expect((await reset.row(outcome.runId)).attempt).toBe(1)
    expect(outcome.targets.database.tables['public.log']).toBe(1)
    expect(await reset.lateOf(outcome.backupId)).toBeUndefined()
    expect((await inBackup(outcome.backupId)).get('late')).toBe(7)
  })

  test.runIf(isFull)(
    `because a table was altered is taken again with the new columns ${inFullForm}`,
    async () => {
      await seedNotes()
      let attempts = 0
      const outcome = await withHook(
        async (state) => {
          if (state === 'Wipe database' && ++attempts === 1)
            await reset.stack.sql.query('ALTER TABLE log ADD COLUMN more text')
        },
        () => reset.succeed(wipe),
      )
      expect(attempts).toBe(2)
      const manifest = await reset.manifestOf(outcome.backupId)
      const log = manifest.database?.tables.find(({ name }) => name === 'public.log')
      expect(log?.columns.map(({ name }) => name)).toEqual(['name', 'version', 'more'])
    },
  )
})

describe('rows that are written while a reset runs', () => {
  test('steadily do not make it fail: it succeeds at the first attempt, with late parts', async () => {
    await seedNotes()
    const committed: Committed = new Map()
    const writer = startWriter(1, committed, 25)
    const outcome = await withHook(
      async (state) => {
        // The writer is let do something between the backup and the wipe, however fast the machine.
        const target = writer.written + 3
        while (state === 'Wipe database' && writer.written < target)
          await new Promise((resolve) => setTimeout(resolve, 5))
      },
      () => reset.succeed(wipe),
    )
    const turns = writer.written
    while (writer.written < turns + 3) await new Promise((resolve) => setTimeout(resolve, 5))
    await writer.stop()
    expect((await reset.row(outcome.runId)).attempt).toBe(0)
    const late = await reset.lateOf(outcome.backupId)
    expect(late?.tables.map(({ name }) => name).sort()).toEqual([
      'public.folders',
      'public.log',
      'public.notes',
    ])
    await checkNothingLost(committed, outcome.backupId)
    expect(committed.size).toBeGreaterThan(20)
  })

  const exports: [string, Record<string, string>][] = [
    ['in one snapshot', {}],
    ['in several batches', { EXPORT_BATCH_BYTES: '1' }],
  ]
  test.runIf(isFull).each(exports)(
    `as fast as three writers can, backed up %s, are each in the backup or still there ${inFullForm}`,
    async (_, variables) => {
      await seedNotes()
      const committed: Committed = new Map()
      const writers = [1, 2, 3].map((number) => startWriter(number, committed))
      const outcome = await withVariables({ LOCK_TIMEOUT_MS: '120000', ...variables }, () =>
        reset.succeed(wipe),
      )
      const turns = writers.map(({ written }) => written)
      while (writers.some(({ written }, index) => written < (turns[index] ?? 0) + 3))
        await new Promise((resolve) => setTimeout(resolve, 5))
      await Promise.all(writers.map((writer) => writer.stop()))
      const consistency = (await reset.manifestOf(outcome.backupId)).database?.consistency
      expect(consistency).toBe('EXPORT_BATCH_BYTES' in variables ? 'reconciled' : 'snapshot')
      const tables = await inTables()
      const backup = await inBackup(outcome.backupId)
      await checkNothingLost(committed, outcome.backupId)
      // The test is worth something only when rows lie on both sides of the wipe.
      expect(tables.size).toBeGreaterThan(5)
      expect([...backup.keys()].filter((name) => !name.startsWith('old-')).length).toBeGreaterThan(5)
      expect([...committed.values()]).toContain('deleted')
    },
  )
})

describe('a restore of tables that somebody goes on writing to', () => {
  test.runIf(isFull).each([{ safetyBackup: true }, { safetyBackup: false }])(
    `begins again at most once, and then loads all of them: %o ${inFullForm}`,
    async ({ safetyBackup }) => {
      await seedNotes()
      await reset.stack.sql.query(`INSERT INTO log SELECT 'entry ' || g, g FROM generate_series(1, 9000) g`)
      const { backupId } = await reset.succeed({
        operation: 'backup',
        strategy: 'database-only',
        rehearse: false,
      })
      const backedUp = await inTables()
      let attempts = 0
      const outcome = await withHook(
        async (state) => {
          if (state === 'Restore database')
            await reset.stack.sql.query('UPDATE log SET version = -1 WHERE version = $1', [++attempts * 2500])
        },
        () =>
          reset.succeed({
            ...{
              operation: 'restore',
              backupId,
              confirm: wipe.confirm,
              targets: ['database'],
              rehearse: false,
            },
            ...(safetyBackup ? {} : { safetyBackup }),
          }),
      )
      expect(attempts).toBe(2)
      expect(await inTables()).toEqual(backedUp)
      if (safetyBackup) expect((await inBackup(outcome.backupId)).get('entry 5000')).toBe(-1)
    },
  )
})
