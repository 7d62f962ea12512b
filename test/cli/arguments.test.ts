import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, test, vi } from 'vitest'
import { errorKinds } from '../../lib/errors.ts'
import { parseRequest } from '../../lib/run/request.ts'
import { asFlags } from '../../local/cli/as-flags.ts'
import { exitCodeOf } from '../../local/cli/exit-code.ts'
import { main } from '../../local/cli/main.ts'
import { nameOf } from '../../local/cli/program.ts'
import { aboutShown, confirmed, exampleOf, type Wanted } from '../../local/cli/request.ts'
import { askForName, needsName } from '../../local/cli/run/confirm.ts'
import { askToCancel, listenForInterruption } from '../../local/cli/run/interrupt.ts'
import { adoptEnvironment, namesOthers } from '../../local/cli/running-stack.ts'
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

  test.each(['backup', 'reset', 'restore', 'verify', 'diff', 'delete', 'claim'])(
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
      'AmbiguousBackup',
      'BackupTooNew',
      'IdempotencyConflict',
      'InvalidConfiguration',
      'InvalidRequest',
      'NotComparable',
      'UnknownBackup',
    ])
    expect(names(3)).toEqual([
      'BackupKept',
      'BackupUnsigned',
      'ConfirmationMismatch',
      'EnvironmentMismatch',
      'EnvironmentProtected',
      'EnvironmentUnclaimed',
      'ForeignBackup',
      'HookRefused',
      'KeysReserved',
      'LabelMoved',
      'LabelRefused',
      'LimitExceeded',
      'NotEmpty',
      'NotPermitted',
      'ParentsMissing',
      'PreservationConflict',
      'RowsHidden',
      'RunEnded',
      'RunStarting',
      'SchemaChanged',
      'TooLateToCancel',
    ])
    expect(names(4)).toEqual(['BackupBeingPruned', 'RunActive'])
    expect(names(1)).toHaveLength(errorKinds.size - 30)
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
    ['an unknown command', ['wipe'], 'There is no command "wipe". The commands are options, '],
    ['a command that is nearly one', ['bakcup'], 'There is no command "bakcup". Did you mean backup?'],
    [
      'an option that is nearly one',
      ['reset', 'full', '--dryrun'],
      "Unknown option '--dryrun'. Did you mean --dry-run?",
    ],
    ['a strategy that is nearly one', ['reset', 'fulll'], 'There is no strategy "fulll". Did you mean full?'],
    ['a backup of what is nearly a store', ['backup', 'fils-only'], 'Did you mean files-only?'],
    ['help for what is no command', ['help', 'bakcups'], 'Did you mean backups?'],
    [
      'a shell that there is no completion for',
      ['completion', 'tcsh'],
      'completion needs the name of a shell: bash, zsh or fish',
    ],
    ['an option before the command', ['--dry-run', 'reset'], 'The command comes first'],
    ['an option of another command', ['options', '--dry-run'], "Unknown option '--dry-run'"],
    ['one word too much', ['reset', 'full', 'now'], '"now" is too much'],
    ['a word for a command that takes none', ['options', 'now'], '"now" is too much'],
    [
      'a token for nothing',
      ['backups', '--token-file', 'token'],
      'holds the token for --api, which is missing',
    ],
    [
      'tables to be made where there is only an API',
      ['restore', 'latest', '--into-empty', '--api', 'https://reset.example'],
      'does not go with --api',
    ],
    [
      'a folder to be uploaded where there is only an API',
      ['upload', 'folder', '--api', 'https://reset.example'],
      'upload writes and signs at the services themselves, so it does not go with --api',
    ],
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

  test('help of a command is that of its option --help, and --version is that of package.json', async () => {
    expect(await cli(['help', 'reset'])).toEqual(await cli(['reset', '--help']))
    expect(await cli(['help'])).toEqual(await cli(['--help']))
    const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
    expect(await cli(['--version'])).toMatchObject({ code: 0, stdout: `taskmaster-reset ${version}\n` })
    expect((await cli(['--json', '--version'])).json).toEqual({ version })
  })

  test('says of a command to paste how it was called itself, and never has npx look for a name in the registry', () => {
    expect(nameOf('/somewhere/local/cli.ts', false)).toBe('npm run -s cli --')
    expect(nameOf('/somewhere/bin/taskmaster-reset.mjs', false)).toBe('npx taskmaster-reset')
    expect(nameOf('/somewhere/node_modules/.bin/taskmaster-reset', true)).toBe('taskmaster-reset')
    expect(nameOf(undefined, false)).toBe('npm run -s cli --')
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
    expect(stderr).toContain(
      'There is no strategy "everything". The strategies are full, database-only, files-only, cache-only\n',
    )
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

describe('a command is the request that it says', () => {
  /** What a command sends, and how it is understood; where a person can be asked for the name. */
  async function sent(args: string[]): Promise<Wanted> {
    let given: Wanted | undefined
    const perform = async (_: unknown, wanted: Wanted | undefined) => {
      given = wanted
      return { document: null, text: '', code: 0 as const }
    }
    const { code, stderr } = await main(args, { isTerminal: true, perform })
    expect([code, stderr]).toEqual([0, ''])
    return given!
  }

  test.each<[command: string, request: object]>([
    ['backup', { operation: 'backup' }],
    ['backup cache-only --rehearse', { operation: 'backup', strategy: 'cache-only', rehearse: true }],
    ['backup --full --rehearse-all', { operation: 'backup', takeOver: false, rehearse: 'all' }],
    ['backup --no-rehearse --dry-run', { operation: 'backup', rehearse: false, dryRun: true }],
    [
      'reset full --no-backup --confirm local --idempotency-key k',
      { operation: 'reset', strategy: 'full', backup: false, confirm: 'local', idempotencyKey: 'k' },
    ],
    [
      'reset full --preserve-table a --preserve-table b --preserve-file c/ --preserve-key d:*',
      {
        operation: 'reset',
        strategy: 'full',
        preserve: { tables: ['a', 'b'], files: ['c/'], keys: ['d:*'] },
      },
    ],
    ['restore b', { operation: 'restore', backupId: 'b' }],
    [
      'restore b --target files --target database --exact --without public.t --no-safety-backup',
      {
        ...{ operation: 'restore', backupId: 'b', targets: ['files', 'database'], exact: true },
        ...{ without: ['public.t'], safetyBackup: false },
      },
    ],
    [
      'restore b --allow-foreign --allow-unsigned --no-rehearse',
      { operation: 'restore', backupId: 'b', allowForeign: true, allowUnsigned: true, rehearse: false },
    ],
    [
      'verify b --rehearse --allow-foreign',
      { operation: 'verify', backupId: 'b', rehearse: true, allowForeign: true },
    ],
    ['diff b c', { operation: 'diff', backupId: 'b', to: 'c' }],
    ['diff b --allow-unsigned', { operation: 'diff', backupId: 'b', allowUnsigned: true }],
    ['diff b --rows users', { operation: 'diff', backupId: 'b', rows: { table: 'users' } }],
    [
      'diff b c --rows app.users --limit 5',
      { operation: 'diff', backupId: 'b', to: 'c', rows: { table: 'app.users', limit: 5 } },
    ],
    ['delete b --confirm local', { operation: 'delete', backupId: 'b', confirm: 'local' }],
    ['claim --confirm local', { operation: 'claim', confirm: 'local' }],
  ])('%s', async (command, request) => {
    const requestedBy = expect.stringMatching(/^cli ./)
    expect(await sent(command.split(' '))).toEqual({
      ...{ sent: { ...request, requestedBy }, request: parseRequest(request) },
    })
  })

  test('and --request is the whole of it, also who asks', async () => {
    const request = { operation: 'backup', strategy: 'files-only', requestedBy: 'somebody else' }
    expect(await sent(['backup', '--request', JSON.stringify(request)])).toEqual({
      ...{ sent: request, request: parseRequest(request) },
    })
  })

  test('which cannot contradict itself', async () => {
    const { code, stderr } = await cli(['verify', 'b', '--rehearse', '--no-rehearse'])
    expect([code, stderr]).toEqual([2, expect.stringContaining("Unknown option '--no-rehearse'")])
    const both = await cli(['backup', '--rehearse', '--no-rehearse'])
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('contradict each other')])
    const rehearsals = await cli(['backup', '--rehearse-all', '--no-rehearse'])
    expect([rehearsals.code, rehearsals.stderr]).toEqual([
      2,
      expect.stringContaining('contradict each other'),
    ])
    const json = await cli(['claim', '--request', '{}', '--confirm', 'local'])
    expect(json.stderr).toContain('--request holds the whole request, so --confirm cannot be given as well')
  })
})

