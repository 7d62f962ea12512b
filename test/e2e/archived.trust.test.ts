import { beforeAll, describe, expect, test } from 'vitest'
import { type Fault, type S3Request, s3Error } from '../files/s3-front.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { useFronts } from './fronts.ts'
import {
  backupBucket,
  environment,
  filesBucket,
  nextSecond,
  useResetStack,
  withVariables,
} from './reset-stack.ts'

const reset = useResetStack()
const fronts = useFronts(reset)
beforeAll(() => reset.seed({ users: 300, files: 4, keys: 4 }))

const backup = { operation: 'backup', rehearse: true } as const
const root = (backupId: string | null) => `.taskmaster/backups/${backupId}/`

/** As S3 answers for objects that a lifecycle has moved to GLACIER: a HEAD tells of them, and nothing gives their bytes. */
function archived(isOne: (key: string) => boolean): Fault {
  return async (request, forward) => {
    if (isOne(sourceOf(request) ?? request.key)) {
      if (request.method === 'GET' || sourceOf(request) !== undefined)
        return s3Error(403, 'InvalidObjectState')
      if (request.method === 'HEAD') {
        const answer = await forward()
        return { ...answer, headers: { ...answer.headers, 'x-amz-storage-class': 'GLACIER' } }
      }
    }
    return undefined
  }
}

