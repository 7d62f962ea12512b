import { beforeAll, describe, expect, test } from 'vitest'
import { pinBackup, unpinBackup } from '../../lib/backup/retention/pin.ts'
import { OutOfTime } from '../../lib/errors.ts'
import { currentClients } from '../../lib/task.ts'
import { loadFunctions } from '../../local/functions.ts'
import type { Handler } from '../../local/machine/tasks.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { backupBucket, environment, useResetStack, withVariables } from './reset-stack.ts'

/** Looked at around each invocation; what it throws is what Lambda then reports. */
let around: (name: string, input: Record<string, unknown>, run: () => Promise<unknown>) => Promise<unknown> =
  (_name, _input, run) => run()
const reset = useResetStack({
  loadFunctions: async () => {
    const functions = Object.entries(await loadFunctions())
    const observed = (name: string, handler: Handler): Handler => {
      return (event, context) =>
        around(name, event as Record<string, unknown>, async () => handler(event, context))
    }
    return Object.fromEntries(functions.map(([name, handler]) => [name, observed(name, handler)]))
  },
})

const folder = (backupId: string) => `.taskmaster/backups/${backupId}/`
const objectsOf = (backupId: string) => reset.objects(backupBucket, folder(backupId))
const backUp = async (strategy = 'full', rehearse = false) =>
  (await reset.succeed({ operation: 'backup', strategy, rehearse })).backupId as string
const remove = (backupId: string, more = {}) => ({
  ...{ operation: 'delete', backupId, confirm: environment, requestedBy: 'anna' },
  ...more,
})

beforeAll(() => reset.seed({ users: 20, files: 4, keys: 5 }))

