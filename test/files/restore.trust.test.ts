import { HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { getJson } from '../../lib/backup/documents/read.ts'
import { backupKeys, workKeys } from '../../lib/backup/layout.ts'
import { type Written, writePart } from '../../lib/backup/part/write.ts'
import { RunLost } from '../../lib/errors.ts'
import { copyFiles } from '../../lib/files/copy/copy.ts'
import { writeFilesIndex } from '../../lib/files/copy/write-index.ts'
import { diffFiles } from '../../lib/files/difference.ts'
import { listFiles } from '../../lib/files/list.ts'
import { listRestore } from '../../lib/files/restore/list.ts'
import { restoreFiles } from '../../lib/files/restore/restore.ts'
import { FilesRestored, RestoreTally } from '../../lib/files/restore/results.ts'
import { pieceLimits } from '../../lib/files/work-lists.ts'
import type { PlannedRun } from '../../lib/ledger/run-ref.ts'
import { copyLimits } from '../../lib/s3/copy-source.ts'
import { everything, type Touched } from '../../lib/store/selection.ts'
import { fenceOf } from '../support/fences.ts'
import { inFullForm, isFull, rounds } from '../support/trust.ts'
import { backupId, fence, noProgress, prefix, useFiles } from './files-stack.ts'
import { oddKeys } from './odd-keys.ts'
import { errorElement, type Fault, isBulkDelete, type S3Request, s3Error, smallPages } from './s3-front.ts'

const stack = useFiles()
const safetyId = '2026-11-23T00-00-00Z-5afe00'
let runs = 0
const nextRun = (): PlannedRun => ({ runId: `run-${++runs}`, attempt: 1, tried: 'once' })
const storage = () => stack.clients.backups
const copyOf = (key: string) => `.taskmaster/backups/${backupId}/files/${key}`
const put = (key: string, body: string) => stack.put(`${prefix}${key}`, body)
const remove = (key: string, bucket = 'files') =>
  fetch(`${stack.front.url}/${bucket}/${key}`, { method: 'DELETE' })

/** Backs the files up as the ordinary steps do. */
async function backUp(id = backupId, run = nextRun(), limits = pieceLimits): Promise<Written | null> {
  const listing = await listFiles(stack.clients, { write: run, preserve: [] }, limits)
  for (let batch = 0; batch < listing.batches; batch++)
    await copyFiles(stack.clients, { run, backupId: id, batch, ...listing }, noProgress, fence)
  const keyOf = backupKeys('.taskmaster/backups/', id).filesIndex
  return (await writeFilesIndex(storage(), { run, lists: listing.lists }, keyOf)).index
}

type Options = {
  exact?: boolean
  safety?: boolean
  limits?: typeof pieceLimits
  run?: PlannedRun
  touched?: Touched
  copy?: typeof copyLimits
}

/** Everything that comes before the first restored batch: the safety backup and the list. */
async function prepare(
  index: Written | null,
  { safety = true, limits = pieceLimits, run = nextRun(), touched = everything }: Options = {},
) {
  if (safety) await backUp(safetyId, run, limits)
  const listing = await listRestore(stack.clients, { run, backupId, index, touched }, limits)
  stack.front.seen = []
  return { run, backupId, safety, touched, ...listing }
}

async function carryOut(
  prepared: Awaited<ReturnType<typeof prepare>>,
  { exact = false, copy = copyLimits }: Options = {},
): Promise<Omit<FilesRestored, 'unchangedBytes'>> {
  const results: FilesRestored[] = []
  for (let batch = 0; batch < prepared.batches; batch++)
    results.push(await restoreFiles(stack.clients, { ...prepared, batch, exact }, noProgress, fence, copy))
  const sum = (
    name: 'objects' | 'bytes' | 'unchanged' | 'extra' | 'deleted' | 'changedMeanwhile' | 'failures',
  ) => results.reduce((total, result) => total + result[name], 0)
  return {
    batch: 0,
    objects: sum('objects'),
    bytes: sum('bytes'),
    unchanged: sum('unchanged'),
    extra: sum('extra'),
    deleted: sum('deleted'),
    changedMeanwhile: sum('changedMeanwhile'),
    changed: results.flatMap(({ changed }) => changed),
    failures: sum('failures'),
    failed: results.flatMap(({ failed }) => failed),
  }
}

const restore = async (index: Written | null, options: Options = {}) =>
  carryOut(await prepare(index, options), options)

/** Every live file and its content. */
async function contents(): Promise<Record<string, string>> {
  const keys = await stack.files()
  const bodies = await Promise.all(keys.map((key) => stack.get(`${prefix}${key}`)))
  return Object.fromEntries(keys.map((key, n) => [key, bodies[n] ?? '']))
}

const isCopy = ({ headers }: S3Request) => headers['x-amz-copy-source'] !== undefined
const none = {
  batch: 0,
  objects: 0,
  bytes: 0,
  unchanged: 0,
  extra: 0,
  deleted: 0,
  changedMeanwhile: 0,
  changed: [],
  failures: 0,
  failed: [],
}

test('what became of many objects is counted, and twenty of a kind are named', () => {
  const tally = new RestoreTally(3)
  const file = { key: 'a', size: 7, etag: '"a"', copyEtag: '"a"' }
  for (let nth = 0; nth < 21; nth++) {
    tally.restored(file)
    tally.unchanged(file)
    tally.leftAlone(`changed ${nth}`)
    tally.failed(`failed ${nth}`, 'AccessDenied')
  }
  const { changed, failed, ...counts } = tally.result
  expect(counts).toEqual({
    ...{ batch: 3, objects: 21, bytes: 147, unchanged: 21, unchangedBytes: 147, extra: 0, deleted: 0 },
    ...{ changedMeanwhile: 21, failures: 21 },
  })
  expect([changed.length, failed.length]).toEqual([20, 20])
})

describe('restoring the files', () => {
  test('everything that was changed, deleted or added is exactly as in the backup again, odd keys too', async () => {
    const keys = ['', ...oddKeys].filter((_, at) => isFull || at % 4 === 0)
    await stack.putMany(keys.map((key) => `${prefix}${key}`))
    const before = await contents()
    const index = await backUp()
    for (const [n, key] of keys.entries()) {
      if (n % 3 === 0) await put(key, 'changed')
      if (n % 3 === 1) await remove(`${prefix}${key.split('/').map(encodeURIComponent).join('/')}`)
    }
    for (const key of keys) await put(`${key}~extra`, 'x')
    const result = await restore(index, { exact: true, limits: { ...pieceLimits, objects: 4, batches: 3 } })
    expect(result).toMatchObject({ deleted: keys.length, extra: 0, changedMeanwhile: 0, failures: 0 })
    expect(result.objects + result.unchanged).toBe(keys.length)
    expect(await contents()).toEqual(before)
  })

  test('an object comes back with its content type and metadata', async () => {
    const described = { ContentType: 'video/mp4', CacheControl: 'no-store', Metadata: { story: '42' } }
    const target = { Bucket: 'files', Key: `${prefix}a` }
    await stack.s3.send(new PutObjectCommand({ ...target, Body: 'old', ...described }))
    const index = await backUp()
    await put('a', 'new')
    expect(await restore(index)).toEqual({ ...none, objects: 1, bytes: 3 })
    expect(await stack.s3.send(new HeadObjectCommand(target))).toMatchObject(described)
  })

  describe('an object comes back', () => {
    /** The files' listing and HEAD say what an S3 with more features than the embedded one says of "a". */
    const more =
      (storageClass: string, head: Record<string, string>): Fault =>
      async (request, forward) => {
        const isOfA = request.method === 'HEAD' && request.key.endsWith('/a')
        if (!isOfA && !(request.bucket === 'files' && request.query.has('list-type'))) return undefined
        const answer = await forward()
        if (isOfA) return { ...answer, headers: { ...answer.headers, ...head } }
        const body = `${answer.body}`.replace(
          /(<Key>[^<]*\/a<\/Key>.*?<StorageClass>)STANDARD/s,
          `$1${storageClass}`,
        )
        return { ...answer, body }
      }
    const makesObject = ({ method, query, headers }: S3Request) =>
      (method === 'PUT' && headers['x-amz-copy-source'] !== undefined && !query.has('partNumber')) ||
      query.has('uploads')

    const ways = [
      ['at once', copyLimits],
      ['in parts', { ...copyLimits, single: 5 * 2 ** 20, part: 5 * 2 ** 20 }],
    ] as const
    for (const [how, copy] of ways.slice(0, isFull ? undefined : 1))
      test(`in its storage class, ${how}; the copy in the backup has none`, async () => {
        const classes: string[] = []
        stack.front.faults = [
          more('STANDARD_IA', {}),
          (request) => {
            if (makesObject(request))
              classes.push(`${request.bucket} ${request.headers['x-amz-storage-class'] ?? 'as usual'}`)
            return undefined
          },
        ]
        await put('a', 'a'.repeat(how === 'in parts' ? 5 * 2 ** 20 + 1 : 2))
        await put('b', 'b')
        const run = nextRun()
        const listing = await listFiles(stack.clients, { write: run, preserve: [] })
        await copyFiles(stack.clients, { run, backupId, batch: 0, ...listing }, noProgress, fence, copy)
        const keyOf = backupKeys('.taskmaster/backups/', backupId).filesIndex
        const { index } = await writeFilesIndex(stack.clients.backups, { run, lists: listing.lists }, keyOf)
        for (const name of ['a', 'b']) await put(name, 'changed')
        await restore(index, { copy, safety: false })
        expect(classes.sort()).toEqual([
          'backups as usual',
          'backups as usual',
          'files STANDARD_IA',
          'files as usual',
        ])
      })

    test.runIf(isFull)(
      `in parts, with an expiry that is no date and the redirect of a website ${inFullForm}`,
      async () => {
        const seen: unknown[] = []
        stack.front.faults = [
          more('STANDARD', { expires: 'when I say so', 'x-amz-website-redirect-location': '/elsewhere' }),
          ({ query, headers }) => {
            if (query.has('uploads')) seen.push([headers.expires, headers['x-amz-website-redirect-location']])
            return undefined
          },
        ]
        await put('a', 'a'.repeat(5 * 2 ** 20 + 1))
        const copy = { ...copyLimits, single: 5 * 2 ** 20, part: 5 * 2 ** 20 }
        const index = await backUp()
        await put('a', 'changed')
        await restore(index, { copy, safety: false })
        expect(seen).toEqual([['when I say so', '/elsewhere']])
      },
    )
  })

  test('a file with the same ETag and another size is not what was backed up', async () => {
    await stack.putMany([`${prefix}a`])
    const index = await backUp()
    const live = { Bucket: 'files', Key: `${prefix}a` }
    const etag = async () =>
      (await stack.s3.send(new HeadObjectCommand(live))).ETag?.replaceAll('"', '') ?? ''
    const backedUp = await etag()
    await put('a', 'longer than what was backed up')
    const now = await etag()
    // Not every server makes its ETags of the content.
    stack.front.faults = [
      async ({ method, bucket, query }, forward) => {
        if (method !== 'GET' || bucket !== 'files' || !query.has('list-type')) return undefined
        const answer = await forward()
        return { ...answer, body: answer.body.toString().replaceAll(now, backedUp) }
      },
    ]
    expect((await restore(index, { safety: false })).unchanged).toBe(0)
  })

  test.runIf(isFull)(
    `a copy that lies under a second name, because a first try had left another one, is put back ${inFullForm}`,
    async () => {
      await stack.putMany([`${prefix}a`, `${prefix}b`])
      await stack.put(copyOf('a'), 'of a first try', 'backups')
      const index = await backUp()
      await put('a', 'changed')
      expect(await restore(index)).toMatchObject({ objects: 1, unchanged: 1 })
      expect(await contents()).toEqual({ a: `${prefix}a`, b: `${prefix}b` })
      await put('a', 'changed')
      await remove(copyOf('a').replace('/files/', '/files.2/'), 'backups')
      await expect(restore(index)).rejects.toMatchObject({
        name: 'BackupDamaged',
        message: expect.stringContaining('files.2/a'),
      })
    },
  )

  test('objects that are as in the backup are not written', async () => {
    await stack.putMany([`${prefix}a`, `${prefix}b`, `${prefix}c`])
    const index = await backUp()
    await put('b', 'changed')
    expect(await restore(index)).toMatchObject({ objects: 1, unchanged: 2 })
    expect(stack.front.seen.filter((line) => line.startsWith('PUT generated'))).toEqual([`PUT ${prefix}b?`])
  })

  test('objects that are not in the backup stay and are counted, unless it is to be exact: before, between and after', async () => {
    await stack.putMany(['b', 'd', 'f', 'h'].map((key) => `${prefix}${key}`))
    const index = await backUp()
    const extras = ['a', 'c', 'e', 'g', 'i', 'j']
    await stack.putMany([
      ...extras.map((key) => `${prefix}${key}`),
      'generated_stories2/x',
      'generated_storie',
    ])
    const limits = { ...pieceLimits, objects: rounds({ short: 3, full: 1 }), batches: 2 }
    expect(await restore(index, { limits })).toEqual({ ...none, unchanged: 4, extra: 6 })
    expect(await stack.files()).toHaveLength(10)
    expect(await restore(index, { limits, exact: true })).toEqual({ ...none, unchanged: 4, deleted: 6 })
    expect(await stack.keysIn('files')).toEqual([
      'generated_storie',
      ...['b', 'd', 'f', 'h'].map((key) => `${prefix}${key}`),
      'generated_stories2/x',
    ])
  })

  test('what lies below other prefixes than those that are named, or below one that is kept, is as it was', async () => {
    await stack.putMany(['a/1', 'a/2', 'a/own/1', 'b'].map((key) => `${prefix}${key}`))
    const index = await backUp()
    for (const key of ['a/1', 'a/extra', 'a/own/1', 'a/own/extra', 'b']) await put(key, 'changed')
    const touched = { only: ['a/'], kept: ['a/own/'] }
    expect(await restore(index, { exact: true, touched })).toMatchObject({
      ...{ objects: 1, unchanged: 1, extra: 0, deleted: 1 },
    })
    expect(await contents()).toEqual({
      ...{ 'a/1': `${prefix}a/1`, 'a/2': `${prefix}a/2` },
      ...{ 'a/own/1': 'changed', 'a/own/extra': 'changed', b: 'changed' },
    })
  })

  test.runIf(isFull)(`a backup without files restores to none ${inFullForm}`, async () => {
    const index = await backUp()
    expect(index).toBeNull()
    await stack.putMany([`${prefix}a`, `${prefix}b`])
    expect(await restore(index)).toEqual({ ...none, extra: 2 })
    expect(await restore(index, { exact: true })).toEqual({ ...none, deleted: 2 })
    expect(await stack.files()).toEqual([])
  })

  test.runIf(isFull)(
    `pages of a listing, pieces and batches may end anywhere, also where only some prefixes come back and others are kept ${inFullForm}`,
    async () => {
      const key = fc.string({ unit: fc.constantFrom('a', 'b', '/', 'é', '\uffff', '😀'), maxLength: 4 })
      const keys = fc.uniqueArray(key, { maxLength: 12 })
      const prefixes = fc.uniqueArray(fc.constantFrom<string>('a', 'b', '/', 'é', 'aa'), {
        minLength: 1,
        maxLength: 2,
      })
      const size = fc.integer({ min: 1, max: 5 })
      await fc.assert(
        fc.asyncProperty(
          keys,
          keys,
          fc.record({ objects: size, batches: size, page: size, exact: fc.boolean(), safety: fc.boolean() }),
          fc.record({
            only: fc.option(prefixes, { nil: null }),
            kept: fc.oneof(fc.constant<string[]>([]), prefixes),
          }),
          async (backedUp, live, { objects, batches, page, exact, safety }, touched) => {
            const below = (prefixes: string[], key: string) => prefixes.some((one) => key.startsWith(one))
            const isOf = (key: string) =>
              (touched.only === null || below(touched.only, key)) && !below(touched.kept, key)
            for (const bucket of ['files', 'backups'])
              for (const old of await stack.keysIn(bucket))
                await remove(old.split('/').map(encodeURIComponent).join('/'), bucket)
            for (const key of backedUp) await put(key, `old ${key}`)
            const limits = { ...pieceLimits, objects, batches }
            stack.front.faults = [smallPages(page)]
            const index = await backUp(backupId, nextRun(), limits)
            const [before, gone] = [await contents(), backedUp.filter((key) => !live.includes(key))]
            for (const key of gone)
              await remove(`${prefix}${key.split('/').map(encodeURIComponent).join('/')}`)
            for (const [n, key] of live.entries()) if (n % 2 === 0) await put(key, `new ${key}`)
            const now = await contents()
            const extras = Object.keys(now).filter((key) => isOf(key) && !backedUp.includes(key))
            const held = { prefix, objects: backedUp.length, bytes: 0, vanished: 0, index }
            const differs = async () => diffFiles(stack.clients, { held, touched }, noProgress)
            expect(await differs()).toMatchObject({
              ...{ before: backedUp.filter(isOf).length, now: Object.keys(now).filter(isOf).length },
              ...{ extra: extras.length, missing: gone.filter(isOf).length },
            })
            const result = await restore(index, { exact, safety, limits, touched })
            expect(result).toMatchObject({ changedMeanwhile: 0, failures: 0 })
            expect(result.objects + result.unchanged).toBe(backedUp.filter(isOf).length)
            expect([result.extra, result.deleted]).toEqual(exact ? [0, extras.length] : [extras.length, 0])
            const stays = Object.entries(now).filter(([key]) => !isOf(key) || !exact)
            const comes = Object.entries(before).filter(([key]) => isOf(key))
            expect(await contents()).toEqual(Object.fromEntries([...stays, ...comes]))
            expect(await differs()).toMatchObject({ missing: 0, changed: 0, extra: result.extra })
          },
        ),
        { numRuns: 12, endOnFailure: true },
      )
    },
  )

  describe('nothing is lost that is not in a backup', () => {
    for (const conditions of isFull ? [true, false] : [true]) {
      const server = conditions ? 'S3' : 'a server that ignores conditions'
      test(`an object that changed or came after the safety backup is left alone and reported, on ${server}`, async () => {
        stack.front.conditions = conditions
        await stack.putMany([`${prefix}a`, `${prefix}b`, `${prefix}c`])
        const index = await backUp()
        await put('a', 'changed')
        await put('b', 'changed')
        await remove(`${prefix}c`)
        await put('extra', 'x')
        const prepared = await prepare(index)
        await put('a', 'changed once more')
        await put('c', 'came since')
        await put('extra', 'changed too')
        await put('extra 2', 'came since')
        expect(await carryOut(prepared, { exact: true })).toEqual({
          ...none,
          objects: 1,
          bytes: `${prefix}b`.length,
          extra: 2,
          changedMeanwhile: 4,
          changed: ['a', 'c', 'extra', 'extra 2'].map((key) => `${prefix}${key}`),
        })
        expect(await contents()).toEqual({
          a: 'changed once more',
          b: `${prefix}b`,
          c: 'came since',
          extra: 'changed too',
          'extra 2': 'came since',
        })
      })
    }

    test('an object that changes, comes or goes between the listing and the copy is not overwritten', async () => {
      await stack.putMany(['a', 'b', 'c', 'd'].map((key) => `${prefix}${key}`))
      const index = await backUp()
      await put('a', 'changed')
      await remove(`${prefix}b`)
      await put('c', 'changed')
      await put('d', 'changed')
      const prepared = await prepare(index)
      stack.front.faults = [
        async (request) => {
          if (!isCopy(request)) return undefined
          if (request.key.endsWith('a')) await put('a', 'written in between')
          if (request.key.endsWith('b')) await put('b', 'written in between')
          if (request.key.endsWith('c')) await remove(`${prefix}c`)
          return undefined
        },
      ]
      expect(await carryOut(prepared)).toMatchObject({ objects: 1, changedMeanwhile: 3, failures: 0 })
      expect(await contents()).toEqual({ a: 'written in between', b: 'written in between', d: `${prefix}d` })
    })

    test('an extra object that changes between the listing and the deletion stays', async () => {
      const index = await backUp()
      await stack.putMany([`${prefix}a`, `${prefix}b`])
      const prepared = await prepare(index)
      stack.front.faults = [
        async (request) => {
          if (isBulkDelete(request)) await put('a', 'written in between')
          return undefined
        },
      ]
      expect(await carryOut(prepared, { exact: true })).toEqual({
        ...none,
        extra: 1,
        deleted: 1,
        changedMeanwhile: 1,
        changed: [`${prefix}a`],
      })
      expect(await contents()).toEqual({ a: 'written in between' })
    })

    test('a run that was to make a safety backup and has none overwrites and deletes nothing', async () => {
      await stack.putMany([`${prefix}a`, `${prefix}b`])
      const index = await backUp()
      await put('a', 'changed')
      await remove(`${prefix}b`)
      await put('extra', 'x')
      const prepared = { ...(await prepare(index, { safety: false })), safety: true }
      expect(await carryOut(prepared, { exact: true })).toMatchObject({
        objects: 1,
        extra: 1,
        changedMeanwhile: 2,
      })
      expect(await contents()).toEqual({ a: 'changed', b: `${prefix}b`, extra: 'x' })
    })

    test('a run that was told to make none overwrites and deletes what there is', async () => {
      await stack.putMany([`${prefix}a`, `${prefix}b`])
      const index = await backUp()
      const prepared = await prepare(index, { safety: false })
      await put('a', 'changed')
      await put('extra', 'x')
      expect(await carryOut(prepared, { exact: true })).toMatchObject({ objects: 1, deleted: 1, extra: 0 })
      expect(await stack.files()).toEqual(['a', 'b'])
    })

    test("the environment's mark and the runs' work are never touched, wherever the files lie", async () => {
      await stack.putMany(['.taskmaster/environment.json', '.taskmaster/x'])
      const clients = { ...stack.clients, config: { ...stack.clients.config, FILES_PREFIX: '.taskmaster/' } }
      const data = { run: nextRun(), backupId, index: null }
      const listing = await listRestore(clients, data)
      const batch = { ...data, ...listing, batch: 0, exact: true, safety: false }
      expect(await restoreFiles(clients, batch, noProgress, fence)).toEqual({ ...none, unchangedBytes: 0 })
      expect(await stack.keysIn('files')).toHaveLength(2)
    })
  })

  describe('a damaged backup changes nothing', () => {
    async function expectRefused(index: Written | null, named: string): Promise<void> {
      const before = await contents()
      await expect(restore(index, { exact: true })).rejects.toMatchObject({
        name: 'BackupDamaged',
        message: expect.stringContaining(named),
      })
      expect(await contents()).toEqual(before)
    }

    test('a copy that is missing or is another one, in any piece of the batch', async () => {
      const keys = Array.from({ length: 9 }, (_, n) => `key ${n}`)
      await stack.putMany(keys.map((key) => `${prefix}${key}`))
      const index = await backUp()
      for (const key of keys) await put(key, 'changed')
      const damages = [
        () => remove(encodeURI(copyOf('key 8')), 'backups'),
        () => stack.put(copyOf('key 8'), 'another', 'backups'),
        () => stack.put(copyOf('key 8'), `${prefix}key 9`, 'backups'), // as long as it was
        () => stack.put(copyOf('key 8'), 'short', 'backups'),
      ].filter((_, at) => isFull || at % 2 === 0)
      const limits = { ...pieceLimits, objects: 2, batches: 1 }
      for (const damage of damages) {
        await damage()
        await expect(restore(index, { exact: true, limits })).rejects.toMatchObject({
          name: 'BackupDamaged',
          message: expect.stringContaining(copyOf('key 8')),
        })
        expect(new Set(Object.values(await contents()))).toEqual(new Set(['changed']))
      }
    })

    test('a copy that is replaced or deleted while it is copied back', async () => {
      await stack.putMany([`${prefix}a`, `${prefix}b`])
      const index = await backUp()
      await put('a', 'changed')
      await remove(`${prefix}b`)
      for (const damage of [
        (key: string) => stack.put(copyOf(key), 'another', 'backups'),
        (key: string) => remove(copyOf(key), 'backups'),
      ]) {
        for (const key of isFull ? ['a', 'b'] : ['a']) {
          stack.front.faults = [
            async (request) => {
              if (isCopy(request) && request.bucket === 'files' && request.key.endsWith(key))
                await damage(key)
              return undefined
            },
          ]
          const prepared = await prepare(index)
          await expect(carryOut(prepared)).rejects.toMatchObject({
            name: 'BackupDamaged',
            message: expect.stringContaining(copyOf(key)),
          })
          stack.front.faults = []
          await stack.put(copyOf(key), `${prefix}${key}`, 'backups')
          await put('a', 'changed')
          await remove(`${prefix}b`)
        }
      }
    })

    test('a list that is missing, cut off, changed, of another backup, out of order or no list', async () => {
      await stack.putMany([`${prefix}a`, `${prefix}b`])
      const index = (await backUp())!
      await put('a', 'changed')
      await expectRefused({ ...index, key: index.key.replace('files.', 'no-files.') }, 'does not exist')
      await expectRefused({ ...index, sha256: '0'.repeat(64) }, index.key)
      const a = { key: 'a', size: 1, etag: '"x"', copyEtag: '"x"' }
      const made = async (...lines: unknown[]) =>
        await writePart(
          storage(),
          (copy) => `made/${copy}.jsonl.zst`,
          async function* () {
            yield Buffer.from(
              lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''),
            )
          },
        )
      await expectRefused(await made({ ...a, key: 'b' }, a), 'line 2 is out of order')
      if (isFull) {
        await expectRefused(await made(a, a), 'line 2 is out of order')
        await expectRefused(
          await made({ ...a, key: '😀' }, { ...a, key: '\uffff' }),
          'line 2 is out of order',
        )
        await expectRefused(await made(a, 'no JSON'), 'line 2 describes no file')
      }
      await expectRefused(await made({ ...a, size: -1 }), 'line 1 describes no file')
      if (!isFull) return
      await stack.put(index.key, 'no zstd', 'backups')
      await expectRefused(index, index.key)
    })
  })

  test.runIf(isFull)(
    `its list is written under the next name when its own is taken meanwhile, and counts each file once ${inFullForm}`,
    async () => {
      await stack.putMany([`${prefix}a`, `${prefix}b`])
      const keyOf = backupKeys('.taskmaster/backups/', backupId).filesIndex
      stack.front.faults = [
        (request) =>
          request.method === 'PUT' && request.key === keyOf()
            ? s3Error(412, 'PreconditionFailed')
            : undefined,
      ]
      const run = nextRun()
      const { lists } = await listFiles(stack.clients, { write: run, preserve: [] })
      const batch = { run, backupId, batch: 0, listsPerBatch: 1, lists }
      await copyFiles(stack.clients, batch, noProgress, fence)
      expect(await writeFilesIndex(storage(), { run, lists }, keyOf)).toMatchObject({
        ...{ objects: 2, bytes: `${prefix}a${prefix}b`.length },
        index: { key: keyOf().replace('files.', 'files.2.') },
      })
    },
  )

  test.runIf(isFull)(`restoring twice is the same as restoring once ${inFullForm}`, async () => {
    await stack.putMany(['a', 'b', 'c'].map((key) => `${prefix}${key}`))
    const before = await contents()
    const index = await backUp()
    await put('a', 'changed')
    await remove(`${prefix}b`)
    expect(await restore(index)).toMatchObject({ objects: 2, unchanged: 1 })
    expect(await restore(index)).toEqual({ ...none, unchanged: 3 })
    expect(await contents()).toEqual(before)
  })

  test('a repeat finds the result and touches nothing', async () => {
    await put('a', 'old')
    const index = await backUp()
    await put('a', 'new')
    const prepared = await prepare(index)
    const first = await carryOut(prepared)
    await put('a', 'written since')
    stack.front.seen = []
    expect(await carryOut(prepared)).toEqual(first)
    expect(stack.front.seen.filter((line) => !line.startsWith('GET .taskmaster/runs/'))).toEqual([])
    const written = await getJson(storage(), workKeys(prepared.run).filesRestored(0), FilesRestored)
    expect(written).toEqual({ ...first, unchangedBytes: 0 })
  })

  test('cut off at any request and repeated, it ends the same', async () => {
    await stack.putMany(['a', 'b', 'c'].map((key) => `${prefix}${key}`))
    const before = await contents()
    const index = await backUp()
    async function change() {
      await put('a', 'changed')
      await remove(`${prefix}b`)
      await put('extra', 'x')
    }
    await change()
    const prepared = await prepare(index, { limits: { ...pieceLimits, objects: 2 } })
    let requests = Number.POSITIVE_INFINITY
    for (let last = 0; last < requests; last += rounds({ short: 12, full: 1 })) {
      await change()
      let seen = 0
      stack.front.faults = [() => (seen++ < last ? undefined : s3Error(403, 'AccessDenied'))]
      const cutOff = carryOut(prepared, { exact: true })
      const isOver = await cutOff.then(
        () => true,
        () => false,
      )
      if (isOver) requests = last
      stack.front.faults = []
      const result = await carryOut(prepared, { exact: true })
      expect(result).toMatchObject({ extra: 0, changedMeanwhile: 0, failures: 0 })
      expect(result.objects + result.unchanged).toBe(3)
      expect(await contents()).toEqual(before)
      for (const batch of [0, 1]) await remove(workKeys(prepared.run).filesRestored(batch), 'backups')
    }
    expect(requests).toBeGreaterThan(15)
  })

  test('a copy whose answer is lost counts as restored, although the repeat finds its target changed', async () => {
    await stack.putMany([`${prefix}a`, `${prefix}b`])
    const index = await backUp()
    await put('a', 'changed')
    await remove(`${prefix}b`)
    const prepared = await prepare(index)
    const lost = new Set<string>()
    stack.front.faults = [
      async (request, forward) => {
        if (!isCopy(request) || lost.has(request.key)) return undefined
        lost.add(request.key)
        await forward()
        return 'drop'
      },
    ]
    expect(await carryOut(prepared)).toMatchObject({ objects: 2, changedMeanwhile: 0, failures: 0 })
    expect(await contents()).toEqual({ a: `${prefix}a`, b: `${prefix}b` })
  })

  describe('where the ETag of a restored object is a new one each time (KMS, copies in parts)', () => {
    /** Copies into the files bucket get another ETag than their content has; `checksums`: HEAD tells the content's. */
    function newEtags(checksums: boolean): Fault {
      const restored = new Set<string>()
      const rewrite = (text: string) => text.replace(/[0-9a-f]{32}/, 'e'.repeat(32))
      return async (request, forward) => {
        if (request.bucket === 'files' && isCopy(request)) {
          restored.add(request.key)
          const answer = await forward()
          return { ...answer, body: rewrite(answer.body.toString()) }
        }
        if (request.bucket === 'files' && request.query.has('list-type')) {
          const answer = await forward()
          const body = answer.body
            .toString()
            .replaceAll(/<Contents>.*?<\/Contents>/gs, (object) =>
              restored.has(/<Key>(.*?)<\/Key>/.exec(object)?.[1] ?? '') ? rewrite(object) : object,
            )
          return { ...answer, body }
        }
        if (request.method !== 'HEAD' || checksums) return undefined
        const answer = await forward()
        const kept = Object.entries(answer.headers ?? {}).filter(
          ([name]) => !name.startsWith('x-amz-checksum'),
        )
        return { ...answer, headers: Object.fromEntries(kept) }
      }
    }

    for (const checksums of isFull ? [true, false] : [true]) {
      test(`what an earlier try restored is ${checksums ? 'recognised by its checksum' : 'left alone and reported, without a checksum'}`, async () => {
        await stack.putMany(['a', 'b', 'c'].map((key) => `${prefix}${key}`))
        const before = await contents()
        const index = await backUp()
        for (const key of ['a', 'b', 'c']) await put(key, 'changed')
        const prepared = await prepare(index)
        const encrypted = newEtags(checksums)
        const refuse: Fault = (request) =>
          isCopy(request) && request.key.endsWith('c') ? s3Error(403, 'AccessDenied') : undefined
        stack.front.faults = [refuse, encrypted]
        await expect(carryOut(prepared)).rejects.toMatchObject({ name: 'NotPermitted' })
        stack.front.faults = [encrypted]
        expect(await carryOut(prepared)).toMatchObject(
          checksums
            ? { objects: 1, unchanged: 2, changedMeanwhile: 0 }
            : { objects: 1, unchanged: 0, changedMeanwhile: 2 },
        )
        expect(await contents()).toEqual(before)
      })
    }
  })

  describe('an object over the limit of one copy', () => {
    const copy = { ...copyLimits, single: 6 * 2 ** 20, part: 5 * 2 ** 20 }
    const big = 'taskmaster'.repeat(1_100_000)

    test('comes back in parts, and is found unchanged the next time', async () => {
      await put('big', big)
      const index = await backUp()
      await put('big', 'changed')
      expect(await restore(index, { copy })).toMatchObject({ objects: 1, bytes: big.length })
      expect(stack.front.seen.filter((line) => line.includes('partNumber'))).toHaveLength(3)
      expect(await stack.get(`${prefix}big`)).toBe(big)
    })

    const changes = [
      ['changes', 'changed'],
      ['comes', undefined],
    ] as const
    for (const [what, live] of changes.slice(0, isFull ? undefined : 1)) {
      test(`is not written over one that ${what} while its parts are copied`, async () => {
        await put('big', big)
        const index = await backUp()
        if (live === undefined) await remove(`${prefix}big`)
        else await put('big', live)
        const prepared = await prepare(index)
        stack.front.faults = [
          async ({ method, query }) => {
            if (method === 'POST' && query.has('uploadId')) await put('big', 'written meanwhile')
            return undefined
          },
        ]
        expect(await carryOut(prepared, { copy })).toMatchObject({ objects: 0, changedMeanwhile: 1 })
        expect(await contents()).toEqual({ big: 'written meanwhile' })
      })
    }

    test.runIf(isFull)(`is not copied back when the backup holds another one ${inFullForm}`, async () => {
      await put('big', big)
      const index = await backUp()
      await put('big', 'changed')
      const prepared = await prepare(index)
      stack.front.faults = [
        async (request) => {
          if (request.method === 'POST' && request.query.has('uploads'))
            await stack.put(copyOf('big'), big.toUpperCase(), 'backups')
          return undefined
        },
      ]
      await expect(carryOut(prepared, { copy })).rejects.toMatchObject({ name: 'BackupDamaged' })
      expect(await contents()).toEqual({ big: 'changed' })
    })
  })

  test('a copy that S3 says it made but did not is a failure, by name, and is tried again', async () => {
    await stack.putMany([`${prefix}a`, `${prefix}b`])
    const index = await backUp()
    await put('a', 'changed')
    await remove(`${prefix}b`)
    const prepared = await prepare(index)
    const body = `<CopyObjectResult><ETag>"${'0'.repeat(32)}"</ETag></CopyObjectResult>`
    stack.front.faults = [(request) => (isCopy(request) ? { status: 200, body } : undefined)]
    expect(await carryOut(prepared)).toEqual({
      ...none,
      failures: 2,
      failed: ['a', 'b'].map((key) => ({ key: `${prefix}${key}`, code: 'NotCopied' })),
    })
    stack.front.faults = []
    expect(await carryOut(prepared)).toMatchObject({ objects: 2, failures: 0 })
  })

  test('a deletion that S3 refuses or only says it made is a failure, by name', async () => {
    const index = await backUp()
    await stack.putMany([`${prefix}a`, `${prefix}b`])
    const prepared = await prepare(index)
    const body = `<DeleteResult>${errorElement(`${prefix}a`, 'AccessDenied')}</DeleteResult>`
    stack.front.faults = [(request) => (isBulkDelete(request) ? { status: 200, body } : undefined)]
    expect(await carryOut(prepared, { exact: true })).toEqual({
      ...none,
      extra: 2,
      failures: 2,
      failed: [
        { key: `${prefix}a`, code: 'AccessDenied' },
        { key: `${prefix}b`, code: 'NotDeleted' },
      ],
    })
  })

  test('an archived copy and a refused copy are errors that say so', async () => {
    await put('a', 'old')
    const index = await backUp()
    await put('a', 'new')
    for (const [status, code, name, message] of [
      [403, 'InvalidObjectState', 'NotPermitted', /backups\/.*\/a is archived/],
      [403, 'AccessDenied', 'NotPermitted', /refuses to restore s3:\/\/files\/generated_stories\/a/],
      [404, 'NoSuchBucket', 'StoreUnavailable', /bucket files does not exist/],
    ] as const) {
      const prepared = await prepare(index)
      stack.front.faults = [(request) => (isCopy(request) ? s3Error(status, code) : undefined)]
      await expect(carryOut(prepared)).rejects.toMatchObject({
        name,
        message: expect.stringMatching(message),
      })
      stack.front.faults = []
    }
    expect(await contents()).toEqual({ a: 'new' })
  })

  test('a listing that fails at its second page is an error, and nothing is deleted', async () => {
    const index = await backUp()
    await stack.putMany(['a', 'b', 'c', 'd'].map((key) => `${prefix}${key}`))
    const prepared = await prepare(index)
    stack.front.faults = [
      smallPages(2),
      ({ query }) => (query.has('continuation-token') ? s3Error(403, 'AccessDenied') : undefined),
    ]
    await expect(carryOut(prepared, { exact: true })).rejects.toMatchObject({ name: 'NotPermitted' })
    stack.front.faults = []
    expect(await stack.files()).toHaveLength(4)
  })

  test('the list is cut into pieces and batches, and there is always one', async () => {
    await stack.putMany(Array.from({ length: 7 }, (_, n) => `${prefix}${n}`))
    const index = await backUp()
    const list = (limits = pieceLimits, from: Written | null = index) =>
      listRestore(stack.clients, { run: nextRun(), backupId, index: from }, limits)
    const totals = { objects: 7, bytes: 7 * (prefix.length + 1), unmatched: [] }
    expect(await list()).toEqual({ ...totals, lists: 1, listsPerBatch: 1, batches: 1 })
    expect(await list({ ...pieceLimits, objects: 2 })).toEqual({
      ...totals,
      lists: 4,
      listsPerBatch: 1,
      batches: 4,
    })
    expect(await list({ ...pieceLimits, objects: 2, batches: 3 })).toEqual({
      ...totals,
      lists: 4,
      listsPerBatch: 2,
      batches: 2,
    })
    expect(await list({ ...pieceLimits, bytes: 40 })).toMatchObject({ lists: 4 })
    expect(await list(pieceLimits, null)).toEqual({
      objects: 0,
      bytes: 0,
      unmatched: [],
      lists: 0,
      listsPerBatch: 1,
      batches: 1,
    })
  })

  test('without a safety backup an object that changes at the last moment is overwritten all the same', async () => {
    await stack.putMany([`${prefix}a`, `${prefix}b`])
    const index = await backUp()
    await put('a', 'changed')
    const prepared = await prepare(index, { safety: false })
    let changes = 0
    stack.front.faults = [
      async (request) => {
        if (isCopy(request) && changes++ < 2) await put('a', `changed once more, ${changes}`)
        return undefined
      },
    ]
    expect(await carryOut(prepared)).toMatchObject({ objects: 1, unchanged: 1, changedMeanwhile: 0 })
    expect(await contents()).toEqual({ a: `${prefix}a`, b: `${prefix}b` })
  })

  test('a run that is lost writes and deletes nothing more, and leaves no result', async () => {
    await stack.putMany([`${prefix}a`, `${prefix}b`])
    const index = await backUp()
    await put('a', 'changed')
    await put('extra', 'x')
    const prepared = await prepare(index)
    const before = await contents()
    const lost = { ...fence, check: async () => Promise.reject(new RunLost('it is over')) }
    const batch = { ...prepared, batch: 0, exact: true }
    await expect(restoreFiles(stack.clients, batch, noProgress, lost)).rejects.toMatchObject({
      name: 'RunLost',
    })
    expect(await contents()).toEqual(before)
    expect(stack.front.seen.filter((line) => /^(PUT|POST|DELETE)/.test(line))).toEqual([])

    const late = fenceOf(1)
    const lose = async () => {
      late.lost = new RunLost('it is over')
    }
    await expect(restoreFiles(stack.clients, batch, lose, late)).rejects.toMatchObject({ name: 'RunLost' })
    expect(await stack.files()).toEqual(['a', 'b'])
    expect(await stack.keysIn('backups')).not.toContain(workKeys(prepared.run).filesRestored(0))
  })

  test('tells how far it is', async () => {
    await stack.putMany(Array.from({ length: 5 }, (_, n) => `${prefix}${n}`))
    const index = await backUp()
    const prepared = await prepare(index, { limits: { ...pieceLimits, objects: 2, batches: 1 } })
    const told: number[][] = []
    const data = { ...prepared, batch: 0, exact: false }
    await restoreFiles(stack.clients, data, async (...numbers) => void told.push(numbers), fence)
    expect(told).toEqual([
      [2, 5],
      [4, 5],
      [5, 5],
    ])
  })
})