/** The key that a copy is made of. */
function sourceOf({ headers }: S3Request): string | undefined {
  const source = headers['x-amz-copy-source']
  return typeof source === 'string' ? decodeURIComponent(source).replace(/^[^/]+\//, '') : undefined
}

async function whileArchived<Result>(
  isOne: (key: string) => boolean,
  act: () => Promise<Result>,
): Promise<Result> {
  fronts.s3.faults = [archived(isOne)]
  try {
    return await withVariables(fronts.variables, act)
  } finally {
    fronts.s3.faults = []
  }
}

const isPart = (backupId: string | null) => (key: string) =>
  key.startsWith(`${root(backupId)}database/`) && key.endsWith('.jsonl.zst')
const isSidecar = (backupId: string | null) => (key: string) =>
  key.startsWith(root(backupId)) && key.endsWith('.ranges')

describe.runIf(isFull)(`what was moved to an archive ${inFullForm}`, () => {
  test.each([
    ['parts', isPart],
    ['ranges of parts', isSidecar],
    [
      'parts with their ranges',
      (id: string | null) => (key: string) => isPart(id)(key) || isSidecar(id)(key),
    ],
  ] as const)('a backup of which the %s are archived is exported again, and named', async (_, isOne) => {
    await nextSecond() // it is to be the newest, and so the base of the next
    const { backupId } = await reset.succeed(backup)
    await reset.stack.sql.query(`UPDATE users SET name = name || '.' WHERE id = 7`) // its part is put together
    const outcome = await whileArchived(isOne(backupId), () => reset.succeed(backup))
    expect(outcome.status).toBe('succeeded_with_warnings')
    expect(outcome.targets.database.takenOver).toBeUndefined()
    const [warning] = outcome.warnings.filter(({ code }) => code === 'BaseDamaged')
    expect(warning?.message).toContain(`s3://${backupBucket}/${root(backupId)}database/`)
    expect(warning?.message).toMatch(/archived .*Restore it from the archive/)
    expect(warning?.message).not.toContain('Grant')
    const print = (await reset.fingerprint()).database
    await reset.stack.sql.query('DELETE FROM stories')
    await reset.succeed({
      ...{ operation: 'restore', backupId: outcome.backupId, confirm: environment, safetyBackup: false },
      targets: ['database'],
    })
    expect((await reset.fingerprint()).database).toEqual(print)
  })

  test('a backup of which the manifest is archived hides no other one, and is named', async () => {
    await nextSecond()
    const first = await reset.succeed(backup)
    await nextSecond()
    const second = await reset.succeed(backup)
    await nextSecond()
    const manifest = `${root(second.backupId)}manifest.json`
    const third = await whileArchived(
      (key) => key === manifest,
      () => reset.succeed(backup),
    )
    expect(third.targets.database.takenOver?.backupId).toBe(first.backupId)
    const known = (await reset.sealed()).map((id) => `${root(id)}manifest.json`)
    const fourth = await whileArchived(
      (key) => known.includes(key),
      () => reset.succeed(backup),
    )
    expect(fourth.targets.database.takenOver).toBeUndefined()
    expect(fourth.warnings).toContainEqual({
      code: 'NoBase',
      message: expect.stringContaining(
        `s3://${backupBucket}/${root(third.backupId)}manifest.json is archived`,
      ),
    })
  })

  const requests: [
    string,
    (backupId: string | null) => object,
    (id: string | null) => (key: string) => boolean,
  ][] = [
    ['restore', restoreOf, isPart],
    ['restore of rows that differ', restoreOf, isSidecar],
    ['diff', (backupId) => ({ operation: 'diff', backupId }), isSidecar],
    ['diff that reads rows', (backupId) => ({ operation: 'diff', backupId }), isPart],
    ['verify', (backupId) => ({ operation: 'verify', backupId }), isPart],
    ['verify that rehearses', (backupId) => ({ operation: 'verify', backupId, rehearse: true }), isPart],
    [
      'restore of files',
      (backupId) => ({ ...restoreOf(backupId), targets: ['files'] }),
      (id) => (key) => key.startsWith(`${root(id)}files/`),
    ],
    [
      'restore of a backup with an archived manifest',
      restoreOf,
      (id) => (key) => key === `${root(id)}manifest.json`,
    ],
  ]
  function restoreOf(backupId: string | null) {
    return { operation: 'restore', backupId, confirm: environment, exact: true, rehearse: false }
  }

  test.each(requests)(
    'a %s fails with the object and the way out, and nothing is changed',
    async (_, asked, isOne) => {
      await reset.seed({ users: 300, files: 4, keys: 4 })
      await reset.stack.sql.query(`CREATE TABLE big (id int PRIMARY KEY, text text);
      INSERT INTO big SELECT g, md5(g::text) FROM generate_series(1, 4000) g`)
      const { backupId } = await reset.succeed(backup)
      await reset.stack.sql.query(
        `UPDATE big SET text = 'other' WHERE id IN (5, 3000); DELETE FROM big WHERE id = 9`,
      )
      await reset.put('generated_stories/story 1.txt', 'changed')
      const before = await reset.fingerprint()
      const ended = await whileArchived(isOne(backupId), () => reset.run(asked(backupId)))
      expect(ended).toMatchObject({ status: 'FAILED', error: 'NotPermitted' })
      expect(ended.cause).toContain(`s3://${backupBucket}/${root(backupId)}`)
      expect(ended.cause).toMatch(/archived .*Restore it from the archive/)
      expect(await reset.fingerprint()).toEqual(before)
      await reset.succeed(restoreOf(backupId)) // when it was restored from the archive
    },
  )

  test('the dry run of a restore tells no difference, and names the object that it could not read', async () => {
    await reset.seed({ users: 30, files: 2, keys: 2 })
    const { backupId } = await reset.succeed(backup)
    await reset.stack.sql.query(`UPDATE users SET name = name || '!'`)
    const dry = { ...restoreOf(backupId), dryRun: true }
    const told = await whileArchived(isSidecar(backupId), () => reset.succeed(dry))
    expect(told).toMatchObject({ status: 'succeeded_with_warnings', refusal: null })
    expect(told.difference).toBeUndefined()
    expect(told.warnings).toContainEqual({
      code: 'NotCompared',
      message: expect.stringMatching(/s3:\/\/.*archived .*Restore it from the archive/),
    })
  })

  test('a backup and a reset of an archived file fail, naming it, and nothing is changed', async () => {
    await reset.seed({ users: 3, files: 4, keys: 4 })
    const before = await reset.fingerprint()
    for (const request of [backup, { operation: 'reset', strategy: 'full', confirm: environment }]) {
      const ended = await whileArchived(
        (key) => key.endsWith('story 1.txt') && key.startsWith('generated_stories/'),
        () => reset.run(request),
      )
      expect(ended).toMatchObject({ status: 'FAILED', error: 'NotPermitted' })
      expect(ended.cause).toContain(`s3://${filesBucket}/generated_stories/story 1.txt is archived`)
    }
    expect(await reset.fingerprint()).toEqual(before)
  })

  test('an archived backup is deleted like any other', async () => {
    const { backupId } = await reset.succeed(backup)
    await reset.succeed(backup)
    await whileArchived(
      (key) => key.startsWith(root(backupId)) && !key.endsWith('.json'),
      () => reset.succeed({ operation: 'delete', backupId, confirm: environment }),
    )
    expect(await reset.objects(backupBucket, root(backupId))).toEqual([])
  })
})