describe('verify', () => {
  let backupId: string
  beforeAll(async () => {
    backupId = await backUp()
  })

  test('reads every object, changes nothing, and is a run like any other', async () => {
    const [was, objects] = [await reset.fingerprint(), await objectsOf(backupId)]
    const outcome = await reset.succeed({ operation: 'verify', backupId, requestedBy: 'anna' })
    expect(outcome).toMatchObject({ operation: 'verify', status: 'succeeded', warnings: [], backupId: null })
    const manifest = objects.find(({ key }) => key.endsWith('/manifest.json'))
    const bytes = objects.reduce((sum, { size }) => sum + size, 0) - (manifest?.size ?? 0)
    expect(outcome.subject).toEqual({ backupId, state: 'verified', objects: objects.length - 1, bytes })
    expect(Object.values(outcome.targets).map(({ state }) => state)).toEqual(Array(3).fill('untouched'))
    expect(await objectsOf(backupId)).toEqual(objects)
    expect(await reset.fingerprint()).toEqual(was)
    const row = await reset.row(outcome.runId)
    expect(row).toMatchObject({ operation: 'verify', strategy: null, requested_by: 'anna', backup_id: null })
    // But the manifest, and the files' index, which is read when all is judged.
    expect(row.progress['Verify/0']).toEqual({ done: objects.length - 2, total: objects.length - 2 })
    expect(reset.machine.taskPayloads(outcome.runId).map(({ state }) => state)).toEqual([
      'Count',
      'Verify batch',
      'Judge',
      'Finish',
    ])
  })

  test('with a rehearsal loads the backup beside the live tables, compares, and leaves no scratch', async () => {
    const was = await reset.fingerprint()
    const outcome = await reset.succeed({ operation: 'verify', backupId, rehearse: true })
    expect(outcome.subject).toMatchObject({ backupId, state: 'rehearsed' })
    const states = reset.machine.taskPayloads(outcome.runId).map(({ state }) => state)
    expect(states).toEqual([
      'Count',
      'Verify batch',
      'Judge',
      'Load backup batch',
      'Compare backup',
      'Finish',
    ])
    expect(await reset.fingerprint()).toEqual(was)
    const scratch = await reset.stack.admin.query(
      `SELECT FROM pg_namespace WHERE starts_with(nspname, 'taskmaster_scratch_')`,
    )
    expect(scratch.rowCount).toBe(0)
  })

  test.runIf(isFull)(
    `with a rehearsal says what was not proved when the backup was made, for it does not prove that either ${inFullForm}`,
    async () => {
      const { sql } = reset.stack
      await sql.query(`CREATE FUNCTION told(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1 || count(*) FROM public.worlds';
      CREATE INDEX by_told_name ON users (told(name))`)
      try {
        const unproved = await backUp('full', true)
        const outcome = await reset.succeed({ operation: 'verify', backupId: unproved, rehearse: true })
        expect(outcome.subject).toMatchObject({ state: 'rehearsed' })
        expect(outcome.warnings).toEqual([
          { code: 'NotProved', message: expect.stringMatching(/^When the backup was made .* by_told_name /) },
        ])
        const read = await reset.succeed({ operation: 'verify', backupId: unproved })
        expect(read.warnings).toEqual([])
      } finally {
        await sql.query('DROP FUNCTION told CASCADE')
      }
    },
  )

  test.runIf(isFull)(
    `with a rehearsal of a backup without a database says that there is nothing to rehearse ${inFullForm}`,
    async () => {
      const filesOnly = await backUp('files-only')
      const outcome = await reset.succeed({ operation: 'verify', backupId: filesOnly, rehearse: true })
      expect(outcome).toMatchObject({
        status: 'succeeded_with_warnings',
        subject: { state: 'verified' },
        warnings: [{ code: 'NotRehearsed' }],
      })
    },
  )

  test.runIf(isFull)(`warns of objects that the backup does not name ${inFullForm}`, async () => {
    const key = `${folder(backupId)}somebody.txt`
    await reset.put(key, 'x', backupBucket)
    try {
      const outcome = await reset.succeed({ operation: 'verify', backupId })
      expect(outcome).toMatchObject({ status: 'succeeded_with_warnings', subject: { state: 'verified' } })
      expect(outcome.warnings).toEqual([
        { code: 'ExtraObjects', message: expect.stringContaining(`${key}: no step writes such an object`) },
      ])
    } finally {
      await reset.remove(backupBucket, [key])
    }
  })

  test.runIf(isFull)(`of a damaged backup fails, and names the objects ${inFullForm}`, async () => {
    const damaged = await backUp()
    const keys = (await objectsOf(damaged)).map(({ key }) => key)
    const [gone, other] = keys.filter((key) => key.includes('/database/'))
    await reset.remove(backupBucket, [gone as string])
    await reset.put(other as string, 'something else', backupBucket)
    const ended = await reset.run({ operation: 'verify', backupId: damaged, rehearse: true })
    expect(ended).toMatchObject({ status: 'FAILED', error: 'BackupDamaged' })
    expect(ended.cause).toContain(`The backup ${damaged} is damaged in 2 objects`)
    expect(ended.cause).toContain(`${gone} is missing`)
    expect(ended.cause).toContain(`${other} is truncated`)
    const { outcome } = await reset.row(ended.name)
    expect(outcome).toMatchObject({ status: 'failed', subject: { backupId: damaged, state: 'damaged' } })
    expect(reset.machine.taskPayloads(ended.name).map(({ state }) => state)).not.toContain(
      'Load backup batch',
    )
  })

  test.runIf(isFull)(
    `rehearses only what the live tables can take, and only at home ${inFullForm}`,
    async () => {
      await reset.stack.sql.query('ALTER TABLE tickets RENAME TO vouchers')
      try {
        const ended = await reset.run({ operation: 'verify', backupId, rehearse: true })
        expect(ended).toMatchObject({ status: 'FAILED', error: 'SchemaChanged' })
        expect(ended.cause).toContain('public.tickets')
        await reset.succeed({ operation: 'verify', backupId })
      } finally {
        await reset.stack.sql.query('ALTER TABLE vouchers RENAME TO tickets')
      }
    },
  )

  const refusals: [string, object, string][] = [
    ['an id that is none', { backupId: '../other' }, 'InvalidRequest'],
    ['a backup that is not there', { backupId: '2026-01-01T00-00-00Z-000000' }, 'NotFound'],
    ['a wrong confirmation', { confirm: 'production' }, 'ConfirmationMismatch'],
    ['a word too much', { dryRun: true }, 'InvalidRequest'],
  ]
  test.each(refusals.filter(([, , error]) => isFull || error === 'NotFound'))(
    'is refused for %s',
    async (_says, fields, error) => {
      const ended = await reset.run({ operation: 'verify', backupId, ...fields })
      expect(ended).toMatchObject({ status: 'FAILED', error })
    },
  )
})

