import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { beforeEach, describe, expect, it } from 'vitest'
import { sealed } from '../../lib/backup/digest.ts'
import { currentClients } from '../../lib/task.ts'
import { environment, filesPrefix, fullReset, useResetStack, withVariables } from '../e2e/reset-stack.ts'
import { inFullForm, isFull } from '../support/trust.ts'

/** Looked at before each state's function. */
let beforeTask: (state: string) => void | Promise<void> = () => {}
const reset = useResetStack({ beforeTask: (state) => beforeTask(state) })

beforeEach(async () => {
  beforeTask = () => {}
  await reset.seed({ users: 40, files: 6, keys: 8 })
  await reset.stack.redis.persist('hash') // times to live have tests of their own; here everything must be equal
})

const backup = (strategy = 'full') => reset.succeed({ operation: 'backup', strategy, rehearse: false })
const restoring = (backupId: string | null, more = {}) => ({
  operation: 'restore',
  backupId,
  confirm: environment,
  rehearse: false,
  ...more,
})
const restore = (backupId: string | null, more = {}) => reset.succeed(restoring(backupId, more))
/** Without a safety backup, for tests of something else. */
const quickRestore = (backupId: string | null, more = {}) =>
  restore(backupId, { safetyBackup: false, ...more })

/** What an application that goes on working does to all three stores. */
async function change(): Promise<void> {
  await reset.stack.sql.query(`INSERT INTO users (name) SELECT 'later ' || g FROM generate_series(1, 7) g;
    UPDATE worlds SET settings = 'null'; DELETE FROM stories; UPDATE events SET what = 'else' WHERE what = 'login 3';
    INSERT INTO empty_one VALUES (1); SELECT setval('ticket_numbers', 5000); TRUNCATE tickets`)
  await reset.put(`${filesPrefix}story 1.txt`, 'another end')
  await reset.put(`${filesPrefix}new.txt`, 'new')
  await reset.remove('taskmaster-files', [`${filesPrefix}story 2.txt`])
  await reset.stack.redis
    .multi()
    .set('page:1', 'other')
    .set('page:new', 'x')
    .del('page:2')
    .hdel('hash', 'a')
    .exec()
}

