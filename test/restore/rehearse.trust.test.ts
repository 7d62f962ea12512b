import { PutObjectCommand } from '@aws-sdk/client-s3'
import { beforeEach, describe, expect, it } from 'vitest'
import { loadFunctions } from '../../local/functions.ts'
import { type Ended, environment, fullReset, useResetStack, withVariables } from '../e2e/reset-stack.ts'
import { inFullForm, isFull } from '../support/trust.ts'

/** Looked at before each state's function. */
let beforeTask: (state: string, input: unknown) => void | Promise<void> = () => {}
/** Names of functions of which each invocation is done twice, as after a lost answer. */
let twice: string[] = []
const reset = useResetStack({
  beforeTask: (state, input) => beforeTask(state, input),
  loadFunctions: async () => {
    const functions = Object.entries(await loadFunctions())
    return Object.fromEntries(
      functions.map(([name, handler]) => [
        name,
        async (event: unknown, context: Parameters<typeof handler>[1]) => {
          if (twice.includes(name)) await handler(event, context)
          return handler(event, context)
        },
      ]),
    )
  },
})

beforeEach(async () => {
  beforeTask = () => {}
  twice = []
  await reset.seed({ users: 40, files: 2, keys: 3 })
})

/** Nothing is taken over from what an earlier test left, so that all of it is loaded. */
const anew = { takeOver: false } as const
const backingUp = { operation: 'backup', strategy: 'database-only', ...anew } as const

async function scratchSchemas(): Promise<number> {
  const answer = await reset.stack.admin.query(
    `SELECT count(*)::int AS schemas FROM pg_namespace WHERE nspname LIKE 'taskmaster\\_scratch%'`,
  )
  return answer.rows[0].schemas
}

async function states(request: unknown): Promise<{ ended: Ended; states: string[] }> {
  const seen: string[] = []
  const hook = beforeTask
  beforeTask = (state, input) => {
    seen.push(state)
    return hook(state, input)
  }
  const ended = await reset.run(request)
  return { ended, states: seen }
}

describe('whether a backup is rehearsed', () => {
  const asked = [
    [true, undefined, true],
    [false, undefined, false],
    ['auto', undefined, true],
    ['auto', '1000', false],
    [true, '1000', true],
  ] as const
  it.each(asked.filter(([rehearse, max]) => isFull || (rehearse === 'auto' && max === '1000')))(
    'is so that rehearse: %s, with REHEARSE_MAX_BYTES %s, gives %s',
    async (rehearse, max, expected) => {
      const request = { ...backingUp, rehearse }
      const { ended, states: seen } = await withVariables({ REHEARSE_MAX_BYTES: max }, () => states(request))
      expect(seen.includes('Rehearse batch')).toBe(expected)
      const manifest = await reset.manifestOf(ended.output.backupId)
      if (expected)
        expect(Date.parse(manifest.rehearsedAt ?? '')).toBeGreaterThan(Date.parse(manifest.startedAt))
      else expect(manifest.rehearsedAt).toBeNull()
      const warned = ended.output.warnings.some(({ code }: { code: string }) => code === 'NotRehearsed')
      expect(warned).toBe(!expected && rehearse === 'auto')
      expect(await scratchSchemas()).toBe(0)
    },
  )
})

