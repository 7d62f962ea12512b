import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Outcome } from '../../lib/run/outcome.ts'
import { totalOf } from '../../local/database/store.ts'
import { countObjects } from '../../local/files/demonstration.ts'
import { withVariables } from '../e2e/reset-stack.ts'
import { inFullForm, isFull } from '../support/trust.ts'
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

  test.runIf(isFull)(
    'and a restore say how to put back what went, by a command that does it when it is pasted (full form)',
    async () => {
      const before = await cli.count()
      const { stdout } = await cli.cli(['reset', 'database-only', '--no-rehearse', '--confirm', 'local'])
      expect(stdout).toMatch(/database +wiped +539 rows in 7 tables/)
      const [, putBack = ''] =
        /To put back what was wiped:\n\n {2}npm run .*?cli -- (.*)\n$/.exec(stdout) ?? []
      const restored = await cli.cli(putBack.split(' '))
      expect(restored.code).toBe(0)
      expect(await cli.count()).toEqual(before)
      const [, backupId] = putBack.split(' ')
      expect(restored.stdout).toContain(`\nPut back: ${backupId}\n`)

      const [, goBack = ''] =
        /To go back to what was there before the restore.*:\n\n {2}npm run .*?cli -- (.*)\n$/.exec(
          restored.stdout,
        ) ?? []
      expect(goBack).not.toContain(backupId)
      const again = await cli.cli(goBack.split(' '))
      expect(again.code).toBe(0)
      expect(totalOf((await cli.count()).rows)).toBe(0)
    },
  )

  test.runIf(isFull)(
    'without --json it tells the same in words, after what goes and what stays; no backup is a warning (full form)',
    async () => {
      const { code, stdout, stderr } = await cli.cli([
        'reset',
        'files-only',
        '--no-backup',
        '--preserve-file',
        'none/',
        '--confirm',
        'local',
      ])
      expect(code).toBe(0)
      expect(stderr).toMatch(/generated_stories\/ +12 files/)
      expect(stderr).toContain('to be kept, but there is no file below it: none/')
      expect(stderr).toContain('Not touched: database, cache.')
      expect(stderr).toContain('NO BACKUP is taken')
      expect(stdout).toMatch(/reset files-only\) succeeded, with warnings, after/)
      expect(stdout).toMatch(/database +untouched\n/)
      expect(stdout).toMatch(/files +wiped +12 files/)
      expect(stdout).toContain('Warning NoBackup: ')
      expect(stdout).toContain('\nNo backup was taken: what was wiped cannot come back.\n')
      expect(stdout).toMatch(/after \d+\.\d\d s, at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\.\n/)
      // What has nothing to do is not told as done.
      for (const step of ['Export', 'Copy files', 'Wipe database', 'Wipe cache'])
        expect(stderr).not.toContain(step)
      expect(stderr).toContain('✓ Wipe files')
      await cli.refill()
    },
  )

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

  test.runIf(isFull)(`what is to be preserved stays, and the rest goes ${inFullForm}`, async () => {
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

  test.runIf(isFull)(
    'a dry run says in its words what would go and what would stay, and never that anything was done (full form)',
    async () => {
      const keep = ['--preserve-table', 'users', '--preserve-key', 'session:*']
      const { code, stdout, stderr } = await cli.cli(['reset', 'full', '--dry-run', ...keep])
      expect(code).toBe(0)
      expect(stdout).toMatch(
        /^The dry run \S+ \(reset full\) took \S+ s; nothing was wiped, replaced or backed up\.\n\nWith this request, the reset would do this:\n/,
      )
      expect(stdout).toMatch(/public\.users +20 rows +would stay\n/)
      expect(stdout).toMatch(/public\.worlds +15 rows +would be wiped\n/)
      expect(stdout).toMatch(/files +12 files, \S+ KiB +would be wiped\n/)
      expect(stdout).toMatch(/cache +30 keys +would be wiped but for 5 keys\n/)
      expect(stdout).toContain(
        'First a backup of what is there now would be written, read back byte for byte, loaded into a scratch schema, and compared row by row, but for what an earlier one proved lately; without it nothing would be wiped.',
      )
      expect(stdout + stderr).not.toMatch(/succeeded|untouched|To put back|Type the/)
      const runs = await cli.cli(['runs'])
      expect(runs.stdout.split('\n')[1]).toMatch(
        /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC +\S+ +reset +full +dry run: would not be refused$/,
      )
    },
  )

  test.runIf(isFull)(
    'a dry run that the real one would be refused for begins with that, and ends with its exit code (full form)',
    async () => {
      // The functions run in this process.
      const { code, stdout } = await withVariables({ MAX_ROWS: '100' }, () =>
        cli.cli(['reset', 'database-only', '--dry-run', '--no-backup']),
      )
      expect(code).toBe(3)
      expect(stdout).toMatch(
        /^reset database-only would be refused: LimitExceeded: The reset would wipe 539 rows, more than MAX_ROWS=100 allows\. .*raise MAX_ROWS/,
      )
      expect(stdout).toContain('the reset would do this if it were not refused:')
      expect(stdout).toMatch(/public\.users +20 rows +would be wiped\n/)
      expect(stdout).toContain('It would not touch: files, cache.')
      expect(stdout).toContain('NO BACKUP would be taken first: what goes could not come back.')
      const runs = await cli.cli(['runs', '--json'])
      expect(runs.json.runs[0]).toMatchObject({ operation: 'reset', dryRun: true })
      expect((await cli.cli(['runs'])).stdout).toContain('dry run: would be refused (LimitExceeded)')
      const again = await cli.cli(['runs', runs.json.runs[0].runId])
      expect(again.stdout).toMatch(/^reset database-only would be refused: LimitExceeded: /)
    },
  )

  test.runIf(isFull)(
    `a dry run says of a table of which some rows stay how many those are ${inFullForm}`,
    async () => {
      const { code, stdout } = await withVariables({ PRESERVE_ROWS: '{"users":"id <= 3"}' }, () =>
        cli.cli(['reset', 'database-only', '--dry-run']),
      )
      expect(code).toBe(0)
      expect(stdout).toMatch(/public\.users +20 rows +would be wiped but for 3 rows\n/)
    },
  )
})

describe('other commands', () => {
  test.runIf(isFull)(
    `backup wipes nothing; backups and runs list what it did, and runs <id> tells it again ${inFullForm}`,
    async () => {
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
      expect(backups.json.backups[0]).toMatchObject({
        backupId: json.backupId,
        rows: 539,
        files: 12,
        keys: 30,
      })
      expect(runs.json.runs[0]).toMatchObject({ runId: json.runId, operation: 'backup', status: 'succeeded' })
      const { steps, ...told } = run.json
      expect(told).toEqual(json)
      expect(steps.Seal.to >= steps.Seal.from).toBe(true)
      expect((await cli.cli(['runs', json.runId])).stdout).toMatch(/^ {2}Seal +\d+\.\d\d s$/m)
      expect(none).toMatchObject({ code: 2, json: { error: { name: 'NotFound' } } })
    },
  )

  test.runIf(isFull)(
    `options counts what is there, and says what each strategy clears and preserves ${inFullForm}`,
    async () => {
      const { code, stdout } = await cli.cli(['options'])
      expect(code).toBe(0)
      expect(stdout).toMatch(/public\.users +User +20 rows/)
      expect(stdout).toMatch(
        /files-only +Clears the files .* Preserves the tables of public and all cache keys/,
      )
    },
  )
})