describe('a restore', () => {
  it.runIf(isFull)(
    `says partly_restored of the files when one changed after the safety backup, and so was left ${inFullForm}`,
    async () => {
      const { backupId } = await backup('files-only')
      await reset.put(`${filesPrefix}story 1.txt`, 'another end')
      beforeTask = async (state) => {
        if (state.startsWith('Restore files')) await reset.put(`${filesPrefix}story 1.txt`, 'one more end')
      }
      const ended = await reset.run(restoring(backupId))
      const { outcome } = await reset.row(ended.name)
      expect(outcome.targets.files.state).toBe('partly_restored')
      expect(outcome.warnings).toContainEqual({
        code: 'FilesChangedMeanwhile',
        message: expect.stringMatching(/^1 file changed after the safety backup, so it was left/),
      })
      expect((await reset.bytesOf(`${filesPrefix}story 1.txt`, 'taskmaster-files')).toString()).toBe(
        'one more end',
      )
    },
  )

  it.runIf(isFull)(
    `puts all three stores back exactly as they were, and twice is the same as once ${inFullForm}`,
    async () => {
      const before = await reset.fingerprint()
      const { backupId } = await reset.succeed(fullReset)
      const outcome = await restore(backupId)
      expect(await reset.fingerprint()).toEqual(before)
      expect(outcome.targets).toMatchObject({
        database: { state: 'restored', tables: { 'public.users': 40 } },
        files: { state: 'restored', objects: 6 },
        cache: { state: 'restored' },
      })
      await quickRestore(backupId)
      expect(await reset.fingerprint()).toEqual(before)
    },
  )

  /** A restore of what was before the application changed all three stores. */
  async function restoreChanged() {
    const before = await reset.fingerprint()
    const { backupId } = await backup()
    await change()
    const changed = await reset.fingerprint()
    const outcome = await restore(backupId, { exact: true })
    expect(await reset.fingerprint()).toEqual(before)
    expect(outcome.backupId).not.toBe(backupId)
    return { changed, safetyBackup: outcome.backupId }
  }

  it('gives exactly the rows of the backup after the application changed them', async () => {
    await restoreChanged()
  })

  it.runIf(isFull)(
    `has a safety backup that holds what the application had changed ${inFullForm}`,
    async () => {
      const { changed, safetyBackup } = await restoreChanged()
      await quickRestore(safetyBackup, { exact: true })
      expect(await reset.fingerprint()).toEqual(changed)
    },
  )

  it.runIf(isFull)(
    `leaves files and keys that came later, and says how many, unless it is to be exact ${inFullForm}`,
    async () => {
      const { backupId } = await backup()
      await reset.put(`${filesPrefix}new.txt`, 'new')
      await reset.stack.redis.set('page:new', 'x')
      const before = await reset.fingerprint()
      const outcome = await quickRestore(backupId)
      expect(outcome.status).toBe('succeeded_with_warnings')
      expect(outcome.warnings.map(({ code }) => code)).toEqual(
        expect.arrayContaining(['FilesNotInBackup', 'KeysNotInBackup']),
      )
      expect(await reset.fingerprint()).toEqual(before)
      await quickRestore(backupId, { exact: true })
      const after = await reset.fingerprint()
      expect(after.files).toHaveLength(before.files.length - 1)
      expect(after.cache).toHaveLength(before.cache.length - 1)
    },
  )

  const strategies = [
    ['database-only', 'database'],
    ['files-only', 'files'],
    ['cache-only', 'cache'],
  ] as const
  it.runIf(isFull).each(strategies)(
    `of a %s backup touches nothing else ${inFullForm}`,
    async (strategy, target) => {
      const before = await reset.fingerprint()
      const { backupId } = await backup(strategy)
      await change()
      const changed = await reset.fingerprint()
      const outcome = await quickRestore(backupId, { exact: true })
      expect(await reset.fingerprint()).toEqual({ ...changed, [target]: before[target] })
      const states = Object.entries(outcome.targets).filter(([, { state }]) => state !== 'untouched')
      expect(states.map(([name]) => name)).toEqual([target])
    },
  )

  it.runIf(isFull)(
    `of chosen targets touches nothing else, and refuses one that the backup does not hold ${inFullForm}`,
    async () => {
      const before = await reset.fingerprint()
      const { backupId } = await backup()
      await change()
      const changed = await reset.fingerprint()
      await quickRestore(backupId, { exact: true, targets: ['cache', 'database'] })
      expect(await reset.fingerprint()).toEqual({ ...before, files: changed.files })
      const files = await backup('files-only')
      const ended = await reset.run(restoring(files.backupId, { targets: ['files', 'cache'] }))
      expect(ended).toMatchObject({ status: 'FAILED', error: 'InvalidRequest' })
      expect(ended.cause).toContain('does not hold cache')
    },
  )

  it.runIf(isFull)(
    `takes no safety backup only when that is said, and then warns ${inFullForm}`,
    async () => {
      const before = await reset.fingerprint()
      const { backupId } = await backup()
      await change()
      const outcome = await restore(backupId, { safetyBackup: false, exact: true })
      expect(await reset.fingerprint()).toEqual(before)
      expect(outcome.backupId).toBeNull()
      expect(outcome.warnings.map(({ code }) => code)).toContain('NoBackup')
      expect(await reset.sealed()).not.toContain(null)
    },
  )

  it.runIf(isFull)(`as a dry run plans and changes nothing ${inFullForm}`, async () => {
    const { backupId } = await backup()
    await change()
    const [changed, sealed] = [await reset.fingerprint(), await reset.sealed()]
    await reset.succeed({ operation: 'restore', backupId, dryRun: true })
    expect(await reset.fingerprint()).toEqual(changed)
    expect(await reset.sealed()).toEqual(sealed)
  })

  it.runIf(isFull)(
    `puts back the rows that were written between the backup and the wipe ${inFullForm}`,
    async () => {
      let wiped: Record<string, string> = {}
      beforeTask = async (state) => {
        if (state !== 'Wipe database') return
        await reset.stack.sql.query(`INSERT INTO users (name) SELECT 'late ' || g FROM generate_series(1, 30) g;
        DELETE FROM events WHERE what LIKE 'login 1%'; UPDATE worlds SET notes = NULL; INSERT INTO empty_one VALUES (3)`)
        wiped = (await reset.fingerprint()).database
      }
      const { backupId } = await reset.succeed(fullReset)
      expect(await reset.lateOf(backupId)).toBeDefined()
      await quickRestore(backupId)
      expect((await reset.fingerprint()).database).toEqual(wiped)
    },
  )

  it.runIf(isFull)(
    `starts over with a new safety backup when too much was written since the last one ${inFullForm}`,
    async () => {
      const before = await reset.fingerprint()
      const { backupId } = await backup()
      let times = 0
      beforeTask = async (state) => {
        if (state === 'Restore database' && times++ === 0)
          await reset.stack.sql.query(
            `INSERT INTO users (name) SELECT 'late ' || g FROM generate_series(1, 3) g`,
          )
      }
      const outcome = await withVariables({ LATE_MAX_BYTES: '1' }, () =>
        restore(backupId, { rehearse: true }),
      )
      expect(times).toBe(2)
      expect((await reset.fingerprint()).database).toEqual(before.database)
      const table = (await reset.manifestOf(outcome.backupId)).database?.tables.find(
        ({ name }) => name === 'public.users',
      )
      expect(table?.rows).toBe(43)
    },
  )

  it.runIf(isFull)(
    `never mixes its rows with those of an application that goes on writing ${inFullForm}`,
    async () => {
      const { backupId } = await backup()
      let writing = true
      const written: number[] = []
      const writer = (async () => {
        for (let i = 1; writing; i++) {
          await reset.stack.admin.query('INSERT INTO events (what) VALUES ($1)', [`writer ${i}`])
          written.push(i)
        }
      })()
      const ended = await reset.run(restoring(backupId))
      writing = false
      await writer
      const left = await reset.stack.sql.query(`SELECT what FROM events WHERE what LIKE 'writer %'`)
      const after = left.rows.map(({ what }) => Number(what.slice(7))).sort((a, b) => a - b)
      const logins = await reset.stack.sql.query(
        `SELECT count(*)::int AS rows FROM events WHERE what LIKE 'login %'`,
      )
      expect(logins.rows[0].rows).toBe(40)
      if (ended.status === 'SUCCEEDED') {
        await quickRestore(ended.output.backupId)
        const safe = await reset.stack.sql.query(`SELECT what FROM events WHERE what LIKE 'writer %'`)
        const before = safe.rows.map(({ what }) => Number(what.slice(7))).sort((a, b) => a - b)
        expect(before.length).toBeGreaterThan(0)
        expect([...before, ...after]).toEqual(written)
      } else {
        expect(['DatabaseBusy', 'BackupIsStale']).toContain(ended.error)
        expect(after).toEqual(written)
      }
    },
  )
})

