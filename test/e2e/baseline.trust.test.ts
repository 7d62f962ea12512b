import { setTimeout } from 'node:timers/promises'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { backupKeys } from '../../lib/backup/layout.ts'
import { prune } from '../../lib/backup/retention/prune.ts'
import { type Clients, makeClients } from '../../lib/clients.ts'
import { lookAtBaselines } from '../../lib/run/baseline/outdated.ts'
import { cancelRun } from '../../lib/run/cancel.ts'
import { countAll } from '../../lib/run/count.ts'
import { Outcome } from '../../lib/run/outcome.ts'
import { nextStepsOf } from '../../lib/run/words/next-steps.ts'
import type { Handler } from '../../local/machine/tasks.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { functionsWith, invocationsAtWork } from './at-work.ts'
import { backupBucket, environment, nextSecond, useResetStack, withVariables } from './reset-stack.ts'

/** Called before and after each invocation of a step that is no part of a rehearsal; what it throws ends that. */
let around: (when: string) => void | Promise<void> = () => {}
/** What the machine is told in place of what it should do with the backup. */
let word: string | undefined
const atWork = invocationsAtWork()
const reset = useResetStack({
  loadFunctions: async () => {
    const functions = await functionsWith((when) => around(when), atWork)
    const count: Handler = async (event, context) => {
      const answer = await functions.count!(event, context)
      return word === undefined ? answer : { ...(answer as object), operation: word }
    }
    return { ...functions, count }
  },
})

async function withFault<Result>(fault: typeof around, use: () => Promise<Result>): Promise<Result> {
  around = fault
  try {
    return await use()
  } finally {
    around = () => {}
    await atWork.settled()
  }
}

