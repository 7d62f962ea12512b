import { beforeAll, describe, expect, test } from 'vitest'
import { inFullForm, isFull } from '../support/trust.ts'
import { environment, useResetStack } from './reset-stack.ts'

const reset = useResetStack()
const toBaseline = { operation: 'reset', strategy: 'full', to: 'baseline', confirm: environment } as const
const labels = async () =>
  Object.fromEntries(
    (await reset.stack.sql.query('SELECT label, backup_id FROM taskmaster_reset.labels ORDER BY 1')).rows.map(
      ({ label, backup_id }) => [label, backup_id],
    ),
  )

beforeAll(() => reset.seed({ users: 40, files: 3, keys: 4 }))

describe('a backup that is taken as a baseline', () => {
  test('has its label, its note and its pin when the run has succeeded; a run that failed leaves the label where it was', async () => {
    const taken = { operation: 'backup', label: 'baseline', note: 'A filled shop', pin: true } as const
    const { backupId, warnings } = await reset.succeed(taken, 'taken')
    expect(warnings).toEqual([])
    expect(await labels()).toEqual({ baseline: backupId })
    const key = `.taskmaster/backups/${backupId}/pinned.json`
    expect(JSON.parse((await reset.bytesOf(key)).toString())).toMatchObject({ backupId, pinned: true })
    const { rows } = await reset.stack.sql.query('SELECT backup_id, note FROM taskmaster_reset.notes')
    expect(rows).toEqual([{ backup_id: backupId, note: 'A filled shop' }])
    await reset.stack.sql.query(
      'CREATE TABLE odd (v int); ALTER TABLE odd ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY',
    )
    expect(await reset.run(taken, 'failing')).toMatchObject({ status: 'FAILED' })
    await reset.stack.sql.query('DROP TABLE odd')
    expect(await labels()).toEqual({ baseline: backupId })
    const verified = await reset.succeed({ operation: 'verify', backupId: 'baseline' }, 'verified')
    expect(verified.subject).toMatchObject({ backupId, state: 'verified' })
    expect(await reset.row('verified')).toMatchObject({ target_backup_id: backupId })
    const compared = await reset.succeed({
      operation: 'diff',
      backupId: String(backupId).slice(0, 19),
      to: 'latest',
    })
    expect(compared.subject).toMatchObject({ backupId, to: backupId })
    const restored = await reset.succeed({ operation: 'restore', backupId: 'latest-rehearsed', dryRun: true })
    expect(restored.restoredBackupId).toBe(backupId)
    expect(await reset.run({ operation: 'restore', backupId: 'golden', confirm: environment })).toMatchObject(
      {
        error: 'UnknownBackup',
      },
    )
  })
})

/** What there is, but for when keys end: that moves with the baseline. */
async function print() {
  const { cache, ...others } = await reset.fingerprint()
  return { ...others, cache: cache.map((line) => line.replace(/ -?\d+$/, '')) }
}

/** A day of an application: rows, files and keys come, go and change. */
async function day(): Promise<void> {
  await reset.stack.sql.query(`INSERT INTO users (name) SELECT 'day ' || i FROM generate_series(1, 7) AS i;
    UPDATE users SET name = 'renamed' WHERE id = 3; DELETE FROM tickets`)
  await reset.put('generated_stories/day.txt', 'of the day')
  await reset.put('generated_stories/story 1.txt', 'another text')
  await reset.remove('taskmaster-files', ['generated_stories/story 2.txt'])
  await reset.stack.redis.mset('day', 'of the day', 'page:1', 'another value')
  await reset.stack.redis.del('page:2')
}

