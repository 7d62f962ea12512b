import { createServer } from 'node:http'
import { GetExecutionHistoryCommand } from '@aws-sdk/client-sfn'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { executionArn, machineArnOf } from '../../lib/executions/executions.ts'
import { logger } from '../../lib/log.ts'
import { currentClients } from '../../lib/task.ts'
import { close, LOOPBACK, listen } from '../../local/loopback.ts'
import { s3Error } from '../files/s3-front.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { recordMessages } from './client-messages.ts'
import { useFronts } from './fronts.ts'
import {
  environment,
  filesPrefix,
  fullReset,
  quickReset,
  useResetStack,
  withVariables,
} from './reset-stack.ts'

let beforeTask: (state: string) => void | Promise<void> = () => {}
const reset = useResetStack({ beforeTask: (state) => beforeTask(state) })
const fronts = useFronts(reset)

/** In every row, file and value of the sample, and nowhere else. */
const content = 'content-of-the-application'

let lines = ''
const write = { stdout: process.stdout.write, stderr: process.stderr.write }

beforeAll(() => {
  logger.setLogLevel('DEBUG')
  for (const name of ['stdout', 'stderr'] as const) {
    process[name].write = ((chunk: string | Uint8Array) => {
      lines += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString()
      return true
    }) as typeof process.stdout.write
  }
})
afterAll(() => {
  Object.assign(process.stdout, { write: write.stdout })
  Object.assign(process.stderr, { write: write.stderr })
  logger.setLogLevel('SILENT')
})

async function seed(): Promise<void> {
  await reset.seed({ users: 3, files: 0, keys: 0 })
  await reset.stack.sql.query(`UPDATE users SET name = '${content}' || id, role = '${content}'`)
  await reset.put(`${filesPrefix}story.txt`, content)
  await reset.stack.redis.set('page:1', content)
}

/** What the handlers logged, as parsed lines. */
async function logOf(use: () => Promise<unknown>): Promise<Record<string, unknown>[]> {
  lines = ''
  await use()
  return lines
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
}

function secrets(): string[] {
  const { DATABASE_URL = '', UPSTASH_REDIS_REST_TOKEN = '' } = reset.stack.env
  const password = new URL(DATABASE_URL).password
  return [password, UPSTASH_REDIS_REST_TOKEN, 'wrong-hunter2', content]
}

/** What the states of an execution were given and gave. */
async function statesOf(name: string): Promise<string> {
  const { sfn, config } = await currentClients()
  const { events } = await sfn.send(
    new GetExecutionHistoryCommand({ executionArn: executionArn(machineArnOf(config), name) }),
  )
  return JSON.stringify(events)
}

async function checkNothingTold(): Promise<void> {
  const environment = await reset.stack.admin.query(
    'SELECT fingerprint_seed::text AS seed FROM taskmaster_reset.environment',
  )
  const hidden = [...secrets(), environment.rows[0].seed]
  expect(hidden.every((secret) => secret.length > 8)).toBe(true)
  const ledger = await reset.stack.admin.query(
    'SELECT row_to_json(r)::text AS text FROM taskmaster_reset.runs r',
  )
  const outward = await reset.stack.admin.query(
    `SELECT row_to_json(c)::text AS text FROM taskmaster_reset.calls c
     UNION ALL SELECT row_to_json(n)::text FROM taskmaster_reset.notices n`,
  )
  const told = [lines, ...[...ledger.rows, ...outward.rows].map(({ text }) => text)]
  for (const secret of hidden) for (const text of told) expect(text.includes(secret)).toBe(false)
}