function named(name: string): Error {
  return Object.assign(new Error('injected'), { name })
}

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
    const named = { label: 'baseline', note: 'A filled shop', pin: true }
    const taken = { operation: 'backup', rehearse: false, ...named } as const
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
  })

  test.runIf(isFull)(
    `is named by its label, the beginning of its id, or what is the latest, in each request ${inFullForm}`,
    async () => {
      await nextSecond()
      const { backupId } = await reset.succeed({ operation: 'backup', label: 'baseline', rehearse: true })
      const verified = await reset.succeed({ operation: 'verify', backupId: 'baseline' }, 'verified')
      expect(verified.subject).toMatchObject({ backupId, state: 'verified' })
      expect(await reset.row('verified')).toMatchObject({ target_backup_id: backupId })
      const compared = await reset.succeed({
        operation: 'diff',
        backupId: String(backupId).slice(0, 19),
        to: 'latest',
      })
      expect(compared.subject).toMatchObject({ backupId, to: backupId })
      const restored = await reset.succeed({
        operation: 'restore',
        backupId: 'latest-rehearsed',
        dryRun: true,
      })
      expect(restored.restoredBackupId).toBe(backupId)
      expect(
        await reset.run({ operation: 'restore', backupId: 'golden', confirm: environment }),
      ).toMatchObject({
        error: 'UnknownBackup',
      })
    },
  )
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
    const { backupId, filled, lived } = await begin()
    expect(lived).not.toEqual(filled)
    const outcome = await reset.succeed(toBaseline, 'night')
    expect(await print()).toEqual(filled)
    const to = { name: 'baseline', backupId }
    expect(outcome).toMatchObject({
      operation: 'reset-to',
      strategy: 'full',
      to,
      restoredBackupId: to.backupId,
    })
    for (const { state } of Object.values(outcome.targets)) expect(state).toBe('restored')
    expect(await reset.row('night')).toMatchObject({ operation: 'reset-to', target_backup_id: to.backupId })
    const { steps } = await reset.row('night')
    expect(Object.keys(steps)).toEqual(
      expect.arrayContaining(['Count', 'Seal', 'Restore database', 'Restore cache']),
    )
    for (const [name, { from, to }] of Object.entries<{ from: string; to: string }>(steps))
      expect(Date.parse(to), name).toBeGreaterThanOrEqual(Date.parse(from))
    const safety = await reset.manifestOf(outcome.backupId)
    expect(safety).toMatchObject({ strategy: 'full', runId: 'night' })
  })

  test.runIf(isFull)(
    `leaves what is preserved of each store as it is, and keys live for as long as they had when it was taken ${inFullForm}`,
    async () => {
      const { sql, redis } = reset.stack
      await reset.seed({ users: 20, files: 3, keys: 4 })
      // It is there when the cache is exported, however long all before that takes.
      const short = async (when: string) => {
        if (when === 'before export') await redis.set('page:short', 'over soon', 'PX', 8_000)
      }
      const { backupId } = await withFault(short, () =>
        reset.succeed({ operation: 'backup', label: 'baseline', rehearse: false }),
      )
      const endsSoon = Date.now() + 8_000
      const { exportedAt = '' } = (await reset.manifestOf(backupId)).cache ?? {}
      const endsAt = Number(await redis.call('PEXPIRETIME', 'hash'))
      await day()
      await redis.del('page:short')
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
      await setTimeout(Math.max(0, endsSoon - Date.now()) + 100)
      const again = await reset.succeed({ ...toBaseline, preserve, ttl: 'absolute' })
      expect(Number(await redis.call('PEXPIRETIME', 'hash'))).toBe(endsAt)
      expect(again.warnings.map(({ code }) => code)).toContain('KeysExpired')
    },
  )

  const outgrow = `ALTER TABLE users ADD COLUMN age int; ALTER TABLE worlds ADD COLUMN kind text NOT NULL DEFAULT 1;
    ALTER TABLE events RENAME COLUMN what TO happened`

  test('that the tables have outgrown is warned of by each backup, and only of what a reset would be refused for', async () => {
    await reset.stack.sql.query(outgrow)
    const { warnings } = await reset.succeed({ operation: 'backup', rehearse: false })
    expect(warnings).toEqual([
      {
        code: 'BaselineOutdated',
        message: expect.stringMatching(
          /^A reset to "baseline" \(.*\) would be refused: the live tables have outgrown it: the column public\.events\.what does not exist any more\. Renew it/,
        ),
      },
    ])
  })

  test.runIf(isFull)(`is refused then with nothing touched, until it is renewed ${inFullForm}`, async () => {
    await begin()
    await reset.stack.sql.query(outgrow)
    const before = await reset.fingerprint()
    expect(await reset.run({ ...toBaseline, dryRun: true })).toMatchObject({ error: 'SchemaChanged' })
    expect(await reset.run(toBaseline)).toMatchObject({ status: 'FAILED', error: 'SchemaChanged' })
    expect(await reset.fingerprint()).toEqual(before)
    const renewed = await reset.succeed({ operation: 'backup', rehearse: false, label: 'baseline' })
    expect(renewed.warnings).toEqual([])
    await reset.succeed(toBaseline)
  })
})

test.runIf(isFull)(
  `a baseline of which only the rows can tell whether the tables take them by now is warned of until a reset to it has passed, or it is renewed ${inFullForm}`,
  async () => {
    const backUp = async (label?: string) => {
      const { warnings } = await reset.succeed({
        operation: 'backup',
        rehearse: false,
        ...(label && { label }),
      })
      return warnings.map(({ code, message }) => `${code}: ${message}`)
    }
    await begin()
    expect(await backUp()).toEqual([])
    await reset.stack.sql.query(`ALTER TABLE users ADD CONSTRAINT one_each UNIQUE (id, name); CREATE TABLE notes (of int REFERENCES users);
      CREATE UNIQUE INDEX one_kind ON events ((what <> '')) WHERE what = 'never'`)
    expect(await backUp()).toEqual([
      expect.stringMatching(
        /^BaselineMayBeOutdated: A reset to "baseline" \(.*\) may be refused, .*: the unique index one_kind of public\.events is new; the unique constraint one_each of public\.users is new\. Reset to it once/,
      ),
    ])
    await reset.succeed(toBaseline)
    expect(await backUp()).toEqual([])
    // Rows that stay may refer to others tomorrow.
    await reset.stack.sql.query('INSERT INTO notes SELECT max(id) FROM users')
    await reset.succeed(toBaseline)
    expect(await backUp()).toEqual([
      expect.stringMatching(/NOT VALID.*: rows of public\.notes, which came later/),
    ])
    await reset.stack.sql.query(
      `WITH one AS (INSERT INTO users (name) VALUES ('since') RETURNING id) INSERT INTO notes SELECT id FROM one`,
    )
    expect(await reset.run(toBaseline)).toMatchObject({ error: 'SchemaChanged' })
    expect(await backUp('baseline')).toEqual([])
    await reset.succeed(toBaseline)
    await reset.stack.sql.query('DROP TABLE notes')
  },
)

