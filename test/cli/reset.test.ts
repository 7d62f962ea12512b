import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Outcome } from '../../lib/run/outcome.ts'
import { countObjects, totalOf } from '../../local/demo/counts.ts'
import { useCliStack } from './cli-stack.ts'

const cli = useCliStack()
let isSpent = false

// The sample is made anew only when a test has wiped it.
beforeEach(async () => {
  if (isSpent) await cli.refill()
  isSpent = false
})
afterEach(async () => {
  isSpent = totalOf((await cli.count()).rows) !== 539
})

describe('reset', () => {
  test('the counts of the JSON equal what SQL, S3 and Redis find before and after', async () => {
    const before = await cli.count()
    const { code, json, stderr } = await cli.cli(['reset', 'full', '--confirm', 'local', '--json'])
    expect(code).toBe(0)
    expect(Outcome.parse(json)).toEqual(json) // exactly the documented keys
    expect(json).toMatchObject({
      operation: 'reset',
      strategy: 'full',
      status: 'succeeded',
      targets: {
        database: { state: 'wiped', rows: totalOf(before.rows), tables: before.rows },
        files: { state: 'wiped', ...before.files },
        cache: { state: 'wiped', keys: before.keys },
      },
      warnings: [],
      error: null,
    })
    expect(totalOf(before.rows)).toBe(539)
    const after = await cli.count()
    expect(totalOf(after.rows)).toBe(0)
    expect(after).toMatchObject({ files: { objects: 0 }, keys: 0 })
    const { env, s3 } = cli.stack
    const copies = `.taskmaster/backups/${json.backupId}/files/`
    expect(json.backupPrefix).toBe(`s3://${env.BACKUP_BUCKET}/.taskmaster/backups/${json.backupId}/`)
    expect(await countObjects(s3, env.BACKUP_BUCKET ?? '', copies)).toEqual(before.files)
    for (const step of ['Count', 'Export database', 'Seal', 'Wipe cache'])
      expect(stderr).toContain(`✓ ${step}`)
  })

  test('without --json it tells the same in words, after what goes and what stays; no backup is a warning', async () => {
    const { code, stdout, stderr } = await cli.cli([
      'reset',
      'files-only',
      '--no-backup',
      '--confirm',
      'local',
    ])
    expect(code).toBe(0)
    expect(stderr).toMatch(/generated_stories\/ +12 files/)
    expect(stderr).toContain('Not touched: database, cache.')
    expect(stderr).toContain('NO BACKUP is taken')
    expect(stdout).toMatch(/reset files-only\) succeeded, with warnings, after/)
    expect(stdout).toMatch(/database +untouched +0 rows/)
    expect(stdout).toMatch(/files +wiped +12 files/)
    expect(stdout).toContain('Warning NoBackup: ')
    await cli.refill()
  })

  test('a wrong confirm is refused with 3, and nothing is touched', async () => {
    const before = await cli.count()
    const { code, json } = await cli.cli(['reset', 'full', '--confirm', 'production', '--json'])
    expect(code).toBe(3)
    expect(Outcome.parse(json)).toEqual(json)
    expect(json).toMatchObject({
      operation: 'reset',
      strategy: 'full',
      status: 'failed',
      backupId: null,
      targets: { database: { state: 'untouched', rows: 0, tables: {} }, files: { state: 'untouched' } },
      error: { name: 'ConfirmationMismatch' },
    })
    expect(await cli.count()).toEqual(before)
  })

  test('what is to be preserved stays, and the rest goes', async () => {
    const before = await cli.count()
    const keep = ['--preserve-table', 'users', '--preserve-file', 'pinned/', '--preserve-key', 'session:*']
    const { code, json } = await cli.cli(['reset', 'full', '--confirm', 'local', '--json', ...keep])
    expect(code).toBe(0)
    const after = await cli.count()
    expect(after.rows['public.users']).toBe(before.rows['public.users'])
    expect(totalOf(after.rows)).toBe(after.rows['public.users'])
    expect(after.keys).toBe(5)
    expect(json.targets.cache.keys).toBe(before.keys - 5)
    expect(json.targets.database.rows).toBe(totalOf(before.rows) - totalOf(after.rows))
    await cli.refill()
  })

  test('a dry run tells the plan and changes nothing', async () => {
    const before = await cli.count()
    const { code, json } = await cli.cli(['reset', 'full', '--dry-run', '--json'])
    expect(code).toBe(0)
    expect(json).toMatchObject({
      dryRun: true,
      status: 'succeeded',
      backupId: null,
      targets: {
        database: { state: 'untouched' },
        files: { state: 'untouched' },
        cache: { state: 'untouched' },
      },
      plan: { clears: ['database', 'files', 'cache'], files: before.files, cache: { keys: before.keys } },
    })
    const planned = json.plan.database.tables.map(({ name, rows }: { name: string; rows: number }) => [
      name,
      rows,
    ])
    expect(Object.fromEntries(planned)).toEqual(before.rows)
    expect(await cli.count()).toEqual(before)
  })
})

describe('other commands', () => {
  test('backup wipes nothing; backups and runs list what it did, and runs <id> tells it again', async () => {
    const before = await cli.count()
    const { code, json } = await cli.cli(['backup', '--json'])
    expect(code).toBe(0)
    expect(json).toMatchObject({
      operation: 'backup',
      strategy: 'full',
      targets: { database: { state: 'backed_up', rows: 539 }, files: { state: 'backed_up' } },
    })
    expect(await cli.count()).toEqual(before)
    const [backups, runs, run, none] = await Promise.all([
      cli.cli(['backups', '--json']),
      cli.cli(['runs', '--json']),
      cli.cli(['runs', json.runId, '--json']),
      cli.cli(['runs', 'no-such-run', '--json']),
    ])
    expect(backups.json.backups[0]).toMatchObject({ backupId: json.backupId, rows: 539, files: 12, keys: 30 })
    expect(runs.json.runs[0]).toMatchObject({ runId: json.runId, operation: 'backup', status: 'succeeded' })
    expect(run.json).toEqual(json)
    expect(none).toMatchObject({ code: 1, json: { error: { name: 'NotFound' } } })
  })

  test('options counts what is there, and says what each strategy clears and preserves', async () => {
    const { code, stdout } = await cli.cli(['options'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/public\.users +User +20 rows/)
    expect(stdout).toMatch(
      /files-only +Clears the files .* Preserves the tables of public and all cache keys/,
    )
  })
})
