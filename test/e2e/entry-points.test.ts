import { beforeAll, describe, expect, test } from 'vitest'
import { Request } from '../../lib/run/request.ts'
import { commands } from '../../local/cli/table/commands.ts'
import { useFronts } from './fronts.ts'
import { environment, useResetStack, withVariables } from './reset-stack.ts'

/**
 * Every request of the AWS console and of a schedule, and every command, that wipes, replaces or deletes something. The
 * HTTP routes have a list of their own, as they also want a token.
 */
const reset = useResetStack()
const fronts = useFronts(reset)
let backupId: string | null
beforeAll(async () => {
  await reset.seed({ users: 5, files: 2, keys: 2 })
  backupId = (await reset.succeed({ operation: 'backup', rehearse: false })).backupId
  await reset.succeed({ operation: 'backup', rehearse: false }) // the newest may not be deleted anyway
})

const harmless = ['backup', 'verify', 'diff']
const destructive: Record<string, () => object> = {
  reset: () => ({ operation: 'reset', strategy: 'full' }),
  'reset without a backup': () => ({ operation: 'reset', strategy: 'database-only', backup: false }),
  'reset by a schedule': () => ({
    operation: 'reset',
    strategy: 'full',
    requestedBy: 'schedule',
    scheduledTime: '2026-11-22T03:00:00Z',
  }),
  restore: () => ({ operation: 'restore', backupId }),
  'restore without a safety backup': () => ({ operation: 'restore', backupId, safetyBackup: false }),
  delete: () => ({ operation: 'delete', backupId }),
}

test('no operation is missing here', () => {
  const operations = Request.options.map(({ shape }) => shape.operation.value)
  const listed = Object.values(destructive).map((request) => (request() as { operation: string }).operation)
  // A claim only writes marks, and only with the right name: the guards' tests have it.
  expect(new Set([...harmless, ...listed, 'claim'])).toEqual(new Set(operations))
})

test('no command is missing here: each that destroys starts a run of such an operation', () => {
  const asks = Object.entries(commands).filter(([, { options }]) =>
    (options as readonly string[]).includes('confirm'),
  )
  expect(asks.map(([name]) => name).sort()).toEqual(['claim', 'delete', 'reset', 'restore'])
  // Prune deletes what the configured retention names, never the newest, and only with --delete; the rest only adds or asks.
  expect(
    Object.keys(commands)
      .filter((name) => !asks.some(([asking]) => asking === name))
      .sort(),
  ).toEqual(
    [
      'backup',
      'backups',
      'cancel',
      'completion',
      'diff',
      'download',
      'help',
      'label',
      'options',
      'pin',
      'prune',
      'runs',
      'schedule',
      'status',
      'token',
      'tokens',
      'unpin',
      'upload',
      'verify',
    ].sort(),
  )
})

describe.each(Object.entries(destructive))('%s', (_, request) => {
  /** Refused, and everything is as it was. */
  async function refused(input: object, variables: Record<string, string> = {}): Promise<string | undefined> {
    const [was, sealed] = [await reset.fingerprint(), await reset.sealed()]
    fronts.s3.seen = []
    fronts.cache.seen = []
    const ended = await withVariables({ ...fronts.variables, ...variables }, () => reset.run(input))
    expect(ended.status).toBe('FAILED')
    expect([await reset.fingerprint(), await reset.sealed()]).toEqual([was, sealed])
    return ended.error
  }

  test('without confirm, or with a wrong one, or where it is protected, asks no store at all', async () => {
    for (const said of [
      {},
      { confirm: 'staging' },
      { confirm: '' },
      { confirm: environment.toUpperCase() },
    ]) {
      expect(await refused({ ...request(), ...said })).toMatch(/^(ConfirmationMismatch|InvalidRequest)$/)
      expect([fronts.s3.seen, fronts.cache.seen]).toEqual([[], []])
    }
    const confirmed = { ...request(), confirm: environment }
    expect(await refused(confirmed, { PROTECTED: 'true' })).toBe('EnvironmentProtected')
    expect([fronts.s3.seen, fronts.cache.seen]).toEqual([[], []])
  })

  test('where the ledger says protected, or nobody claimed, changes nothing', async () => {
    const confirmed = { ...request(), confirm: environment }
    const { sql } = reset.stack
    await sql.query('UPDATE taskmaster_reset.environment SET protected = true')
    expect(await refused(confirmed)).toBe('EnvironmentProtected')
    await sql.query('DELETE FROM taskmaster_reset.environment')
    expect(await refused(confirmed)).toBe('EnvironmentUnclaimed')
    await reset.succeed({ operation: 'claim', confirm: environment })
  })
})