describe('the name of the environment', () => {
  const request = parseRequest({ operation: 'reset', strategy: 'full' })
  async function type(line: string) {
    const [input, output] = [new PassThrough(), new PassThrough()]
    const asked = askForName('local', request, { input, output })
    input.write(`${line}\n`)
    const answer = await asked.catch((error: Error) => error.message)
    expect(String(output.read())).toBe("Type the environment's name (local) to reset it: ")
    return answer
  }

  test('is asked for, and only the whole of it confirms', async () => {
    for (const typed of ['', 'loc', 'Local', 'locale', 'yes'])
      expect(await type(typed)).toBe(`"${typed}" is not the environment's name, "local". Nothing was touched`)
    expect(await type(' local ')).toEqual({ name: 'local' })
  })

  test('is what the request is confirmed by, and is asked for once, and never for what changes nothing', () => {
    const named = confirmed({ sent: { operation: 'reset' }, request }, 'local')
    expect(named).toMatchObject({
      sent: { operation: 'reset', confirm: 'local' },
      request: { confirm: 'local' },
    })
    const needs = (wanted: object) => needsName(parseRequest(wanted))
    expect([request, named.request].map(needsName)).toEqual([true, false])
    expect(needs({ operation: 'reset', strategy: 'full', dryRun: true })).toBe(false)
    expect(needs({ operation: 'backup' })).toBe(false)
    expect(needs({ operation: 'delete', backupId: 'b' })).toBe(true)
    expect(needs({ operation: 'claim' })).toBe(true)
  })

  test('confirms what was shown: a reset says which backup its label meant, and whatever else names one is about that', () => {
    const about = (sent: Record<string, unknown>) =>
      aboutShown({ sent, request: parseRequest(sent) }, 'shown')
    const reset = { operation: 'reset', strategy: 'full', to: 'baseline', confirm: 'local' }
    const both = { to: 'baseline', toBackupId: 'shown' }
    expect(about(reset)).toMatchObject({ sent: both, request: both })
    expect(about({ operation: 'restore', backupId: 'latest', confirm: 'local' })).toMatchObject({
      sent: { backupId: 'shown' },
      request: { backupId: 'shown' },
    })
    const wanted = { sent: reset, request: parseRequest(reset) }
    expect(aboutShown(wanted, undefined)).toEqual(wanted)
  })
})

