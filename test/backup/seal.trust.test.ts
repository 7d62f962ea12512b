import { PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { handler } from '../../functions/seal.ts'
import { isWork, signWork } from '../../lib/backup/documents/signed-work.ts'
import { type BackupKeys, backupIdOf, backupKeys, workKeys } from '../../lib/backup/layout.ts'
import { makeClients } from '../../lib/clients.ts'
import { useFronts } from '../e2e/fronts.ts'
import { backupBucket, useResetStack, withVariables } from '../e2e/reset-stack.ts'
import { isFull } from '../support/trust.ts'

const backup = { operation: 'backup', rehearse: true } as const

/** The first run that comes to Seal waits there, so that Seal can be tried on what its steps left. */
const atSeal = Promise.withResolvers<{ runId: string; attempt: number }>()
const release = Promise.withResolvers<void>()
let beforeSeal = async (_run: { runId: string; attempt: number }): Promise<void> => {}
const reset = useResetStack({
  beforeTask: async (state, input) => {
    if (state !== 'Seal') return
    const { runId, attempt } = input as { runId: string; attempt: number }
    atSeal.resolve({ runId, attempt })
    await release.promise
    await beforeSeal({ runId, attempt })
  },
})
const fronts = useFronts(reset)

let execution: string
let run: { runId: string; attempt: number }
let keys: BackupKeys
let work: ReturnType<typeof workKeys>

beforeAll(async () => {
  await reset.seed({ users: 120, files: 12, keys: 100 })
  execution = await reset.start(backup)
  run = await atSeal.promise
  keys = await keysOf(run)
  work = workKeys(run)
})
afterAll(() => release.resolve())

async function keysOf(ref: typeof run) {
  const startedAt = (await reset.row(ref.runId)).started_at
  return backupKeys('.taskmaster/backups/', backupIdOf({ ...ref, startedAt }))
}

const seal = (ref: typeof run) =>
  handler(ref, { functionName: 'seal', awsRequestId: '', getRemainingTimeInMillis: () => 60_000 })

/** Seal must refuse what `fault` made of the object, and leave nothing that could be taken for a backup. */
async function refused(key: string, fault: (before: Buffer) => Buffer | string | null): Promise<string> {
  const before = await reset.bytesOf(key)
  const after = fault(before)
  if (after === null) await reset.remove(backupBucket, [key])
  else await write(key, after)
  try {
    return await refusal()
  } finally {
    await write(key, before)
  }
}

/** As a step of ours writes it: the work of a run is signed. */
async function write(key: string, body: Buffer | string): Promise<void> {
  const { backups } = await makeClients()
  const Metadata = isWork(key) ? signWork(backups, key, body.toString()) : {}
  await backups.s3.send(new PutObjectCommand({ Bucket: backupBucket, Key: key, Body: body, Metadata }))
}

async function refusal(): Promise<string> {
  const error = await seal(run).then(
    () => undefined,
    (thrown: Error) => thrown,
  )
  const sealed = await reset.sealed()
  await reset.remove(backupBucket, [keys.manifest]) // else all that comes after would fail too
  expect(sealed).toEqual([])
  expect(error?.name).toBe('BackupIncomplete')
  expect(error?.message).toContain('Nothing was wiped; ')
  return error?.message ?? ''
}

/** A step's result as if the step had left it so. */
// biome-ignore lint/suspicious/noExplicitAny: a result of any step
function edited(change: (result: any) => void): (before: Buffer) => string {
  return (before) => {
    const result = JSON.parse(before.toString())
    change(result)
    return JSON.stringify(result)
  }
}

describe('Seal writes no manifest, and says what is wrong,', () => {
  const someParts: [string, () => string][] = [
    ['a part of a table', () => keys.tablePart('public.users', 0, 1)],
    ['a part of the cache', () => keys.cachePart(0, 1)],
  ]
  test.each(someParts.slice(0, isFull ? undefined : 1))(
    'when %s is not there, or has another size than was written',
    async (_what, key) => {
      const wanted = `1 object of the backup is missing or has another size, for example s3://${backupBucket}/${key()} (`
      expect(await refused(key(), () => null)).toContain(wanted)
      expect(await refused(key(), (bytes) => bytes.subarray(1))).toContain(wanted)
      expect(await refused(key(), (bytes) => `${bytes} `)).toContain(wanted)
    },
  )

  test("when the files' index, which it has just written itself, is gone when it looks", () =>
    withVariables(fronts.variables, async () => {
      fronts.s3.faults.push(async ({ method, query, bucket }) => {
        const isListed = method === 'GET' && bucket === backupBucket && query.has('list-type')
        const there = isListed ? await reset.objects(backupBucket, `${keys.root}files.`) : []
        await reset.remove(
          backupBucket,
          there.map(({ key }) => key),
        )
        return undefined
      })
      expect(await refusal()).toContain('/files.')
    }))

  test('when its run was called off while it looked at the last object', () =>
    withVariables(fronts.variables, async () => {
      const say = (status: string) =>
        reset.stack.admin.query('UPDATE taskmaster_reset.runs SET status = $1 WHERE run_id = $2', [
          status,
          run.runId,
        ])
      fronts.s3.faults.push(async ({ query, bucket }) => {
        const isLast = bucket === backupBucket && query.get('prefix') === `${keys.root}files.`
        if (isLast) await say('cancelled')
        return undefined
      })
      try {
        await expect(seal(run)).rejects.toMatchObject({ name: 'RunLost' })
        expect(await reset.sealed()).toEqual([])
      } finally {
        fronts.s3.faults = []
        await say('running')
      }
    }))

  test('when fewer files were copied than were listed, or more had vanished', async () => {
    const fewer = edited((result) => result.objects--)
    expect(await refused(work.filesResult(0), fewer)).toContain(
      '12 files were listed, but 11 were copied and 0 had vanished',
    )
    const more = edited((result) => result.vanished++)
    expect(await refused(work.filesResult(0), more)).toContain(
      '12 files were listed, but 12 were copied and 1 had vanished',
    )
  })

  test('when the lists of copies name fewer files than were copied', async () => {
    const shorter = (bytes: Buffer) => bytes.subarray(bytes.indexOf('\n') + 1)
    expect(await refused(work.filesCopied(0), shorter)).toMatch(
      /12 files of \d+ bytes were copied, but 11 of \d+ bytes are in the lists of copies/,
    )
  })

  test('when the lists of copies name other bytes than were copied, a file twice, or files out of order', async () => {
    const lines = (change: (lines: string[]) => string[]) => (bytes: Buffer) =>
      `${change(bytes.toString().trimEnd().split('\n')).join('\n')}\n`
    const smaller = lines(([first = '', ...rest]) => [first.replace(/"size":\d+/, '"size":1'), ...rest])
    expect(await refused(work.filesCopied(0), smaller)).toMatch(
      /12 files of \d+ bytes were copied, but 12 of/,
    )
    const twice = lines(([first = '', , ...rest]) => [first, first, ...rest])
    expect(await refused(work.filesCopied(0), twice)).toContain('" twice, so the')
    const outOfOrder = lines(([first = '', second = '', ...rest]) => [second, first, ...rest])
    expect(await refused(work.filesCopied(0), outOfOrder)).toMatch(/name ".*" after ".*", so the/)
  })

  test('when the copy of a file is not there, or is not the one that was made', async () => {
    const [file] = await reset.objects(backupBucket, keys.file(''))
    const copy = file?.key ?? ''
    expect(await refused(copy, () => null)).toContain(
      `1 copies of files are missing, for example s3://${backupBucket}/${copy}`,
    )
    const other = `s3://${backupBucket}/${copy} has`
    expect(await refused(copy, (bytes) => bytes.subarray(1))).toContain(other)
    expect(await refused(copy, (bytes) => bytes.toString().replace('O', 'o'))).toContain(other)
  })

  const results: [string, () => string][] = [
    ['batch 0 of the database', () => work.databaseResult(0)],
    ['batch 0 of the files', () => work.filesResult(0)],
    ['the cache', () => work.cacheResult],
    ['the rehearsal', () => work.rehearsed],
  ]
  test.each(results.filter((_, at) => isFull || at % 2 === 0))(
    'when there is no result of %s',
    async (what, key) => {
      expect(await refused(key(), () => null)).toContain(`There is no result of ${what}`)
    },
  )

  type Result = { parts: { table: string; pages: { from: number; to: number | null } }[] }
  const partOf = ({ parts }: Result) => parts.find(({ table }) => table === 'public.users')
  const wrongParts: [string, string, (result: Result) => void][] = [
    [
      'is missing',
      'end at page 0',
      (result) => result.parts.splice(result.parts.indexOf(partOf(result) as never), 1),
    ],
    ['is there twice', 'Part 1 of', (result) => result.parts.push(partOf(result) as never)],
    [
      'ends before the table does',
      'end at page 1',
      (result) => Object.assign(partOf(result)?.pages ?? {}, { to: 1 }),
    ],
    [
      'begins after its first page',
      'Part 0 of',
      (result) => Object.assign(partOf(result)?.pages ?? {}, { from: 1 }),
    ],
    [
      'is empty although many rows were counted',
      '120 rows were counted in',
      (result) =>
        Object.assign(partOf(result) ?? {}, { rows: 0, fingerprint: '0', key: null, bytes: 0, sha256: null }),
    ],
  ]
  test.each(wrongParts.filter((_, at) => isFull || at % 2 === 0))(
    'when the only part of a table %s',
    async (_what, message, change) => {
      const cause = await refused(work.databaseResult(0), edited(change))
      expect(cause).toContain('public.users')
      expect(cause).toContain(message)
    },
  )

  test('when many keys were counted and none was exported', async () => {
    const none = edited((result) => Object.assign(result, { keys: 0, parts: [] }))
    expect(await refused(work.cacheResult, none)).toContain('were counted, but none exported')
  })
})

test('Seal says in the manifest what each step warned of, for whoever restores it one day', async () => {
  const warned = [work.rehearsed, work.filesResult(0), work.cacheResult].map((key, index) => ({
    key,
    warning: { code: 'Warned', message: `of what step ${index} leaves out` },
  }))
  const before = await Promise.all(warned.map(({ key }) => reset.bytesOf(key)))
  for (const [index, { key, warning }] of warned.entries())
    await write(key, edited((result) => result.warnings.push(warning))(before[index]!))
  await seal(run)
  const { warnings } = JSON.parse((await reset.bytesOf(keys.manifest)).toString())
  await reset.remove(backupBucket, [keys.manifest])
  for (const [index, { key }] of warned.entries()) await write(key, before[index]!)
  expect(warnings).toEqual(expect.arrayContaining(warned.map(({ warning }) => warning)))
})

describe('Seal, repeated,', () => {
  test('leaves the manifest that it wrote when its answer was lost', async () => {
    await seal(run)
    const written = await reset.bytesOf(keys.manifest)
    release.resolve()
    expect(await reset.end(execution)).toMatchObject({ status: 'SUCCEEDED' })
    expect((await reset.bytesOf(keys.manifest)).equals(written)).toBe(true)
  })

  test('does not take the manifest of another run for its own', async () => {
    const other = await reset.bytesOf(keys.manifest)
    beforeSeal = async (ref) => reset.put((await keysOf(ref)).manifest, other.toString(), backupBucket)
    const ended = await reset.run({ ...backup, rehearse: false })
    expect(ended).toMatchObject({ status: 'FAILED', error: 'BackupDamaged' })
    expect(ended.cause).toContain('/manifest.json')
    expect((await reset.row(ended.name)).outcome.backupId).toBeNull()
  })
})