test.runIf(isFull)(
  `looking whether baselines fit ends within its time, however large or locked the tables are, and says what it did not look at ${inFullForm}`,
  async () => {
    await begin()
    const clients = await makeClients()
    const { sql } = reset.stack
    const look = async (within?: { all: number; statement: number }) => {
      const plan = { clears: ['database'], naming: null } as Parameters<typeof lookAtBaselines>[1]
      const warnings = await lookAtBaselines(clients, plan, within)
      return warnings.map(({ code, message }) => `${code}: ${message}`)
    }
    expect(await look()).toEqual([])
    expect(await look({ all: 0, statement: 1_000 })).toEqual([
      expect.stringMatching(/^BaselineMayBeOutdated: Whether a reset to "baseline" .* was not looked at/),
    ])
    // Of these no row refers to anything, which only all of them tell.
    await sql.query(`CREATE TABLE notes (of int REFERENCES users, text text);
      INSERT INTO notes (text) SELECT i::text FROM generate_series(1, 3000000) AS i`)
    expect(await look({ all: 60_000, statement: 20 })).toEqual([
      expect.stringMatching(
        /^BaselineMayBeOutdated: .*public\.notes.* cannot be told|could not be looked at/,
      ),
    ])
    await sql.query('DROP TABLE notes')
  },
)

/** A baseline of the stores as they are seeded, and then a day that lives on it. */
async function begin(): Promise<{ backupId: string; filled: Print; lived: Print }> {
  await reset.seed({ users: 40, files: 3, keys: 4 })
  const { backupId } = await reset.succeed({ operation: 'backup', label: 'baseline', rehearse: false })
  const filled = await print()
  await day()
  return { backupId: backupId ?? '', filled, lived: await print() }
}
type Print = Awaited<ReturnType<typeof print>>

const move = (backupId: string | null) =>
  reset.stack.sql.query(`UPDATE taskmaster_reset.labels SET backup_id = $1 WHERE label = 'baseline'`, [
    backupId,
  ])

