import { describe, expect, test, vi } from 'vitest'
import { errorKinds } from '../../lib/errors.ts'
import { parseRequest } from '../../lib/run/request.ts'
import { asFlags } from '../../local/cli/as-flags.ts'
import { exitCodeOf } from '../../local/cli/exit-code.ts'
import { main } from '../../local/cli/main.ts'
import { exampleOf } from '../../local/cli/request.ts'
import { type Ended, runScript } from './run-script.ts'

vi.setConfig({ testTimeout: 90_000 })

/** The command line without a process of its own, where nobody can be asked and nothing may be carried out. */
async function cli(args: string[]): Promise<Ended> {
  const perform = () => Promise.reject(new Error('This should have been refused'))
  const ended = await main(args, { isTerminal: false, perform })
  return { ...ended, json: args.includes('--json') ? JSON.parse(ended.stdout) : undefined }
}

describe('the command line', () => {
  test('--help names every command, every strategy and every exit code', async () => {
    const { code, stdout, stderr } = await cli(['--help'])
    expect(code).toBe(0)
    expect(stderr).toBe('')
    for (const word of [
      'options',
      'backup [strategy]',
      'reset <strategy>',
      'backups',
      'delete <backupId>',
      'pin <backupId>',
      'cancel <runId>',
      'runs [id]',
      'claim',
    ]) {
      expect(stdout).toContain(`  ${word} `)
    }
    expect(stdout).toContain('full, database-only, files-only, cache-only')
    for (const line of [
      /^ {2}0 +succeeded/m,
      /^ {2}1 +.*failed/m,
      /^ {2}2 +.*wrong/m,
      /^ {2}3 +refused/m,
      /^ {2}4 +another run/m,
    ]) {
      expect(stdout).toMatch(line)
    }
  })

  test.each(['backup', 'reset', 'restore', 'verify', 'delete', 'claim'])(
    'a right request for %s, as an error shows it, is one',
    async (command) => {
      const { code, stderr } = await cli([command, '--request', '{'])
      expect(code).toBe(2)
      expect(stderr).toContain(asFlags(exampleOf(command)))
      expect(parseRequest(JSON.parse(exampleOf(command)))).toMatchObject({ operation: command })
    },
  )

  test('ends with the code of who has to act: the caller, a guard, nobody but the other run, or whoever looks after the stores', () => {
    const names = (code: number) => [...errorKinds.keys()].filter((name) => exitCodeOf(name) === code).sort()
    expect(names(2)).toEqual([
      'BackupTooNew',
      'IdempotencyConflict',
      'InvalidConfiguration',
      'InvalidRequest',
    ])
    expect(names(3)).toEqual([
      'BackupKept',
      'BackupUnsigned',
      'ConfirmationMismatch',
      'EnvironmentMismatch',
      'EnvironmentProtected',
      'EnvironmentUnclaimed',
      'ForeignBackup',
      'KeysReserved',
      'LimitExceeded',
      'NotPermitted',
      'PreservationConflict',
      'RowsHidden',
      'RunEnded',
      'RunStarting',
      'SchemaChanged',
      'TooLateToCancel',
    ])
    expect(names(4)).toEqual(['BackupBeingPruned', 'RunActive'])
    expect(names(1)).toHaveLength(errorKinds.size - 22)
    expect(exitCodeOf('NoSuchError')).toBe(1)
  })

  test.each(['options', 'backup', 'reset', 'backups', 'runs', 'claim'])(
    '%s --help shows its options',
    async (command) => {
      const { code, stdout } = await cli([command, '--help'])
      expect(code).toBe(0)
      expect(stdout).toMatch(new RegExp(`^Usage: npm run -s cli -- ${command}\\b`))
      expect(stdout).toContain('--json')
    },
  )

  test.each([
    ['no command', [], 'A command is missing'],
    ['an unknown command', ['wipe'], 'There is no command "wipe"'],
    ['an option before the command', ['--dry-run', 'reset'], 'The command comes first'],
    ['an option of another command', ['options', '--dry-run'], "Unknown option '--dry-run'"],
    ['one word too much', ['reset', 'full', 'now'], '"now" is too much'],
    ['an option without its value', ['claim', '--confirm'], '--confirm'],
    ['a reset without a strategy', ['reset', '--confirm', 'local'], 'needs a strategy'],
    ['a delete without a backup', ['delete', '--confirm', 'local'], 'needs the id of a backup'],
  ])('%s exits 2 and shows the help', async (_says, args, error) => {
    const { code, stdout, stderr } = await cli(args)
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain(error)
    expect(stderr).toContain('Usage: npm run -s cli --')
  })

  test('an unknown option exits 2 and shows the help of its command', async () => {
    const { code, stderr } = await cli(['reset', 'full', '--force'])
    expect(code).toBe(2)
    expect(stderr).toContain("Unknown option '--force'")
    expect(stderr).toContain('Usage: npm run -s cli -- reset <strategy>')
    expect(stderr).toContain('--no-backup')
  })

  test('an unknown strategy exits 2 and names the right ones', async () => {
    const { code, stderr } = await cli(['reset', 'everything', '--confirm', 'local'])
    expect(code).toBe(2)
    expect(stderr).toMatch(/strategy: .*"full".*"cache-only"/)
  })

  test('a table that is left out of a restore without the database exits 2, in the words of the command line', async () => {
    const { code, stderr } = await cli(['restore', 'b', '--target', 'files', '--without', 'public.t'])
    expect(code).toBe(2)
    expect(stderr).toContain('--target leaves out the database, so none are put back. Take --without out')
  })

  test('with --json an error is one document on stdout too', async () => {
    const { code, json } = await cli(['reset', 'everything', '--json'])
    expect(code).toBe(2)
    expect(json).toEqual({ error: { name: 'InvalidRequest', message: expect.stringContaining('strategy') } })
  })

  test.each([
    ['reset', ['reset', 'full']],
    ['restore', ['restore', '2026-11-22T03-00-00Z-3f9a']],
    ['delete', ['delete', '2026-11-22T03-00-00Z-3f9a']],
    ['claim', ['claim']],
    ['reset by --request', ['reset', '--request', '{"operation":"reset","strategy":"full"}']],
  ])('without confirm where nobody can be asked, %s is refused with 3', async (_says, args) => {
    const { code, stderr } = await cli(args)
    expect(code).toBe(3)
    expect(stderr).toMatch(/^ConfirmationMismatch: .*Nothing was touched; say --confirm <name>/)
    expect(stderr).toContain(`${args[0]} needs the environment's name`)
  })
})

