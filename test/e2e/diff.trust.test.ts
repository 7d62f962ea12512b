import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { rangesKeyOf } from '../../lib/backup/layout.ts'
import { readToldRows } from '../../lib/run/on-backup/diff-rows.ts'
import { differenceLines } from '../../lib/run/words/difference.ts'
import { wouldDoOf } from '../../lib/run/words/would-do.ts'
import { currentClients } from '../../lib/task.ts'
import { needsRedis } from '../support/needs.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import {
  backupBucket,
  environment,
  filesBucket,
  filesPrefix,
  useResetStack,
  withVariables,
} from './reset-stack.ts'

let beforeFinish = async (_runId: string) => {}
const reset = useResetStack({
  beforeTask: async (state, input) => {
    if (state === 'Finish') await beforeFinish((input as { runId: string }).runId)
  },
})
beforeAll(() => reset.seed({ users: 20, files: 4, keys: 5 }))

const backUp = async (strategy = 'full') =>
  (await reset.succeed({ operation: 'backup', strategy, rehearse: false })).backupId as string
const diff = (backupId: string) => reset.succeed({ operation: 'diff', backupId, requestedBy: 'anna' })

describe('diff', () => {
  test('tells what became of each store since a backup, changes nothing, and is a run like any other', async () => {
    const backupId = await backUp()
    const first = await diff(backupId)
    expect(first).toMatchObject({ operation: 'diff', status: 'succeeded', warnings: [], backupId: null })
    expect(first.subject).toEqual({ backupId, state: 'compared', objects: 0, bytes: 0 })
    expect(first.difference).toMatchObject({
      database: { tables: [], sequences: [] },
      files: { extra: 0, missing: 0, changed: 0 },
      cache: { extra: 0, missing: 0, changed: 0 },
    })
    expect(differenceLines(first.difference!)).toEqual([])

    const { sql } = reset.stack
    await sql.query(`UPDATE users SET name = name || '!' WHERE id IN (SELECT id FROM users ORDER BY id LIMIT 2);
      DELETE FROM tickets WHERE number = (SELECT min(number) FROM tickets)`)
    await reset.put(`${filesPrefix}new`, 'x')
    const [was, objects] = [
      await reset.fingerprint(),
      await reset.objects(backupBucket, '.taskmaster/backups/'),
    ]
    const outcome = await diff(backupId)
    expect(outcome.difference).toMatchObject({
      database: {
        tables: expect.arrayContaining([
          { name: 'public.users', before: 20, now: 20, extra: 0, missing: 0, changed: 2 },
        ]),
      },
      files: { before: 4, now: 5, extra: 1, missing: 0, changed: 0, bytes: 0 },
    })
    expect(differenceLines(outcome.difference!)).toContainEqual({
      ...{ what: 'public.users', before: '20 rows', now: '20 rows', restore: 'would change back 2 rows' },
    })
    expect(await reset.fingerprint()).toEqual(was)
    expect(await reset.objects(backupBucket, '.taskmaster/backups/')).toEqual(objects)
    expect(Object.values(outcome.targets).map(({ state }) => state)).toEqual(Array(3).fill('untouched'))
    expect(await reset.row(outcome.runId)).toMatchObject({
      operation: 'diff',
      requested_by: 'anna',
      backup_id: null,
    })
    expect(reset.machine.taskPayloads(outcome.runId).map(({ state }) => state)).toEqual([
      ...['Count', 'Diff database', 'Diff files', 'Diff cache', 'Finish'],
    ])
  })

  test.runIf(isFull)(
    `is about what the backup holds; what it found of that and is not there is an error, not nothing ${inFullForm}`,
    async () => {
      const backupId = await backUp('files-only')
      const outcome = await diff(backupId)
      expect(outcome.difference).toMatchObject({ database: null, files: { extra: 0 }, cache: null })
      beforeFinish = (runId) =>
        reset.remove(backupBucket, [`.taskmaster/runs/${runId}/0/results/difference-files.json`])
      try {
        const failed = await reset.run({ operation: 'diff', backupId })
        expect(failed).toMatchObject({ status: 'FAILED', error: 'NotFound' })
        expect(failed.cause).toContain('difference-files.json')
      } finally {
        beforeFinish = async () => {}
      }
    },
  )

  test.runIf(isFull)(
    `tells what became of each store from one backup to another, whatever is there now ${inFullForm}`,
    async () => {
      const { sql } = reset.stack
      await reset.put(`${filesPrefix}between`, 'first')
      const before = await backUp()
      await sql.query(
        `UPDATE users SET name = name || '?' WHERE id IN (SELECT id FROM users ORDER BY id LIMIT 3)`,
      )
      await reset.put(`${filesPrefix}between`, 'second')
      const after = await backUp()
      await sql.query(`UPDATE users SET name = 'nobody'`)
      const between = (backupId: string, to: string) => reset.succeed({ operation: 'diff', backupId, to })
      const outcome = await between(before, after)
      expect(outcome.subject).toEqual({
        backupId: before,
        to: after,
        state: 'compared',
        objects: 0,
        bytes: 0,
      })
      expect(outcome.difference).toMatchObject({
        database: {
          tables: [{ name: 'public.users', before: 20, now: 20, extra: 0, missing: 0, changed: 3 }],
        },
        files: { extra: 0, missing: 0, changed: 1, bytes: 'first'.length },
        cache: { extra: 0, missing: 0, changed: 0 },
      })
      expect((await between(after, before)).difference?.database).toEqual(outcome.difference?.database)
      expect(differenceLines((await between(after, after)).difference!)).toEqual([])
      const files = await backUp('files-only')
      expect((await between(files, before)).difference).toMatchObject({
        database: null,
        files: { changed: 1 },
        cache: null,
      })
      const ended = await reset.run({ operation: 'diff', backupId: files, to: await backUp('database-only') })
      expect(ended).toMatchObject({ status: 'FAILED', error: 'NotComparable' })
    },
  )

  test('tells rows of the table that it is asked about, in an object of its work alone', async () => {
    const { sql } = reset.stack
    await sql.query(
      `UPDATE users SET name = 'user ' || id; INSERT INTO users (id, name) VALUES (901, 'gone'), (902, 'stays')`,
    )
    const backupId = await backUp()
    await sql.query(`DELETE FROM users WHERE id = 901; UPDATE users SET name = 'other' WHERE id = 902;
      INSERT INTO users (id, name) VALUES (903, E'new\n"one"')`)
    const outcome = await reset.succeed({ operation: 'diff', backupId, rows: { table: 'users' } })
    const clients = await currentClients()
    const { rows, columns, ...told } = await readToldRows(clients, outcome.runId)
    const table = outcome.difference?.database?.tables.find(({ name }) => name === 'public.users')
    expect(told).toEqual({ ...table, key: ['id'], limit: 20, leftOut: 0 })
    expect(columns.slice(0, 2)).toEqual(['id', 'name'])
    expect(
      rows.map(({ kind, ...sides }) => [kind, ...Object.values(sides).map((values) => values.slice(0, 2))]),
    ).toEqual([
      ['extra', ['903', 'new\n"one"']],
      ['missing', ['901', 'gone']],
      ['changed', ['902', 'stays'], ['902', 'other']],
    ])
    expect(JSON.stringify(outcome)).not.toContain('stays')
    expect((await reset.row(outcome.runId)).plan.subject.rows).toBe('public.users')

    const after = await backUp()
    await sql.query('DELETE FROM users WHERE id > 900')
    const request = { operation: 'diff', backupId, to: after, rows: { table: 'public.users', limit: 1 } }
    const between = await readToldRows(clients, (await reset.succeed(request)).runId)
    expect(between).toEqual({ ...told, limit: 1, columns, rows })
    const same = await reset.succeed({ ...request, backupId: after })
    expect(await readToldRows(clients, same.runId)).toMatchObject({
      extra: 0,
      missing: 0,
      changed: 0,
      rows: [],
    })

    await reset.remove(backupBucket, [`.taskmaster/runs/${same.runId}/0/results/difference-rows.jsonl`])
    await expect(readToldRows(clients, same.runId)).rejects.toThrow(
      /are no longer there: .* Start the diff again$/,
    )
    await expect(readToldRows(clients, (await diff(after)).runId)).rejects.toThrow(
      / was not asked for rows\. /,
    )
    await expect(readToldRows(clients, 'nobody')).rejects.toThrow(/^There is no run nobody\. /)
  })

  test.runIf(isFull)(
    `tells of rows that are long together as many as an answer takes, and how many it leaves out ${inFullForm}`,
    async () => {
      const { sql } = reset.stack
      const columns = Array.from({ length: 16 }, (_, at) => `c${at} text`)
      await sql.query(`CREATE TABLE quoted (${columns})`)
      const backupId = await backUp('database-only')
      await sql.query(
        `INSERT INTO quoted SELECT ${columns.map(() => `repeat('"', 5000)`)} FROM generate_series(1, 100)`,
      )
      const rows = { table: 'quoted', limit: 100 }
      const { runId } = await reset.succeed({ operation: 'diff', backupId, rows })
      const told = await readToldRows(await currentClients(), runId)
      expect(told).toMatchObject({ extra: 100, missing: 0, changed: null })
      expect(told.leftOut).toBeGreaterThan(10)
      expect(told.rows.length + told.leftOut).toBe(100)
      const value = `${'"'.repeat(500)}… (shortened; it has 5,000 characters)`
      expect(told.rows[0]).toEqual({ kind: 'extra', now: columns.map(() => value) })
      expect(Buffer.byteLength(JSON.stringify(JSON.stringify(told)))).toBeLessThan(4 * 2 ** 20)
      await sql.query('DROP TABLE quoted')
    },
  )

  test.runIf(isFull)(
    `of rows that cannot be told is refused before anything is read ${inFullForm}`,
    async () => {
      const { sql } = reset.stack
      await sql.query('CREATE TABLE passing (id int); CREATE TABLE altered (v int)')
      const backupId = await backUp('database-only')
      const files = await backUp('files-only')
      await sql.query(
        'DROP TABLE passing; ALTER TABLE altered ALTER v TYPE text; CREATE TABLE later (id int)',
      )
      const refusals: [object, string, RegExp][] = [
        [{ backupId, rows: { table: 'nothing' } }, 'InvalidRequest', /does not hold the table nothing, /],
        [{ backupId, rows: { table: 'later' } }, 'InvalidRequest', /does not hold the table later, /],
        [{ backupId: files, rows: { table: 'users' } }, 'InvalidRequest', /does not hold the table users, /],
        [
          { backupId, rows: { table: 'passing' } },
          'NotComparable',
          /^Rows of public\.passing cannot be told: it is not there now/,
        ],
        [
          { backupId, rows: { table: 'altered' } },
          'NotComparable',
          /its column v was integer and is text now/,
        ],
        [{ backupId, rows: { table: 'users', limit: 101 } }, 'InvalidRequest', /rows\.limit: /],
        [{ backupId, rows: { table: '' } }, 'InvalidRequest', /rows\.table: /],
      ]
      for (const [fields, error, cause] of refusals) {
        const ended = await reset.run({ operation: 'diff', ...fields })
        expect(ended).toMatchObject({ status: 'FAILED', error })
        expect(ended.cause).toMatch(cause)
        expect(reset.machine.taskPayloads(ended.name).map(({ state }) => state)).not.toContain(
          'Diff database',
        )
      }
      await sql.query('DROP TABLE altered, later')
    },
  )

  test('is what a dry run of a restore tells as well, of the stores that it would put back', async () => {
    const backupId = await backUp()
    await reset.stack.sql.query(`DELETE FROM tickets; UPDATE users SET role = 'other' WHERE id = 3`)
    const was = await reset.fingerprint()
    const dry = { operation: 'restore', backupId, dryRun: true }
    const outcome = await reset.succeed(dry)
    expect(outcome).toMatchObject({ dryRun: true, refusal: null, warnings: [] })
    expect(outcome.difference).toMatchObject({
      database: {
        tables: [
          { name: 'public.tickets', now: 0, extra: 0, changed: 0 },
          { name: 'public.users', before: 20, now: 20, changed: 1 },
        ],
      },
      files: { extra: 0, missing: 0, changed: 0 },
    })
    expect(await reset.fingerprint()).toEqual(was)
    const refused = await withVariables({ PROTECTED: 'true' }, () => reset.succeed(dry))
    expect(refused).toMatchObject({ refusal: { name: 'EnvironmentProtected' } })
    expect(refused.difference?.database?.tables).toHaveLength(2)
  })

  needsRedis(
    'and of a restore of some files and keys it tells these alone, which are then all that is put back (needs redis-server)',
    async () => {
      const backupId = await backUp()
      const { redis, sql } = reset.stack
      const change = async (name: string) => {
        await reset.put(`${filesPrefix}pinned/${name}`, 'x')
        await reset.put(`${filesPrefix}story 1.txt`, name)
        await redis.mset('session:0', name, 'page:1', name, `session:${name}`, name)
      }
      await change('later')
      await sql.query('DELETE FROM tickets')
      const part = {
        operation: 'restore',
        backupId,
        files: ['pinned/'],
        keys: ['session:*', 'hash'],
        exact: true,
      }
      const { difference, warnings } = await reset.succeed({
        ...part,
        files: ['pinned/', 'no/'],
        dryRun: true,
      })
      expect(warnings).toEqual([
        {
          code: 'SelectionMatchedNothing',
          message: 'No file of the backup lies below no/, which was to be put back',
        },
      ])
      expect(difference).toMatchObject({
        database: null,
        files: { before: 1, now: 2, extra: 1, missing: 0, changed: 0 },
        cache: { before: 2, now: 3, extra: 1, missing: 0, changed: 1 },
      })
      const ends = await redis.call('PEXPIRETIME', 'hash')
      const outcome = await reset.succeed({ ...part, ttl: 'relative', confirm: environment })
      expect(await redis.call('PEXPIRETIME', 'hash')).toBeGreaterThan(ends as number)
      expect(outcome.targets).toMatchObject({
        database: { state: 'untouched' },
        files: { state: 'restored', objects: 1 },
        cache: { state: 'restored', keys: 2 },
      })
      const files = (await reset.objects(filesBucket)).map(({ key, etag }) => `${key} ${etag}`)
      const md5 = createHash('md5').update('later').digest('hex')
      expect(files.filter((file) => file.includes('later'))).toEqual([])
      expect(files).toContain(`${filesPrefix}story 1.txt "${md5}"`)
      expect(await redis.mget('session:0', 'page:1', 'session:later')).toEqual(['value 0', 'later', null])
      expect((await sql.query('SELECT FROM tickets')).rowCount).toBe(0)
      const whole = await reset.run({ ...part, files: [`${filesPrefix}pinned/`], confirm: environment })
      expect(whole).toMatchObject({ status: 'FAILED', error: 'InvalidRequest' })
      expect(whole.cause).toContain('Say "pinned/" in files')
    },
  )

  test.runIf(isFull)(
    `of a dry run is about what the restore would put back, and says what an exact one removes ${inFullForm}`,
    async () => {
      const { sql } = reset.stack
      await sql.query('CREATE TABLE passing (id serial); CREATE SEQUENCE apart')
      const backupId = await backUp()
      await sql.query('ALTER TABLE passing RENAME TO stayed; DROP SEQUENCE apart')
      await reset.put(`${filesPrefix}later`, 'x')
      const without = ['public.passing', 'public.apart']
      const { runId, refusal, difference } = await reset.succeed({
        ...{ operation: 'restore', backupId, without, exact: true, dryRun: true },
      })
      expect(refusal).toBeNull()
      const wouldDo = wouldDoOf((await reset.row(runId)).plan, 'restore', null)
      expect(differenceLines(difference!, wouldDo?.restores)).toEqual([
        { what: 'public.stayed', before: 'none', now: '0 rows', restore: 'would leave it' },
        expect.objectContaining({ what: 'files', restore: 'would remove 1 file that the backup has not' }),
      ])
      const { sequences } = (await diff(backupId)).difference!.database!
      expect(sequences.map(({ name, now }) => [name, now])).toEqual([['public.apart', null]]) // that of the table is there, as it was
      await sql.query('DROP TABLE stayed')
    },
  )

  test.runIf(isFull)(
    `without the right to make temporary tables is refused, and the restore that does without is not ${inFullForm}`,
    async () => {
      const backupId = await backUp()
      const { admin, sql } = reset.stack
      await sql.query('UPDATE users SET name = name || id; ALTER TABLE users ADD came_later int')
      const [{ name }] = (await sql.query('SELECT quote_ident(current_database()) AS name')).rows
      expect((await diff(backupId)).warnings).toMatchObject([{ code: 'NewColumns' }])
      await admin.query(`REVOKE TEMP ON DATABASE ${name} FROM PUBLIC`)
      const [{ owner }] = (await sql.query('SELECT quote_ident(current_user) AS owner')).rows
      await admin.query(`REVOKE TEMP ON DATABASE ${name} FROM ${owner}`)
      try {
        const refused = await reset.run({ operation: 'diff', backupId })
        expect(refused).toMatchObject({ status: 'FAILED', error: 'NotPermitted' })
        const restore = { operation: 'restore', backupId, targets: ['database'] }
        const dry = await reset.succeed({ ...restore, dryRun: true })
        expect(dry).toMatchObject({ refusal: null })
        expect(dry.warnings.map(({ code }) => code)).toContain('NotCompared')
        await reset.succeed({ ...restore, confirm: environment })
      } finally {
        await admin.query(`GRANT TEMP ON DATABASE ${name} TO ${owner}, PUBLIC`)
        await sql.query('ALTER TABLE users DROP came_later')
      }
    },
  )

  test.runIf(isFull)(
    `that fails at its work is a warning of the dry run that it was for: the restore reads the backup otherwise ${inFullForm}`,
    async () => {
      const { admin, sql } = reset.stack
      const [{ owner }] = (await sql.query('SELECT quote_ident(current_user) AS owner')).rows
      await sql.query(
        `CREATE TABLE many (id int PRIMARY KEY, word text); INSERT INTO many SELECT g, 'word ' || g FROM generate_series(1, 20000) AS g`,
      )
      const backupId = await backUp()
      await sql.query(`UPDATE many SET word = word || '!'; UPDATE users SET name = name || '.'`)
      const restore = { operation: 'restore', backupId }
      const expectWarned = async (error: string) => {
        expect(await reset.run({ operation: 'diff', backupId })).toMatchObject({ status: 'FAILED', error })
        const dry = await reset.succeed({ ...restore, dryRun: true })
        expect(dry).toMatchObject({ status: 'succeeded_with_warnings', refusal: null, error: null })
        expect(dry).not.toHaveProperty('difference')
        const message = expect.stringContaining(`is not told row by row: ${error}: `)
        expect(dry.warnings).toContainEqual({ code: 'NotCompared', message })
      }
      await admin.query(
        `ALTER ROLE ${owner} SET temp_file_limit = '64kB'; ALTER ROLE ${owner} SET work_mem = '64kB'`,
      )
      try {
        await expectWarned('DatabaseFull')
      } finally {
        await admin.query(`ALTER ROLE ${owner} RESET temp_file_limit; ALTER ROLE ${owner} RESET work_mem`)
      }
      const { database } = await reset.manifestOf(backupId)
      const { key } = database!.tables.find(({ name }) => name === 'public.many')!.parts[0]!
      await reset.put(rangesKeyOf(key!), 'damaged', backupBucket)
      await expectWarned('BackupDamaged')
      await reset.succeed({ ...restore, confirm: environment })
      expect((await sql.query(`SELECT FROM many WHERE word LIKE '%!'`)).rowCount).toBe(0)
      await sql.query('DROP TABLE many')
    },
  )

  const refusals: [string, object, string][] = [
    ['an id that is none', { backupId: '../other' }, 'InvalidRequest'],
    ['a backup that is not there', { backupId: '2026-01-01T00-00-00Z-000000' }, 'NotFound'],
    ['another one that is not there', { to: '2026-01-01T00-00-00Z-000001' }, 'NotFound'],
    ['a word too much', { dryRun: true }, 'InvalidRequest'],
  ]
  test.each(refusals.slice(0, isFull ? undefined : 1))('is refused for %s', async (_says, fields, error) => {
    const ended = await reset.run({ operation: 'diff', backupId: '2026-01-01T00-00-00Z-000000', ...fields })
    expect(ended).toMatchObject({ status: 'FAILED', error })
  })
})