describe.runIf(isFull)(`a reset to a backup ${inFullForm}`, () => {
  // Others fail in the nights of thirty-days.trust.test.ts.
  test.each(['after seal', 'after compare', 'after restore files', 'after restore cache'])(
    'that fails %s leaves the day, or what its backup puts back; and the next one ends what it began',
    async (where) => {
      const { filled, lived } = await begin()
      const fault = (when: string) => {
        if (when === where) throw named('Crashed')
      }
      const ended = await withFault(fault, () => reset.run(toBaseline))
      expect(ended.status).toBe('FAILED')
      const outcome = Outcome.parse((await reset.row(ended.name)).outcome)
      const changed = Object.values(outcome.targets).some(({ state }) => state.includes('restored'))
      expect(changed).toBe(/restore/.test(where) && where !== 'before restore database')
      if (!changed) expect(await print()).toEqual(lived)
      const wayBack = nextStepsOf(outcome).flatMap(({ restore }) => restore ?? [])
      expect(wayBack).toEqual(changed ? [outcome.backupId] : [])
      for (const backupId of wayBack) {
        await reset.succeed({ operation: 'restore', backupId, exact: true, confirm: environment })
        expect(await print()).toEqual(lived)
      }
      await reset.succeed(toBaseline)
      expect(await print()).toEqual(filled)
    },
  )

  test('or to nothing that is told to a machine which does not know the word fails, with nothing touched', async () => {
    const { lived } = await begin()
    for (const [to, error] of [
      ['baseline', 'RestoreIncomplete'],
      [undefined, 'WipeIncomplete'],
    ]) {
      word = 'reset-to'
      const ended = await reset.run({ ...toBaseline, to }).finally(() => {
        word = undefined
      })
      expect(ended).toMatchObject({ status: 'FAILED', error })
      expect(await print()).toEqual(lived)
      const { targets } = Outcome.parse((await reset.row(ended.name)).outcome)
      expect(targets).toMatchObject({ database: { state: 'backed_up' }, cache: { state: 'backed_up' } })
    }
  })

  test('takes in each attempt the one that its name meant at first, though the label has moved and newer ones came', async () => {
    const { backupId, filled } = await begin()
    const { backupId: other } = await reset.succeed({ operation: 'backup', rehearse: false })
    let stale = 0
    const fault = async (when: string) => {
      if (when !== 'before restore database' || stale++ > 0) return
      await move(other)
      // That was as in the baseline, so it was not loaded.
      await reset.stack.sql.query(`UPDATE worlds SET settings = '{}' WHERE id = 1`)
    }
    const outcome = await withFault(fault, () => reset.succeed(toBaseline))
    expect(await reset.row(outcome.runId)).toMatchObject({ attempt: 1, target_backup_id: backupId })
    expect(outcome.to).toEqual({ name: 'baseline', backupId })
    expect(await print()).toEqual(filled)
  })

  test('that is counted again after a Count that died keeps its backup, though the label has moved', async () => {
    const { backupId } = await begin()
    const clients = await makeClients()
    const count = (runId: string) =>
      countAll(clients, { request: toBaseline, runId, startedAt: new Date().toISOString(), attempt: 0 })
    const dying = { ...clients, backups: { ...clients.backups, s3: failingPuts(clients.backups.s3) } }
    const input = { request: toBaseline, runId: 'counted', startedAt: new Date().toISOString(), attempt: 0 }
    await expect(countAll(dying, input)).rejects.toThrow()
    expect(await reset.row('counted')).toMatchObject({ status: 'running', target_backup_id: backupId })
    const { backupId: other } = { backupId: backupId.replace(/.$/, (digit) => (digit === '0' ? '1' : '0')) }
    await move(other)
    expect(await count('counted')).toMatchObject({ next: 'backup', operation: 'restore' })
    expect(await reset.row('counted')).toMatchObject({ target_backup_id: backupId })
    await cancelRun(clients, { runId: 'counted', by: 'test' })
  })

  test('keeps its backup from prune while it is under way, and is cancelled until it puts something back', async () => {
    const { backupId, lived } = await begin()
    await reset.stack.sql.query('DELETE FROM taskmaster_reset.labels')
    for (const _ of [1, 2]) await reset.succeed({ operation: 'backup', rehearse: false })
    const pruned: unknown[] = []
    const fault = async (when: string) => {
      if (when !== 'before load') return
      const clients = await makeClients()
      const refused = (
        await prune({ ...clients, config: { ...clients.config, RETENTION_LAST: 1 } }, { dryRun: false })
      ).refused
      pruned.push(refused)
      const [row] = (
        await reset.stack.sql.query(`SELECT run_id FROM taskmaster_reset.runs WHERE status = 'running'`)
      ).rows
      await cancelRun(clients, { runId: row.run_id, by: 'test' })
    }
    const ended = await withFault(fault, () => reset.run({ ...toBaseline, to: backupId }))
    expect(ended.status).not.toBe('SUCCEEDED')
    expect(pruned).toEqual([expect.stringMatching(/is restoring a backup\. Nothing is pruned meanwhile$/)])
    expect(await reset.sealed()).toContain(backupId)
    expect(await print()).toEqual(lived)
    expect((await reset.row(ended.name)).status).toBe('cancelled')
  })

  test('acts on the stores of its strategy, without a backup when that is said, and as a dry run on none', async () => {
    await nextSecond() // which is said below in place of the whole id
    const { backupId, filled, lived } = await begin()
    const dry = await reset.succeed({ ...toBaseline, confirm: undefined, dryRun: true })
    expect(dry).toMatchObject({ dryRun: true, refusal: null, to: { name: 'baseline', backupId } })
    expect(dry.difference).toMatchObject({
      files: { extra: 1, missing: 1, changed: 1 },
      cache: { extra: 1, missing: 1, changed: 2 }, // of the hash only when it ends: that moves with the reset
    })
    expect(await print()).toEqual(lived)
    const before = await reset.sealed()
    const only = await reset.succeed({ ...toBaseline, strategy: 'cache-only', backup: false })
    expect(only.warnings.map(({ code }) => code)).toContain('NoBackup')
    expect(await reset.sealed()).toEqual(before)
    expect(await print()).toEqual({ ...lived, cache: filled.cache })
    await reset.succeed({ ...toBaseline, strategy: 'files-only', to: backupId.slice(0, 19) })
    expect(await print()).toEqual({ ...lived, files: filled.files, cache: filled.cache })
  })

  test('is refused with nothing touched: in a protected environment, above a limit, to a backup that lacks a store, is not ours, or nobody signed', async () => {
    const { backupId, lived } = await begin()
    const { backupId: cacheOnly } = await reset.succeed({ operation: 'backup', strategy: 'cache-only' })
    const refused = async (request: object, variables: Record<string, string> = {}) => {
      const { error, cause } = await withVariables(variables, () => reset.run({ ...toBaseline, ...request }))
      expect(await print()).toEqual(lived)
      return `${error}: ${cause}`
    }
    expect(await refused({}, { PROTECTED: 'true' })).toMatch(/^EnvironmentProtected: /)
    expect(await refused({ confirm: 'prod' })).toMatch(
      /^ConfirmationMismatch: .*to reset it to the backup baseline, say/,
    )
    expect(await refused({}, { MAX_ROWS: '10' })).toMatch(
      /^LimitExceeded: The reset would replace \d+ rows, more than MAX_ROWS=10/,
    )
    expect(await refused({ toBackupId: cacheOnly })).toBe(
      `LabelMoved: baseline means the backup ${backupId} by now, and when the reset was confirmed it meant ${cacheOnly}. Nothing was touched; look at that backup, and confirm again`,
    )
    expect(await refused({ to: undefined, toBackupId: backupId })).toMatch(/^InvalidRequest: .*toBackupId: /)
    expect(await refused({}, { PRESERVE_ROWS: '{"users":"id < 3"}' })).toMatch(
      /^PreservationConflict: .*preserve the whole table/,
    )
    expect(await refused({ to: cacheOnly })).toMatch(
      /^InvalidRequest: The backup .* \(cache-only\) does not hold database and files, .*; say the strategy cache-only, or another backup$/,
    )
    await reset.stack.sql.query(
      `INSERT INTO taskmaster_reset.labels (label, backup_id) SELECT 'more-' || i, $1 FROM generate_series(1, 19) AS i`,
      [backupId],
    )
    const labelled = { operation: 'backup', label: 'too-many' }
    const { error, cause } = await reset.run(labelled)
    expect(`${error}: ${cause}`).toMatch(/^LabelRefused: There are 20 labels, and more than 20 are not kept/)
    await reset.stack.sql.query(`DELETE FROM taskmaster_reset.labels WHERE label = 'more-1'`)
    const last = `INSERT INTO taskmaster_reset.labels (label, backup_id) VALUES ('the-last', $1)`
    const full = await withFault(
      async (step) => {
        if (step === 'before seal') await reset.stack.sql.query(last, [backupId])
      },
      () => reset.succeed({ ...labelled, note: 'Kept', strategy: 'cache-only', rehearse: false }),
    )
    expect(full.warnings).toMatchObject([
      { code: 'LabelRefused', message: expect.stringContaining('did not get the label too-many: There are') },
    ])
    expect(Object.keys(await labels())).toHaveLength(20)
    expect(await labels()).not.toHaveProperty('too-many')
    const { rows: noted } = await reset.stack.sql.query('SELECT backup_id FROM taskmaster_reset.notes')
    expect(noted).toContainEqual({ backup_id: full.backupId })
    await reset.stack.sql.query(`DELETE FROM taskmaster_reset.labels WHERE label <> 'baseline'`)
    const key = backupKeys('.taskmaster/backups/', backupId).manifest
    const manifest = JSON.parse((await reset.bytesOf(key)).toString())
    const { digest: _, signature: __, ...unsigned } = manifest
    await reset.put(key, JSON.stringify(unsigned), backupBucket)
    expect(await refused({})).toMatch(/^BackupUnsigned: A reset goes back to signed backups only/)
    await reset.put(key, JSON.stringify({ ...unsigned, environment: 'production' }), backupBucket)
    expect(await refused({})).toMatch(
      /^ForeignBackup: A reset goes back to backups of its own environment, "local"/,
    )
    await reset.remove(backupBucket, [key])
    expect(await refused({})).toMatch(/^NotFound: There is no sealed backup/)
  })
})

