import { describe, expect, test } from 'vitest'
import { fillSample } from '../../local/sample.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { useCliStack } from './cli-stack.ts'

const cli = useCliStack({ claimed: false })
const backup = ['backup', '--idempotency-key', 'first', '--json']

test('stores that nobody claimed are refused with 3, until claim is said', async () => {
  await fillSample(cli.stack, { scale: 0.1 })
  const before = await cli.count()
  const refused = await cli.cli(backup)
  expect(refused.code).toBe(3)
  expect(refused.json).toMatchObject({ status: 'failed', error: { name: 'EnvironmentUnclaimed' } })
  expect(refused.json.error.message).toContain('"operation":"claim"')

  const claimed = await cli.cli(['claim', '--confirm', 'local', '--json'])
  expect(claimed).toMatchObject({ code: 0, json: { operation: 'claim', status: 'succeeded' } })

  // The refused request never became a run, so its key is not spent.
  const taken = await cli.cli(backup)
  expect(taken).toMatchObject({ code: 0, json: { status: 'succeeded' } })
  expect(await cli.count()).toEqual(before)
})

describe('a database that is down', () => {
  const nobody = { DATABASE_WEBSOCKET_PROXY: '127.0.0.1:1' }

  test('for the functions makes the run fail with 1, and nothing is touched', async () => {
    const before = await cli.count()
    const proxy = process.env.DATABASE_WEBSOCKET_PROXY
    Object.assign(process.env, nobody) // the functions run in this process
    try {
      const { code, json } = await cli.cli(['reset', 'full', '--confirm', 'local', '--json'])
      expect(code).toBe(1)
      expect(json).toMatchObject({
        status: 'failed',
        targets: {
          database: { state: 'untouched' },
          files: { state: 'untouched' },
          cache: { state: 'untouched' },
        },
        error: { name: 'StoreUnavailable' },
      })
    } finally {
      process.env.DATABASE_WEBSOCKET_PROXY = proxy
    }
    expect(await cli.count()).toEqual(before)
  })

  test.runIf(isFull)(`for the CLI alone does not hide how the run ended ${inFullForm}`, async () => {
    const { code, json } = await cli.cli(['backup', 'files-only', '--json'], { env: nobody })
    expect(code).toBe(0)
    expect(json).toMatchObject({
      status: 'succeeded',
      targets: { files: { state: 'backed_up', objects: 12 } },
    })
  })
})

test.runIf(isFull)(
  `a name that holds what a terminal would obey is shown with escapes in its place ${inFullForm}`,
  async () => {
    await cli.stack.sql.query(
      `CREATE TABLE "red \u001b[31m \u202e back" (id int); CREATE TABLE "two\nlines" (id int)`,
    )
    const plain = await cli.cli(['options'])
    const json = await cli.cli(['options', '--json'])
    for (const { stdout } of [plain, json]) {
      expect(stdout).toContain('red \\u001b[31m \\u202e back')
      expect(stdout).not.toContain('\u001b')
      expect(stdout).not.toContain('\u202e')
    }
    expect(plain.stdout).toContain('two\\u000alines')
    const names = json.json.database.tables.map(({ name }: { name: string }) => name)
    expect(names.join()).toContain('red \u001b[31m \u202e back') // as JSON it is the same name
  },
)