describe('a log', () => {
  test('of a whole reset has a line at the start and one at the end of each step, and no secret', async () => {
    await seed()
    const log = await logOf(() => reset.succeed(fullReset, 'logged'))
    const steps = (message: string) =>
      log
        .filter((line) => line.message === message)
        .map(({ phase, batch }) => `${phase} ${batch ?? ''}`.trim())
    expect(steps('started').sort()).toEqual(steps('done').sort())
    expect(steps('done')).toEqual(
      expect.arrayContaining([
        'Count',
        'Export database 0',
        'Copy files 0',
        'Export cache 0',
        'Seal',
        'Wipe database 0',
        'Wipe files 0',
        'Wipe cache 0',
        'Finish',
      ]),
    )
    for (const line of log) expect(line).toMatchObject({ service: 'taskmaster-reset', level: 'INFO' })
    const seal = log.find(({ message, phase }) => message === 'done' && phase === 'Seal')
    expect(seal).toMatchObject({ runId: 'logged', milliseconds: expect.any(Number) })
    await checkNothingTold()
  })

  test.runIf(isFull)(
    `of hooks and notices tells where they were called, and no path, secret or answer of them ${inFullForm}`,
    async () => {
      await seed()
      lines = ''
      const said = 'wrong-hunter2'
      const server = createServer((_, response) => {
        const status = response.req.url?.startsWith('/302') ? 302 : 500
        response.writeHead(status, said, { location: `/${said}`, 'x-said': said }).end(said)
      })
      const url = `http://${LOOPBACK}:${await listen(server)}`
      const secret = `${said}${said}${said}`
      const hook = { moment: 'after', tries: 1, secret }
      const variables = {
        ALLOWED_PRIVATE_HOSTS: LOOPBACK,
        HOOKS: JSON.stringify([
          { ...hook, name: 'answers', url: `${url}/${said}?${said}` },
          { ...hook, name: 'redirects', url: `${url}/302/${said}` },
          { ...hook, name: 'is-nowhere', url: `https://nowhere.invalid/${said}` },
          { ...hook, name: 'is-closed', url: `https://${LOOPBACK}:1/${said}` },
          { ...hook, name: 'is-no-tls', url: `${url.replace('http', 'https')}/${said}` },
        ]),
        NOTICES: JSON.stringify([
          { name: 'chat', kind: 'slack', url: `${url}/${said}`, on: ['succeeded'] },
          { name: 'bus', kind: 'webhook', url: `https://nowhere.invalid/${said}`, secret, on: ['succeeded'] },
          { name: 'alive', kind: 'ping', url: `https://user:${said}@nowhere.example/${said}` },
        ]),
      }
      try {
        const outcome = await withVariables(variables, async () => {
          const ended = await reset.succeed(quickReset, 'calling')
          await reset.machine.told()
          return ended
        })
        expect(outcome.warnings.filter(({ code }) => code === 'HookFailed')).toHaveLength(5)
        expect(JSON.stringify(outcome)).not.toContain(said)
        expect(lines).toContain('nowhere.invalid')
      } finally {
        await close(server)
      }
      await checkNothingTold()
      expect(await statesOf('calling')).not.toContain(said)
    },
  )

  test.runIf(isFull)(
    `of a diff that tells rows has none of them, nor have the ledger, the states and the outcome; its object has ${inFullForm}`,
    async () => {
      await seed()
      const { backupId } = await reset.succeed({ operation: 'backup', strategy: 'database-only' })
      await reset.stack.sql.query(`UPDATE users SET role = role || '!'`)
      await logOf(async () => {
        const outcome = await reset.succeed(
          { operation: 'diff', backupId, rows: { table: 'users' } },
          'telling',
        )
        expect(JSON.stringify(outcome)).not.toContain(content)
      })
      const states = await statesOf('telling')
      expect(states).toContain('Diff database')
      expect(states).not.toContain(content)
      expect(lines).toContain('"phase":"Diff database"')
      await checkNothingTold()
      const key = '.taskmaster/runs/telling/0/results/difference-rows.jsonl'
      expect((await reset.bytesOf(key)).toString()).toContain(content)
    },
  )

  test('of failures has the error, and no secret', async () => {
    const wrongPassword = Object.assign(new URL(reset.stack.env.DATABASE_URL ?? ''), {
      password: 'wrong-hunter2',
    })
    const failures: [string, Record<string, string>, () => void, unknown?][] = [
      ['StoreUnavailable', { DATABASE_URL: wrongPassword.href }, () => {}],
      ['NotPermitted', { UPSTASH_REDIS_REST_TOKEN: 'wrong-hunter2' }, () => {}],
      [
        'NotPermitted',
        {},
        () => {
          fronts.s3.faults = [({ method }) => (method === 'GET' ? undefined : s3Error(403, 'AccessDenied'))]
        },
      ],
      [
        'StoreUnavailable',
        {},
        () => {
          // Redis repeats what it was sent.
          const body = JSON.stringify([
            { error: `ERR unknown command, with args beginning with: '${content}'` },
            { error: `ERR, command was: ["set","page:1","${content}"]` },
          ])
          fronts.cache.faults = [() => ({ status: 200, body })]
        },
      ],
      ['InvalidRequest', {}, () => {}, { ...quickReset, strategy: 'nope' }],
      ['InvalidConfiguration', { DATABASE_URL: 'mysql://app:wrong-hunter2@db/x' }, () => {}],
      // What the condition makes of a value is not known before it meets the rows.
      ['InvalidConfiguration', { PRESERVE_ROWS: '{"users":"role::int > 0"}' }, () => {}],
      ['InvalidConfiguration', { PRESERVE_ROWS: `{"users":"name::date > 'today'"}` }, () => {}],
    ]
    for (const [error, variables, fault, request = quickReset] of failures) {
      await seed()
      fault()
      const log = await logOf(async () => {
        const ended = await withVariables({ ...fronts.variables, ...variables }, () => reset.run(request))
        expect(ended.error, ended.cause).toBe(error)
        for (const secret of secrets()) expect(ended.cause).not.toContain(secret)
      })
      fronts.s3.faults = []
      fronts.cache.faults = []
      const failed = log.filter(({ message, level }) => message === 'failed' && level === 'ERROR')
      // A configuration that cannot be read has no run and no clients: Lambda itself writes that error down.
      if (!variables.DATABASE_URL?.startsWith('mysql'))
        expect(failed.map((line) => line.error)).toContain(error)
      await checkNothingTold()
    }
  })

  test.runIf(isFull)(`of a connection that breaks in the middle has no secret ${inFullForm}`, async () => {
    await seed()
    beforeTask = async (state) => {
      if (state !== 'Wipe database') return
      fronts.s3.faults = [
        async ({ query }) => {
          if (query.get('prefix')?.endsWith('/late-')) {
            await reset.stack.admin.query(
              `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = 'taskmaster-reset' AND datname = current_database()`,
            )
          }
          return undefined
        },
      ]
    }
    const was = await reset.fingerprint()
    const log = await logOf(async () => {
      const ended = await withVariables(fronts.variables, () => reset.run(quickReset))
      expect(ended).toMatchObject({ status: 'FAILED', error: 'StoreUnavailable' })
      expect((await reset.row(ended.name)).outcome.targets.database.state).toBe('backed_up')
    })
    beforeTask = () => {}
    expect(await reset.fingerprint()).toEqual(was)
    expect(log.some(({ level }) => level === 'ERROR')).toBe(true)
    await checkNothingTold()
    await reset.succeed(quickReset)
  })
})