describe('a reset to the baseline', () => {
  test('backs up what is there, and then all stores are what the baseline holds, exactly', async () => {
    await reset.seed({ users: 40, files: 3, keys: 4 })
    const baseline = await reset.succeed({ operation: 'backup', label: 'baseline' })
    const before = await print()
    await day()
    const after = await print()
    expect(after).not.toEqual(before)
    const outcome = await reset.succeed(toBaseline, 'night')
    expect(await print()).toEqual(before)
    const to = { name: 'baseline', backupId: baseline.backupId }
    expect(outcome).toMatchObject({
      operation: 'reset-to',
      strategy: 'full',
      to,
      restoredBackupId: to.backupId,
    })
    for (const { state } of Object.values(outcome.targets)) expect(state).toBe('restored')
    expect(await reset.row('night')).toMatchObject({ operation: 'reset-to', target_backup_id: to.backupId })
    const safety = await reset.manifestOf(outcome.backupId)
    expect(safety).toMatchObject({ strategy: 'full', runId: 'night' })
    await reset.succeed({
      operation: 'restore',
      backupId: outcome.backupId,
      exact: true,
      confirm: environment,
    })
    expect(await print()).toEqual(after)
  })

  test.runIf(isFull)(
    `leaves what is preserved of each store as it is, and keys live for as long as they had when it was taken ${inFullForm}`,
    async () => {
      const { sql, redis } = reset.stack
      await reset.seed({ users: 20, files: 3, keys: 4 })
      await redis.set('page:short', 'over soon', 'PX', 1_500)
      const { backupId } = await reset.succeed({ operation: 'backup', label: 'baseline', rehearse: false })
      const { exportedAt = '' } = (await reset.manifestOf(backupId)).cache ?? {}
      const endsAt = Number(await redis.call('PEXPIRETIME', 'hash'))
      await day()
      await sql.query(
        `INSERT INTO events (what) VALUES ('of the day'); DELETE FROM events WHERE what = 'login 1'`,
      )
      await reset.put('generated_stories/pinned/day.txt', 'of the day')
      await reset.put('generated_stories/pinned/story 0.txt', 'another text')
      await redis.mset('session:0', 'another value', 'session:day', 'of the day')
      const preserve = { tables: ['events'], files: ['pinned/'], keys: ['session:*'] }
      const whatStays = async () => [
        (await sql.query('SELECT * FROM events ORDER BY 1, 2')).rows,
        (await reset.objects('taskmaster-files')).filter(({ key }) => key.includes('/pinned/')),
        await redis.mget('session:0', 'session:day'),
      ]
      const kept = await whatStays()
      const dry = await reset.succeed({ ...toBaseline, preserve, dryRun: true })
      expect(dry.difference).toMatchObject({
        files: { before: 2, now: 2, extra: 1, missing: 1, changed: 1 },
        cache: { extra: 1, missing: 2, expired: 0 },
      })
      await redis.del('page:short')
      const began = Date.now()
      const outcome = await reset.succeed({ ...toBaseline, preserve })
      expect(await whatStays()).toEqual(kept)
      expect(outcome.targets).toMatchObject({ files: { objects: 2 }, cache: { state: 'restored' } })
      expect(await redis.mget('day', 'page:1', 'page:2')).toEqual([null, 'value 1', 'value 2'])
      expect((await sql.query('SELECT count(*)::int AS n FROM users')).rows).toEqual([{ n: 20 }])
      const shift = Number(await redis.call('PEXPIRETIME', 'hash')) - endsAt
      expect(shift).toBeGreaterThanOrEqual(began - Date.parse(exportedAt))
      expect(shift).toBeLessThanOrEqual(Date.now() - Date.parse(exportedAt))
      // What had ended before the night begins anew, and ends again.
      const again = await reset.succeed({ ...toBaseline, preserve, ttl: 'absolute' })
      expect(Number(await redis.call('PEXPIRETIME', 'hash'))).toBe(endsAt)
      expect(again.warnings.map(({ code }) => code)).toContain('KeysExpired')
    },
  )

  test('is refused when the tables have outgrown it, with nothing touched; the backup before it warns of that', async () => {
    await reset.stack.sql.query(
      'ALTER TABLE users ADD COLUMN age int; ALTER TABLE worlds ADD COLUMN kind text NOT NULL DEFAULT 1',
    )
    const fitting = await reset.succeed({ operation: 'backup', rehearse: false })
    expect(fitting.warnings).toEqual([])
    await reset.stack.sql.query('ALTER TABLE events RENAME COLUMN what TO happened')
    const { warnings } = await reset.succeed({ operation: 'backup', rehearse: false })
    expect(warnings).toEqual([
      {
        code: 'BaselineOutdated',
        message: expect.stringMatching(
          /^A reset to "baseline" \(.*\) would be refused: the live tables have outgrown it: the column public\.events\.what does not exist any more\. Renew it/,
        ),
      },
    ])
    const before = await reset.fingerprint()
    expect(await reset.run({ ...toBaseline, dryRun: true })).toMatchObject({ error: 'SchemaChanged' })
    expect(await reset.run(toBaseline)).toMatchObject({ status: 'FAILED', error: 'SchemaChanged' })
    expect(await reset.fingerprint()).toEqual(before)
    const renewed = await reset.succeed({ operation: 'backup', rehearse: false, label: 'baseline' })
    expect(renewed.warnings).toEqual([])
  })
})
