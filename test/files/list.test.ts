import { describe, expect, test } from 'vitest'
import { workKeys } from '../../lib/backup/layout.ts'
import { getJsonLines } from '../../lib/backup/storage.ts'
import { countFiles, listFiles, pieceLimits } from '../../lib/files/list.ts'
import { ListedFile } from '../../lib/files/pieces.ts'
import { prefix, useFiles } from './files-stack.ts'
import { s3Error, smallPages } from './s3-front.ts'

const run = { runId: 'run-1', attempt: 1 }
const stack = useFiles()

const listed = async (list: number) =>
  await getJsonLines(stack.clients.backups, workKeys(run).filesList(list), ListedFile)

describe('listing the files', () => {
  test('prefix foo/ never touches foo2/', async () => {
    await stack.putMany([`${prefix}a`, 'generated_stories2/b', 'generated_storie', 'other/c'])
    const listing = await listFiles(stack.clients, { write: run, preserve: [] })
    expect(listing).toMatchObject({ objects: 1, lists: 1, batches: 1, listsPerBatch: 1 })
    expect((await listed(0)).map(({ key }) => key)).toEqual(['a'])
  })

  test('an empty folder is no error, and has no batches', async () => {
    const listing = await listFiles(stack.clients, { write: run, preserve: ['pinned/'] })
    expect(listing).toEqual({
      objects: 0,
      bytes: 0,
      preservedObjects: 0,
      preservedBytes: 0,
      lists: 0,
      listsPerBatch: 1,
      batches: 0,
      unmatched: ['pinned/'],
    })
  })

  test('a listing error is an error, not an empty folder', async () => {
    await stack.put(`${prefix}a`)
    stack.front.faults = [({ query }) => (query.has('list-type') ? s3Error(403, 'AccessDenied') : undefined)]
    await expect(listFiles(stack.clients, { preserve: [] })).rejects.toMatchObject({ name: 'NotPermitted' })
    stack.front.faults = [({ query }) => (query.has('list-type') ? s3Error(404, 'NoSuchBucket') : undefined)]
    await expect(countFiles(stack.clients, { preserve: [] })).rejects.toMatchObject({
      name: 'StoreUnavailable',
    })
  })

  test('a listing that fails at its second page is an error, not a shorter listing', async () => {
    await stack.putMany(Array.from({ length: 5 }, (_, n) => `${prefix}${n}`))
    stack.front.faults = [
      smallPages(2),
      ({ query }) => (query.has('continuation-token') ? s3Error(503, 'SlowDown') : undefined),
    ]
    await expect(listFiles(stack.clients, { write: run, preserve: [] })).rejects.toMatchObject({
      name: 'StoreUnavailable',
      message: expect.stringContaining('s3://files/generated_stories/'),
    })
  })

  test('pieces hold what the limits say, in the order of the listing, and batches are consecutive pieces', async () => {
    const keys = Array.from({ length: 25 }, (_, n) => String(n).padStart(3, '0'))
    await stack.putMany(keys.map((key) => `${prefix}${key}`))
    stack.front.faults = [smallPages(10)]
    const limits = { ...pieceLimits, objects: 4, batches: 3 }
    const listing = await listFiles(stack.clients, { write: run, preserve: [] }, limits)
    expect(listing).toMatchObject({ objects: 25, lists: 7, listsPerBatch: 3, batches: 3 })
    const pieces = await Promise.all(Array.from({ length: 7 }, (_, list) => listed(list)))
    expect(pieces.map((piece) => piece.length)).toEqual([4, 4, 4, 4, 4, 4, 1])
    expect(pieces.flat().map(({ key }) => key)).toEqual(keys)
    expect(pieces[0]?.[0]).toEqual({
      key: '000',
      size: Buffer.byteLength(`${prefix}000`),
      etag: expect.stringMatching(/^"[0-9a-f]{32}"$/),
      modified: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    })
  })

  test('a piece holds no more bytes than an invocation can copy', async () => {
    for (const key of ['a', 'b', 'c', 'd']) await stack.put(`${prefix}${key}`, 'x'.repeat(10))
    const listing = await listFiles(stack.clients, { preserve: [] }, { ...pieceLimits, bytes: 20 })
    expect(listing.lists).toBe(2)
  })

  test('preserved prefixes are totals of their own, stay in the lists, and one that matches nothing is reported', async () => {
    await stack.putMany(['pinned/a', 'pinned2/b', 'c'].map((key) => `${prefix}${key}`))
    const preserve = ['pinned/', 'generated_stories/pinned/', 'typo/']
    const listing = await listFiles(stack.clients, { write: run, preserve })
    expect(listing).toMatchObject({
      objects: 3,
      preservedObjects: 1,
      unmatched: ['generated_stories/pinned/', 'typo/'],
    })
    expect(listing.preservedBytes).toBe(`${prefix}pinned/a`.length)
    expect(await listed(0)).toHaveLength(3)
  })

  test('counting writes nothing, and stops at its limit', async () => {
    await stack.putMany(['a', 'b', 'c'].map((key) => `${prefix}${key}`))
    expect(await countFiles(stack.clients, { preserve: ['a'] })).toMatchObject({
      objects: 3,
      preservedObjects: 1,
      unmatched: [],
      complete: true,
    })
    expect(await countFiles(stack.clients, { preserve: [], limit: 2 })).toMatchObject({
      objects: 2,
      complete: false,
    })
    expect(await countFiles(stack.clients, { preserve: [], limit: 3 })).toMatchObject({
      objects: 3,
      complete: true,
    })
    expect(await stack.keysIn('backups')).toEqual([])
  })

  test('a directory bucket is refused, because it lists in no order', async () => {
    const files = { ...stack.clients.files, bucket: 'files--use1-az4--x-s3' }
    await expect(listFiles({ ...stack.clients, files }, { preserve: [] })).rejects.toMatchObject({
      name: 'InvalidConfiguration',
    })
  })
})