describe('what code of the application raises', () => {
  /** As it was backed up nothing is raised; then the function is replaced, and names rows in all that it can say. */
  const raised = [
    `RAISE EXCEPTION 'not so: %', value USING DETAIL = value, HINT = value`,
    `RAISE EXCEPTION USING MESSAGE = value, ERRCODE = '22000', COLUMN = value, TABLE = value`,
    `RAISE EXCEPTION USING MESSAGE = value, ERRCODE = '23514', CONSTRAINT = value, SCHEMA = value, DATATYPE = value`,
    `RAISE EXCEPTION USING MESSAGE = value, ERRCODE = '55P03'`,
    `ASSERT false, value`,
    `EXECUTE format('SELECT %I', value)`,
    `EXECUTE format('SELECT %L::int', value)`,
  ]
  const kinds = {
    check: 'ALTER TABLE users ADD CONSTRAINT look CHECK (looked_at(name) = 1)',
    domain: `CREATE DOMAIN looked AS text CHECK (looked_at(VALUE) = 1); ALTER TABLE users ALTER name TYPE looked`,
    'index function': 'CREATE INDEX ON users (looked_at(name))',
    'generated column': 'ALTER TABLE users ADD seen int GENERATED ALWAYS AS (looked_at(name)) STORED',
    trigger: `CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN PERFORM looked_at(coalesce(NEW.name, OLD.name)); RETURN NEW; END$$;
      CREATE TRIGGER look BEFORE INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION look();
      ALTER TABLE users ENABLE ALWAYS TRIGGER look`,
  }
  const looking = (statement: string) => `CREATE OR REPLACE FUNCTION looked_at(value text) RETURNS int
    IMMUTABLE LANGUAGE plpgsql AS $$BEGIN ${statement}; RETURN 1; END$$`

  test.runIf(isFull).each(Object.entries(kinds))(
    `in a %s is told neither by log, ledger nor answer; its class and name are ${inFullForm}`,
    async (kind, construct) => {
      for (const [at, statement] of raised.entries()) {
        // One kind with all, the others with some.
        if (kind !== 'index function' && at % Object.keys(kinds).length !== 0) continue
        await seed()
        await reset.stack.sql.query(
          `DROP FUNCTION IF EXISTS looked_at CASCADE; ${looking('NULL')}; ${construct}`,
        )
        const { backupId } = await reset.succeed({ operation: 'backup', strategy: 'database-only' })
        await reset.stack.sql.query(looking(statement))
        const request = {
          operation: 'restore',
          backupId,
          confirm: 'local',
          safetyBackup: false,
          rehearse: false,
        }
        await logOf(async () => {
          const ended = await reset.run(request)
          for (const secret of secrets()) expect(JSON.stringify(ended)).not.toContain(secret)
          if (kind !== 'index function') return
          expect(ended.status, statement).toBe('FAILED')
          expect(ended.cause).toMatch(/SQLSTATE [0-9A-Z]{5}, from within code of the application \(function/)
          expect(ended.cause).toContain('looked_at')
        })
        expect(lines).toContain('"message":"started"')
        await checkNothingTold()
      }
    },
  )

  test('in a condition of PRESERVE_ROWS is not told either', async () => {
    await seed()
    await reset.stack.sql.query(looking(raised[0] ?? ''))
    await logOf(async () => {
      const variables = { PRESERVE_ROWS: '{"users":"looked_at(name) = 1"}' }
      const ended = await withVariables(variables, () => reset.run(quickReset))
      expect(ended.status).toBe('FAILED')
      expect(ended.cause).toContain('SQLSTATE P0001')
    })
    await checkNothingTold()
  })
})

describe('a name that holds what a terminal or a viewer of logs would obey', () => {
  test('is logged with escapes in its place', async () => {
    await seed()
    const obeyed = ['\u001b', '\u202e', '\u0085']
    await logOf(async () => {
      const ended = await reset.run({
        ...quickReset,
        preserve: { tables: [`no ${obeyed.join('[2J')} table`] },
      })
      expect(ended.error).toBe('InvalidRequest')
    })
    expect(lines).toContain('\\u202e')
    for (const character of obeyed) expect(lines).not.toContain(character)
  })
})

describe('a log of the database server', () => {
  // A server may log statements with their parameters, and only a superuser can keep it from that.
  test.runIf(isFull)(
    `has no row, whatever it logs: rows are sent to it as the data of a COPY alone ${inFullForm}`,
    async () => {
      await seed()
      const recorded = await recordMessages(reset.stack.env.DATABASE_URL ?? '')
      try {
        await withVariables({ DATABASE_WEBSOCKET_PROXY: recorded.address }, async () => {
          const { backupId } = await reset.succeed({ ...fullReset, rehearse: true })
          await reset.succeed({ operation: 'restore', backupId, confirm: environment })
        })
        const told = recorded.messages.filter(({ body }) => body.includes(content)).map(({ type }) => type)
        expect(new Set(told)).toEqual(new Set(['d']))
      } finally {
        await recorded.stop()
      }
    },
  )
})