it.runIf(isFull)(
  `a restore beside a session that keeps a table locked says who does, and changes nothing ${inFullForm}`,
  async () => {
    const { backupId } = await backup()
    await change()
    const before = await reset.fingerprint()
    await reset.stack.sql.query(
      `SET application_name = 'long report'; BEGIN; LOCK TABLE worlds IN SHARE MODE`,
    )
    try {
      const ended = await withVariables({ LOCK_TIMEOUT_MS: '100' }, () =>
        reset.run(restoring(backupId, { safetyBackup: false })),
      )
      expect(ended.error).toBe('DatabaseBusy')
      expect(ended.cause).toContain('long report')
    } finally {
      await reset.stack.sql.query('ROLLBACK; RESET application_name')
    }
    expect(await reset.fingerprint()).toEqual(before)
  },
)

describe('a restore is refused, with nothing touched,', () => {
  async function refused(request: unknown, error: string | RegExp, cause: RegExp): Promise<void> {
    const [before, sealed] = [await reset.fingerprint(), await reset.sealed()]
    const ended = await reset.run(request)
    expect(ended.error).toMatch(error)
    expect(ended.cause).toMatch(cause)
    expect(await reset.fingerprint()).toEqual(before)
    expect(await reset.sealed()).toEqual(sealed)
  }

  it.runIf(isFull)(
    `without the right confirmation, in a protected environment, or with a wrong request ${inFullForm}`,
    async () => {
      const { backupId } = await backup()
      await change()
      await refused(restoring(backupId, { confirm: undefined }), 'ConfirmationMismatch', /confirm is missing/)
      await refused(restoring(backupId, { confirm: 'staging' }), 'ConfirmationMismatch', /"staging"/)
      await refused(restoring(backupId, { strategy: 'full' }), 'InvalidRequest', /strategy/)
      await refused(restoring(null), 'InvalidRequest', /backupId/)
      await withVariables({ PROTECTED: 'true' }, () =>
        refused(restoring(backupId), 'EnvironmentProtected', /protected/),
      )
    },
  )

  it.runIf(isFull)(
    `for a backup that is unknown, was never sealed, or whose id is none ${inFullForm}`,
    async () => {
      const { backupId } = await backup()
      await reset.stack.s3.send(
        new DeleteObjectCommand({
          Bucket: 'taskmaster-backups',
          Key: `.taskmaster/backups/${backupId}/manifest.json`,
        }),
      )
      await refused(restoring(backupId), 'NotFound', new RegExp(String(backupId)))
      await refused(restoring('2026-01-01T00-00-00Z-abcdef'), 'NotFound', /2026-01-01T00-00-00Z-abcdef/)
      for (const id of ['../x', 'a/b', '.', `${backupId}/`, 'x'.repeat(200)]) {
        await refused(restoring(id), /^(InvalidRequest|NotFound)$/, /backup/)
      }
    },
  )

  it.runIf(isFull)(`for a backup of another environment, unless that is said ${inFullForm}`, async () => {
    const before = await reset.fingerprint()
    const { backupId } = await backup()
    const place = { Bucket: 'taskmaster-backups', Key: `.taskmaster/backups/${backupId}/manifest.json` }
    const answer = await reset.stack.s3.send(new GetObjectCommand(place))
    const manifest = JSON.parse((await answer.Body?.transformToString()) ?? '')
    const { SIGNING_KEYS } = (await currentClients()).config
    await reset.stack.s3.send(
      new PutObjectCommand({
        ...place,
        Body: JSON.stringify(sealed(SIGNING_KEYS, { ...manifest, environment: 'elsewhere' })),
      }),
    )
    await change()
    await refused(restoring(backupId), 'ForeignBackup', /"elsewhere".*"allowForeign": true/s)
    await quickRestore(backupId, { allowForeign: true, exact: true })
    expect(await reset.fingerprint()).toEqual(before)
  })

  it('when tables or columns are not what they were, and lists them', async () => {
    const { backupId } = await backup()
    await reset.stack.sql.query(`ALTER TABLE users DROP role; ALTER TABLE worlds ALTER notes TYPE text; DROP TABLE empty_one;
      ALTER TABLE events ADD must text NOT NULL DEFAULT 'x'; ALTER TABLE events ALTER must DROP DEFAULT; DROP TABLE tickets; DROP SEQUENCE ticket_numbers`)
    await refused(
      restoring(backupId),
      'SchemaChanged',
      /^(?=.*public\.users\.role does not exist)(?=.*public\.worlds\.notes was json and is text)(?=.*public\.empty_one)(?=.*public\.events\.must)(?=.*ticket_numbers)/s,
    )
  })

  it.runIf(isFull)(`when a type no longer knows a value, and names the table ${inFullForm}`, async () => {
    await reset.stack.sql.query(`DROP TYPE IF EXISTS mood; CREATE TYPE mood AS ENUM ('sad', 'glad');
      CREATE TABLE moods (m mood); INSERT INTO moods VALUES ('sad')`)
    const { backupId } = await backup()
    await reset.stack.sql.query(`ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'`)
    const before = await reset.fingerprint()
    const ended = await reset.run(restoring(backupId))
    expect(ended.error).toBe('SchemaChanged')
    expect(ended.cause).toMatch(/public\.moods .*invalid input value for enum mood/s)
    expect(ended.cause).not.toContain('sad') // what a row holds is in no error
    expect(await reset.fingerprint()).toEqual(before)
  })

  it.runIf(isFull)(
    `when a table outside the backup refers to a row that would go ${inFullForm}`,
    async () => {
      const { backupId } = await backup()
      await reset.stack.sql.query(`INSERT INTO users (id, name) VALUES (999, 'later');
      CREATE TABLE badges (who int REFERENCES users); INSERT INTO badges VALUES (999)`)
      const before = await reset.fingerprint()
      const ended = await reset.run(restoring(backupId))
      expect(ended.status).toBe('FAILED')
      expect(ended.cause).toMatch(/badges/)
      expect(await reset.fingerprint()).toEqual(before)
    },
  )
})