describe('a rehearsal', () => {
  it.runIf(isFull)(
    `names a table of which a row is too long for a page where its values are text, before anything is wiped ${inFullForm}`,
    async () => {
      const columns = Array.from({ length: 900 }, (_, column) => `c${column} whole DEFAULT 1234567890123456`)
      await reset.stack.sql.query(
        `CREATE DOMAIN whole AS bigint; CREATE TABLE broad (${columns}); INSERT INTO broad DEFAULT VALUES`,
      )
      const { error, cause } = await reset.run({ ...fullReset, ...anew, rehearse: true })
      expect(error).toBe('RehearsalFailed')
      expect(cause).toMatch(/A row of public\.broad does not fit a page of its copy/)
      const left = await reset.stack.sql.query('SELECT count(*)::int AS rows FROM broad')
      expect(left.rows[0].rows).toBe(1)
      await reset.stack.sql.query('DROP TABLE broad; DROP DOMAIN whole')
    },
  )

  it.runIf(isFull)(
    `doubles no row when a batch, or the comparison, is done twice, and takes any number of batches side by side ${inFullForm}`,
    async () => {
      await reset.stack.sql.query(
        `INSERT INTO users (name) SELECT repeat(md5(g::text), 8) FROM generate_series(1, 3000) g`,
      )
      twice = ['load', 'compare', 'restore']
      const before = await reset.fingerprint()
      const { ended, states: seen } = await withVariables({ EXPORT_BATCH_BYTES: '20000' }, () =>
        states({ ...fullReset, ...anew, rehearse: true }),
      )
      expect(seen.filter((state) => state === 'Rehearse batch').length).toBeGreaterThan(2)
      expect((await reset.manifestOf(ended.output.backupId)).rehearsedAt).not.toBeNull()
      await reset.succeed({ operation: 'restore', backupId: ended.output.backupId, confirm: environment })
      expect((await reset.fingerprint()).database).toEqual(before.database)
      expect(await scratchSchemas()).toBe(0)
    },
  )

  const damages = [
    ['another object', Buffer.from('not zstd at all')],
    ['half of it', 'half'],
    ['one changed bit', 'flipped'],
    ['the part of another table', 'swapped'],
    ['nothing', Buffer.alloc(0)],
  ] as const
  it.each(damages.filter(([, damage]) => isFull || damage === 'flipped'))(
    'finds that a part was replaced by %s, names it, seals nothing and wipes nothing',
    async (_, damage) => {
      const before = await reset.fingerprint()
      const sealed = await reset.sealed()
      let damaged = ''
      beforeTask = async (state) => {
        if (state !== 'Rehearse batch' || damaged !== '') return
        const running = `SELECT backup_id FROM taskmaster_reset.runs WHERE status = 'running'`
        const id = (await reset.stack.sql.query(running)).rows[0].backup_id
        const partOf = (table: string) => `.taskmaster/backups/${id}/database/public.${table}/00000.jsonl.zst`
        const [users, worlds] = [partOf('users'), partOf('worlds')]
        damaged = users
        const was = await reset.bytesOf(damaged)
        let body: Buffer = Buffer.from(was)
        if (damage === 'half') body = body.subarray(0, body.length / 2)
        else if (damage === 'flipped') body[body.length - 9] = (body[body.length - 9] ?? 0) ^ 4
        else if (damage === 'swapped') body = await reset.bytesOf(worlds)
        else body = damage
        await reset.stack.s3.send(
          new PutObjectCommand({ Bucket: 'taskmaster-backups', Key: damaged, Body: body }),
        )
      }
      const ended = await reset.run({ ...fullReset, ...anew, rehearse: true })
      expect(ended.error).toBe('BackupDamaged')
      expect(ended.cause).toContain(damaged)
      expect(await reset.fingerprint()).toEqual(before)
      expect(await reset.sealed()).toEqual(sealed)
      beforeTask = () => {}
      await reset.succeed({ ...backingUp, rehearse: false })
      expect(await scratchSchemas()).toBe(0) // the next run drops what a failed one left
    },
  )

  it.runIf(isFull)(
    `for which the database has no room wipes nothing, and what it had loaded goes before its end is written ${inFullForm}`,
    async () => {
      const { admin } = reset.stack
      const before = await reset.fingerprint()
      beforeTask = async (state) => {
        if (state !== 'Compare') return
        // As a full disk does: no row is written any more while what was loaded takes the room.
        await admin.query(`CREATE FUNCTION public.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF EXISTS (SELECT FROM pg_namespace WHERE nspname LIKE 'taskmaster\\_scratch%') THEN
            RAISE SQLSTATE '53100' USING MESSAGE = 'could not extend file'; END IF;
          RETURN NEW; END $$;
        CREATE TRIGGER full_disk BEFORE UPDATE ON taskmaster_reset.runs FOR EACH ROW EXECUTE FUNCTION public.full_disk()`)
      }
      try {
        const ended = await reset.run({ ...fullReset, ...anew, rehearse: true })
        expect(ended.error).toBe('DatabaseFull')
        expect(ended.cause).toContain('run without a rehearsal')
        expect(await reset.fingerprint()).toEqual(before)
        expect(await scratchSchemas()).toBe(0)
        const row = await reset.row(ended.name)
        expect([row.status, row.outcome.error.name]).toEqual(['failed', 'DatabaseFull'])
      } finally {
        await admin.query('DROP TRIGGER full_disk ON taskmaster_reset.runs; DROP FUNCTION public.full_disk')
      }
    },
  )

  it('finds rows that are not those that were exported, lists the tables, and drops what it loaded', async () => {
    const before = await reset.fingerprint()
    beforeTask = async (state) => {
      if (state !== 'Compare') return
      const found = await reset.stack.admin.query(
        `SELECT c.oid::regclass AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname LIKE 'taskmaster\\_scratch%' AND c.relname IN ('t' || 'users'::regclass::oid, 't' || 'worlds'::regclass::oid) ORDER BY c.relname = 't' || 'worlds'::regclass::oid`,
      )
      await reset.stack.admin.query(
        `DELETE FROM ${found.rows[0].name} WHERE ctid = '(0,1)'; UPDATE ${found.rows[1].name} SET owner = 2 WHERE owner = 1`,
      )
    }
    const ended = await reset.run({ ...fullReset, ...anew, rehearse: true })
    expect(ended.error).toBe('RehearsalFailed')
    expect(ended.cause).toMatch(/public\.users has 39 rows instead of 40; public\.worlds has its 40 rows/)
    expect(await reset.fingerprint()).toEqual(before)
    expect(await scratchSchemas()).toBe(0)
  })
})