describe('the stack of npm run dev', () => {
  const env = { DATABASE_URL: 'postgres://a', AWS_ENDPOINT_URL_S3: 'http://b' }

  test('is used unless the environment names another service than it does', () => {
    const names = (environment: NodeJS.ProcessEnv) => namesOthers(environment, { pid: 1, env })
    expect([{}, env, { DATABASE_URL: '' }, { MAX_ROWS: '1' }].map(names)).toEqual([
      false,
      false,
      false,
      false,
    ])
    const others = [
      'DATABASE_URL',
      'REDIS_URL',
      'UPSTASH_REDIS_REST_URL',
      'AWS_ENDPOINT_URL_S3',
      'STATE_MACHINE_ARN',
    ]
    for (const name of others) expect(names({ ...env, [name]: 'another' }), name).toBe(true)
    // While it is still starting, nobody knows what it will name.
    expect(namesOthers(env, { pid: 1, env: null })).toBe(true)
  })

  test('is taken whole: what the shell had set of the configuration counts no more', () => {
    const before = { ...process.env }
    try {
      Object.assign(process.env, { PROTECTED: 'true', REDIS_URL: 'redis://of-the-shell', UNRELATED: 'kept' })
      adoptEnvironment(env)
      expect(process.env).toMatchObject({ ...env, UNRELATED: 'kept' })
      expect([process.env.PROTECTED, process.env.REDIS_URL]).toEqual([undefined, undefined])
    } finally {
      for (const name of Object.keys(process.env)) delete process.env[name]
      Object.assign(process.env, before)
    }
  })
})