describe('--request', () => {
  test.each([
    ['text that is no JSON', '{strategy: full}', '--request is not JSON'],
    ['an empty object', '{}', 'operation: '],
    ['no object', '[]', 'The request is wrong'],
    ['an unknown key', '{"operation":"reset","strategy":"full","force":true}', '"force"'],
    ['a wrong type', '{"operation":"reset","strategy":"full","backup":"no"}', 'backup: '],
    ['another operation', '{"operation":"backup"}', 'Use the command backup'],
    ['a file that is not there', '@no-such-file.json', 'cannot be read'],
  ])('%s exits 2', async (_says, given, error) => {
    const { code, json } = await cli(['reset', '--json', '--request', given])
    expect(code).toBe(2)
    expect(json.error.name).toBe('InvalidRequest')
    expect(json.error.message).toContain(error)
  })

  test('together with other options it exits 2', async () => {
    const { code, stderr } = await cli(['backup', 'full', '--request', '{"operation":"backup"}'])
    expect(code).toBe(2)
    expect(stderr).toContain('--request holds the whole request')
  })
})

describe.concurrent('a process of its own', () => {
  test.each([
    [0, ['--help']],
    [2, ['reset', 'everything', '--json']],
    [3, ['reset', 'full']],
  ])('ends with %i and writes the same after %j', async (code, args) => {
    const ended = await runScript('cli', args)
    expect(ended.code).toBe(code)
    expect(ended).toEqual(await cli(args))
  })

  test('reads a request from stdin; a huge one exits 2', async () => {
    const tables = Array.from({ length: 900 }, (_, i) => `table_${i}_${'x'.repeat(100)}`)
    const input = JSON.stringify({ operation: 'reset', strategy: 'full', preserve: { tables } })
    const { code, stderr } = await runScript('cli', ['reset', '--request', '-'], { input })
    expect(code).toBe(2)
    expect(stderr).toMatch(/The request has \d+ bytes, more than the 65536/)
  })

  test('services that are given only in part exit 2, before anything is started', async () => {
    const env = {
      DATABASE_URL: 'postgres://app:secret@127.0.0.1:1/app',
      AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1',
    }
    const { code, stderr } = await runScript('cli', ['options'], { env })
    expect(code).toBe(2)
    expect(stderr).toContain('REDIS_URL')
    expect(stderr).not.toContain('secret')
  })

  test('the embedded S3 is refused together with a database that outlives it', async () => {
    const env = { DATABASE_URL: 'postgres://app:secret@127.0.0.1:1/app' }
    const { code, stderr } = await runScript('cli', ['reset', 'full', '--confirm', 'local'], { env })
    expect(code).toBe(2)
    expect(stderr).toContain('forgets it when it stops')
  })
})