describe('a backup of several batches, with writers between them', () => {
  it('has rows and sequences of one moment, and every part that is sealed was loaded and compared', async () => {
    const { sql, admin } = reset.stack
    let loaded: string[] = []
    let wrote = false
    beforeTask = async (state) => {
      if (['Reconcile', 'Seal'].includes(state) && !wrote) {
        wrote = true
        await sql.query(`INSERT INTO users (name) SELECT 'later' FROM generate_series(1, 9);
          INSERT INTO tickets (title) VALUES ('later'); DELETE FROM stories`)
      }
      if (state !== 'Compare') return
      const [{ name }] = (
        await admin.query(
          `SELECT nspname AS name FROM pg_namespace WHERE nspname LIKE 'taskmaster\\_scratch%'`,
        )
      ).rows
      loaded = (await admin.query(`SELECT key FROM ${name}.loaded`)).rows.map(({ key }) => key)
    }
    const { backupId } = await withVariables({ EXPORT_BATCH_BYTES: '20000' }, () =>
      reset.succeed({ ...backingUp, rehearse: true }),
    )
    const { database, rehearsedAt } = await reset.manifestOf(backupId)
    expect([wrote, database?.consistency, rehearsedAt === null]).toEqual([true, 'reconciled', false])
    const sealed = (database?.tables ?? []).flatMap(({ parts }) => parts.flatMap(({ key }) => key ?? []))
    expect(loaded).toEqual(expect.arrayContaining(sealed))
    const [{ last }] = (await sql.query('SELECT last_value::text AS last FROM users_id_seq')).rows
    expect(database?.sequences).toContainEqual(
      expect.objectContaining({ name: 'public.users_id_seq', lastValue: last }),
    )
    const before = await reset.fingerprint()
    await reset.succeed({ operation: 'restore', backupId, confirm: environment, rehearse: false })
    expect((await reset.fingerprint()).database).toEqual(before.database)
    await sql.query(`INSERT INTO users (name) VALUES ('next'); INSERT INTO tickets (title) VALUES ('next')`)
  })
})

describe('a part that was damaged after its backup was sealed', () => {
  it.runIf(isFull)(
    `makes the restore fail before a live table is touched, and the error names it ${inFullForm}`,
    async () => {
      const { backupId } = await reset.succeed(fullReset)
      await reset.stack.sql.query(`INSERT INTO users (name) VALUES ('only one')`)
      const before = await reset.fingerprint()
      const part = (await reset.manifestOf(backupId)).database?.tables.find(
        ({ name }) => name === 'public.stories',
      )?.parts[0]
      const body = await reset.bytesOf(part?.key ?? '')
      body[body.length >> 1] = (body[body.length >> 1] ?? 0) ^ 1
      await reset.stack.s3.send(
        new PutObjectCommand({ Bucket: 'taskmaster-backups', Key: part?.key ?? '', Body: body }),
      )
      const ended = await reset.run({ operation: 'restore', backupId, confirm: environment })
      expect(ended.error).toBe('BackupDamaged')
      expect(ended.cause).toContain(part?.key)
      expect(await reset.fingerprint()).toEqual(before)
      const row = await reset.row(ended.name)
      expect(await reset.sealed()).toContain(row.outcome.backupId)
    },
  )
})