it.runIf(isFull)(
  `columns that came later and may be empty or have a default are allowed, and said ${inFullForm}`,
  async () => {
    const { backupId } = await backup()
    await reset.stack.sql.query(
      `ALTER TABLE users ADD extra int NOT NULL DEFAULT 5; ALTER TABLE worlds ADD note text`,
    )
    await reset.stack.sql.query(`UPDATE users SET extra = 6`)
    const outcome = await quickRestore(backupId)
    expect(outcome.warnings.find(({ code }) => code === 'NewColumns')?.message).toMatch(
      /public\.users\.extra, public\.worlds\.note/,
    )
    const answer = await reset.stack.sql.query(
      'SELECT count(*)::int AS rows, min(extra), max(extra) FROM users',
    )
    expect(answer.rows).toEqual([{ rows: 40, min: 5, max: 5 }])
  },
)

it.runIf(isFull)(
  `a check that came later does not keep the rows away: it is NOT VALID then, and named with the number of rows ${inFullForm}`,
  async () => {
    const before = await reset.fingerprint()
    const { backupId } = await backup()
    await reset.stack.sql.query(`DELETE FROM tickets; ALTER TABLE tickets ADD CHECK (title = 'none')`)
    const outcome = await quickRestore(backupId)
    expect(outcome.warnings.find(({ code }) => code === 'ConstraintNotValid')?.message).toMatch(
      /tickets_title_check of public\.tickets does not hold for \d+ rows/,
    )
    expect((await reset.fingerprint()).database).toEqual(before.database)
  },
)