describe('delete', () => {
  /** An older backup that nothing protects. */
  let deletable: string
  beforeAll(async () => {
    deletable = await backUp('cache-only')
    await backUp('cache-only')
  })

  test('deletes the backup and nothing else, and says how much that was', async () => {
    const [old, newest] = [await backUp(), await backUp()]
    const { backups, config } = await currentClients()
    const about = { backupId: old, by: 'anna', at: new Date() }
    await pinBackup(backups, config.BACKUP_PREFIX, about)
    await unpinBackup(backups, config.BACKUP_PREFIX, about)
    const [was, kept, gone] = [await reset.fingerprint(), await objectsOf(newest), await objectsOf(old)]
    const outcome = await reset.succeed(remove(old))
    const bytes = gone.reduce((sum, { size }) => sum + size, 0)
    expect(outcome).toMatchObject({ operation: 'delete', status: 'succeeded', warnings: [], backupId: null })
    expect(outcome.subject).toEqual({ backupId: old, state: 'deleted', objects: gone.length, bytes })
    expect(await objectsOf(old)).toEqual([])
    expect(await objectsOf(newest)).toEqual(kept)
    expect(await reset.fingerprint()).toEqual(was)
    expect(await reset.row(outcome.runId)).toMatchObject({ operation: 'delete', requested_by: 'anna' })
    const again = await reset.run(remove(old))
    expect(again).toMatchObject({ status: 'FAILED', error: 'NotFound' })
  })

  test.runIf(isFull)(
    `succeeds when it is repeated after a lost answer, or after it died half-way ${inFullForm}`,
    async () => {
      const [old] = [await backUp('files-only'), await backUp('files-only')]
      let calls = 0
      around = async (name, _input, run) => {
        if (name !== 'prune' || ++calls > 2) return run()
        // First S3 is not to be had half-way, then the answer is lost.
        if (calls === 2) await run()
        else await reset.remove(backupBucket, [`${folder(old)}manifest.json`])
        if (calls === 1) await reset.put(`${folder(old)}pruning.json`, '{}', backupBucket)
        throw Object.assign(new Error('lost'), { name: 'Lambda.Unknown' })
      }
      try {
        const outcome = await reset.succeed(remove(old, { idempotencyKey: 'once' }), 'first-delete')
        expect(calls).toBe(3)
        expect(outcome.subject).toMatchObject({ backupId: old, state: 'deleted' })
        expect(outcome.subject?.objects).toBeGreaterThan(4)
        expect(await objectsOf(old)).toEqual([])
      } finally {
        around = (_name, _input, run) => run()
      }
      const repeated = await reset.run(remove(old, { idempotencyKey: 'once' }))
      expect(repeated).toMatchObject({ status: 'SUCCEEDED', output: { repeats: 'first-delete' } })
    },
  )

  test.runIf(isFull)(
    `is refused for the newest and for a pinned backup with the rule, and deletes nothing ${inFullForm}`,
    async () => {
      const [pinned, newest] = [await backUp('cache-only'), await backUp('cache-only')]
      await reset.put(`${folder(pinned)}pinned.json`, '{}', backupBucket)
      const before = await reset.objects(backupBucket, '.taskmaster/backups/')
      for (const [backupId, rule] of [
        [newest, 'the newest cache-only backup'],
        [pinned, 'pinned'],
      ] as const) {
        const ended = await reset.run(remove(backupId))
        expect(ended).toMatchObject({ status: 'FAILED', error: 'BackupKept' })
        expect(ended.cause).toContain(
          `The backup ${backupId} (cache-only) is not deleted, because of this: ${rule}.`,
        )
        expect((await reset.row(ended.name)).outcome).toMatchObject({ status: 'failed' })
      }
      expect(await reset.objects(backupBucket, '.taskmaster/backups/')).toEqual(before)
    },
  )

  test.runIf(isFull)(
    `is refused for a backup that was pinned since it was counted ${inFullForm}`,
    async () => {
      const [old] = [await backUp('cache-only'), await backUp('cache-only')]
      around = async (name, _input, run) => {
        if (name === 'prune') await reset.put(`${folder(old)}pinned.json`, '{"pinned":true}', backupBucket)
        return run()
      }
      try {
        const ended = await reset.run(remove(old))
        expect(ended).toMatchObject({ status: 'FAILED', error: 'BackupKept' })
        expect((await reset.row(ended.name)).outcome.subject).toMatchObject({ backupId: old, state: 'kept' })
      } finally {
        around = (_name, _input, run) => run()
      }
      expect(await reset.sealed()).toContain(old)
      expect((await objectsOf(old)).some(({ key }) => key.endsWith('pruning.json'))).toBe(false)
    },
  )

  test.runIf(isFull)(
    `waits for no other run: while one restores the backup it is refused ${inFullForm}`,
    async () => {
      const [old] = [await backUp('cache-only'), await backUp('cache-only')]
      const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
      const { promise: released, resolve: release } = Promise.withResolvers<void>()
      around = async (name, _input, run) => {
        if (name !== 'putback') return run()
        reach()
        await released
        return run()
      }
      try {
        const restore = { operation: 'restore', backupId: old, safetyBackup: false, confirm: environment }
        const restoring = reset.run(restore, 'restoring')
        await reached
        const ended = await reset.run(remove(old))
        expect(ended).toMatchObject({ status: 'FAILED', error: 'RunActive' })
        expect(ended.cause).toContain('Run restoring (restore')
        release()
        expect((await restoring).status).toBe('SUCCEEDED')
      } finally {
        around = (_name, _input, run) => run()
      }
      expect(await reset.sealed()).toContain(old)
    },
  )

  const refusals: [string, object, Record<string, string>, string][] = [
    ['without the name of the environment', { confirm: undefined }, {}, 'ConfirmationMismatch'],
    ['with another name', { confirm: 'production' }, {}, 'ConfirmationMismatch'],
    ['in a protected environment', {}, { PROTECTED: 'true' }, 'EnvironmentProtected'],
    [
      'of another environment',
      { confirm: 'other' },
      { ENVIRONMENT: 'other', PROTECTED: 'false' },
      'EnvironmentMismatch',
    ],
  ]
  test.each(refusals.filter(([says]) => isFull || /another name|protected/.test(says)))(
    'is refused %s, before anything is written',
    async (_says, fields, variables, error) => {
      const before = await reset.objects(backupBucket)
      const ended = await withVariables(variables, () => reset.run(remove(deletable, fields)))
      expect(ended).toMatchObject({ status: 'FAILED', error })
      expect(await reset.objects(backupBucket)).toEqual(before)
      expect(await reset.row(ended.name)).toBeUndefined()
    },
  )
})