test('Ctrl-C is heard once and once more, but not twice for one that npm passes on; and no longer than it is listened for', () => {
  vi.useFakeTimers({ toFake: ['Date'], now: 0 })
  try {
    const others = process.listenerCount('SIGINT')
    const { first, second, forget } = listenForInterruption()
    const press = (at: number) => {
      vi.setSystemTime(at)
      process.listeners('SIGINT').at(-1)?.('SIGINT') // nobody else's
      return [first.aborted, second.aborted]
    }
    expect([5_000, 5_900, 6_000].map(press)).toEqual([
      ...[
        [true, false],
        [true, false],
        [true, true],
      ],
    ])
    forget()
    expect(process.listenerCount('SIGINT')).toBe(others)
  } finally {
    vi.useRealTimers()
  }
})

describe('--request', () => {
  test.each([
    ['text that is no JSON', '{strategy: full}', '--request is not JSON'],
    ['a list that is no JSON', '{"without": [x]}', '--request is not JSON'],
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

describe('the question at Ctrl-C', () => {
  const question = 'c: cancel it, l: leave it running, Enter: go on watching: '
  async function answered(...lines: string[]) {
    const terminal = () => Object.assign(new PassThrough(), { isTTY: true })
    const [input, output] = [terminal(), terminal()]
    const asking = { choices: ['cancel', 'leave'], otherwise: 'leave' } as const
    const asked = askToCancel('r', asking, new AbortController().signal, { input, output })
    let shown = ''
    output.on('data', (chunk) => {
      shown += chunk
    })
    for (const [at, line] of lines.entries()) {
      await vi.waitFor(() => expect(shown.match(/, Enter: go on watching: /g)).toHaveLength(at + 1), 20_000)
      input.write(`${line}\r`)
    }
    return { answer: await asked, shown }
  }

  test('takes a word or its beginning, and Enter', async () => {
    const answers = [await answered('c'), await answered(' LEAVE '), await answered('')]
    expect(answers.map(({ answer }) => answer)).toEqual(['cancel', 'leave', 'go on'])
  })

  test('is asked again after another answer, which decides nothing', async () => {
    const { answer, shown } = await answered('zz', 'no', 'cancel')
    expect(answer).toBe('cancel')
    expect(shown).toContain(`"zz" is no answer. ${question}`)
    expect(shown).toContain(`"no" is no answer. ${question}`)
  })
})

describe.concurrent('a process of its own', () => {
  test.each([
    [0, ['help', 'runs']],
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

  test('beside a stack of npm run dev that is still starting starts none of its own', async () => {
    const cwd = await mkdtemp(join(tmpdir(), 'cli-starting-'))
    try {
      await writeFile(join(cwd, '.taskmaster-dev.json'), JSON.stringify({ pid: process.pid, env: null }))
      const { code, stderr } = await runScript('cli', ['reset', 'full', '--confirm', 'local'], { cwd })
      expect(code).toBe(1)
      expect(stderr).toContain(`(process ${process.pid}) is still starting. Try again in a few seconds`)
    } finally {
      await rm(cwd, { recursive: true })
    }
  })

  test('the embedded S3 is refused together with a database that outlives it', async () => {
    const env = { DATABASE_URL: 'postgres://app:secret@127.0.0.1:1/app' }
    const { code, stderr } = await runScript('cli', ['reset', 'full', '--confirm', 'local'], { env })
    expect(code).toBe(2)
    expect(stderr).toContain('forgets it when it stops')
  })
})