/** Of the bucket in which no plan can be written. */
function failingPuts(s3: Clients['backups']['s3']): Clients['backups']['s3'] {
  const send = (command: { constructor: { name: string } }) =>
    command.constructor.name === 'PutObjectCommand'
      ? Promise.reject(new Error('down'))
      : s3.send(command as never)
  return Object.assign(Object.create(s3), { send })
}

describe('the next backup', () => {
  const backingUp = { operation: 'backup', rehearse: true } as const
  beforeAll(() => reset.seed({ users: 200, files: 3, keys: 4 }))

  beforeEach(nextSecond)

  test.runIf(isFull)(
    `takes over what has not changed, says how much, and is whole when the others are gone ${inFullForm}`,
    async () => {
      const first = await reset.succeed({ ...backingUp, takeOver: false })
      expect(first.targets.database.takenOver).toBeUndefined()
      const { rows } = first.targets.database
      const second = await reset.succeed(backingUp)
      expect(second.targets.database).toMatchObject({ state: 'backed_up', rows })
      expect(second.targets.database.takenOver).toMatchObject({ backupId: first.backupId, rows })
      await reset.stack.sql.query(`UPDATE users SET name = 'another' WHERE id = 7`)
      await nextSecond()
      const third = await reset.succeed(backingUp)
      const taken = third.targets.database.takenOver?.rows ?? 0
      expect([taken > 0, taken < rows]).toEqual([true, true])
      const print = (await reset.fingerprint()).database
      for (const { backupId } of [first, second])
        await reset.succeed({ operation: 'delete', backupId, confirm: environment })
      await reset.stack.sql.query('DELETE FROM stories; UPDATE users SET name = reverse(name)')
      await reset.succeed({
        operation: 'restore',
        backupId: third.backupId,
        confirm: environment,
        safetyBackup: false,
      })
      expect((await reset.fingerprint()).database).toEqual(print)
    },
  )

  test.runIf(isFull)(`takes nothing over when the request says so ${inFullForm}`, async () => {
    await reset.succeed(backingUp)
    const { targets } = await reset.succeed({ ...backingUp, takeOver: false })
    expect(targets.database.takenOver).toBeUndefined()
  })

  test.runIf(isFull)(`of a restore is told with how much it took over ${inFullForm}`, async () => {
    const before = await reset.succeed({ operation: 'backup', strategy: 'database-only' })
    await reset.stack.sql.query(`UPDATE users SET name = reverse(name) WHERE id = 7`)
    const { backupId, targets } = await reset.succeed({
      operation: 'restore',
      backupId: before.backupId,
      confirm: environment,
    })
    const held = (await reset.manifestOf(backupId)).database
    const { rows, bytes } = held!.takenOver!
    const exported = held!.rows - rows
    expect(exported).toBeGreaterThan(0)
    expect(targets.database).toMatchObject({
      state: 'restored',
      takenOver: { backupId: before.backupId, rows, exported, bytes },
    })
  })

  test('of a reset takes over as well, and the outcome tells it apart from what was wiped', async () => {
    const before = await reset.succeed({ operation: 'backup', strategy: 'database-only' })
    const { backupId, targets } = await reset.succeed({
      operation: 'reset',
      strategy: 'database-only',
      confirm: environment,
      preserve: { tables: ['public.users'] },
    })
    const { database } = await reset.manifestOf(backupId)
    expect(database?.takenOver?.backupId).toBe(before.backupId)
    const rows = database?.rows ?? 0
    expect(database?.takenOver?.rows).toBe(rows)
    expect(targets.database.rows).toBeLessThan(rows) // the users are in the backup, and stay
    expect(targets.database.takenOver).toMatchObject({ backupId: before.backupId, rows, exported: 0 })
  })
})