describe('the retention, at the end of a run', () => {
  const retention = { RETENTION_LAST: '1' }

  test.runIf(isFull)(
    `deletes what is kept no longer, says how many, and keeps the next run out while it does ${inFullForm}`,
    async () => {
      // The register of what may change something, each entry of which is gone when its step has ended.
      await reset.stack.admin.query(`
      CREATE SCHEMA watch;
      CREATE TABLE watch.registered (step text, run_id text);
      CREATE FUNCTION watch.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
        $$ BEGIN INSERT INTO watch.registered VALUES (new.step, new.run_id); RETURN new; END $$;
      CREATE TRIGGER watch AFTER INSERT ON taskmaster_reset.invocations FOR EACH ROW EXECUTE FUNCTION watch.note()`)
      await backUp('cache-only')
      const old = await backUp('cache-only')
      let answer: unknown
      around = async (name, _input, run) => {
        const given = await run()
        if (name === 'prune') answer = given
        return given
      }
      try {
        const before = await reset.sealed()
        const { runId, backupId } = await withVariables(retention, () =>
          reset.succeed({ operation: 'backup', strategy: 'cache-only', rehearse: false }),
        )
        const left = await reset.sealed()
        expect(left).toContain(backupId)
        expect(left).not.toContain(old)
        expect(answer).toEqual({ deleted: before.length + 1 - left.length, refused: null })
        const { rows } = await reset.stack.admin.query('SELECT step, run_id FROM watch.registered')
        expect(rows).toContainEqual({ step: 'Prune', run_id: runId })
        const { rows: alive } = await reset.stack.admin.query('SELECT FROM taskmaster_reset.invocations')
        expect(alive).toEqual([])
      } finally {
        around = (_name, _input, run) => run()
        await reset.stack.admin.query('DROP SCHEMA watch CASCADE')
      }
    },
  )

  test.runIf(isFull)(`stops before the next deletion when its time is over ${inFullForm}`, async () => {
    await backUp('cache-only')
    const { runId } = await reset.succeed({ operation: 'backup', strategy: 'cache-only', rehearse: false })
    const before = await reset.sealed()
    const { handler } = await import('../../functions/prune.ts')
    const context = { functionName: 'prune', awsRequestId: 'late', getRemainingTimeInMillis: () => 1 }
    const pruning = withVariables(retention, () =>
      handler({ runId, attempt: 0, purpose: 'retention' }, context),
    )
    await expect(pruning).rejects.toThrow(OutOfTime)
    expect(await reset.sealed()).toEqual(before)
  })
})
