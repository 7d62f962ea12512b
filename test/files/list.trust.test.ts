import { describe, expect, test, vi } from 'vitest'
import { getJsonLines } from '../../lib/backup/documents/read.ts'
import { workKeys } from '../../lib/backup/layout.ts'
import { makeS3 } from '../../lib/clients.ts'
import { warnOfNotCarried } from '../../lib/files/copy/object-properties.ts'
import { countFiles, listFiles } from '../../lib/files/list.ts'
import { ListedFile } from '../../lib/files/pieces.ts'
import { pieceLimits } from '../../lib/files/work-lists.ts'
import { listFolders, listRange, listSizes } from '../../lib/s3/list.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { prefix, useFiles } from './files-stack.ts'
import { type Fault, s3Error, smallPages } from './s3-front.ts'

const run = { runId: 'run-1', attempt: 1, tried: 'once' }
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

  test('a second try of the count lists beside the first, and what is listed is never written over', async () => {
    const listedBy = (tried: string) => listFiles(stack.clients, { write: { ...run, tried }, preserve: [] })
    const namesOf = async (tried: string) => {
      const key = workKeys({ ...run, tried }).filesList(0)
      return (await getJsonLines(stack.clients.backups, key, ListedFile)).map((file) => file.key)
    }
    await stack.putMany([`${prefix}a`])
    await listedBy('one')
    await stack.putMany([`${prefix}b`])
    await listedBy('two')
    expect([await namesOf('one'), await namesOf('two')]).toEqual([['a'], ['a', 'b']])
    await stack.putMany([`${prefix}c`])
    await listedBy('two') // as when S3's answer was lost and the request is sent again
    expect(await namesOf('two')).toEqual(['a', 'b'])
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
    const preserve = ['pinned/', 'pinned/a', 'generated_stories/pinned/', 'typo/']
    const listing = await listFiles(stack.clients, { write: run, preserve })
    expect(listing).toMatchObject({
      objects: 3,
      preservedObjects: 1,
      unmatched: ['generated_stories/pinned/', 'typo/'],
    })
    expect(listing.preservedBytes).toBe(`${prefix}pinned/a`.length)
    expect(await listed(0)).toHaveLength(3)
  })

  test.runIf(isFull)(
    `a server that has no time is asked again before anything fails ${inFullForm}`,
    async () => {
      await stack.putMany([`${prefix}a`])
      for (const name of ['AWS_REGION', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'])
        vi.stubEnv(name, 'test')
      const s3 = makeS3({ AWS_ENDPOINT_URL_S3: stack.front.url })
      let asked = 0
      stack.front.faults = [() => (++asked <= 2 ? s3Error(503, 'SlowDown') : undefined)]
      const files = { s3, name: stack.clients.files.name }
      expect(await countFiles({ ...stack.clients, files }, { preserve: [] })).toMatchObject({ objects: 1 })
      expect(asked).toBe(3)
      s3.destroy()
      vi.unstubAllEnvs()
    },
  )

  describe('an S3 server whose listing cannot be relied on is an error that names it and the keys', () => {
    const contents = (key: string) =>
      `<Contents><Key>${key}</Key><Size>1</Size><ETag>"0cc175b9c0f1b6a831c399e269772661"</ETag><LastModified>2026-11-22T19:05:33.000Z</LastModified></Contents>`
    /** The pages of a listing, each told to go on at the next; the last one ends it, or goes back to the token `loop`. */
    const listing = (pages: string[], loop?: string): Fault => {
      return ({ query }) => {
        if (!query.has('list-type')) return undefined
        const page = Number(query.get('continuation-token') ?? 0)
        const next = page + 1 < pages.length ? String(page + 1) : loop
        const more = next === undefined ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`
        const body = `<ListBucketResult><IsTruncated>${next !== undefined}</IsTruncated>${more}${pages[page]}</ListBucketResult>`
        return { status: 200, headers: { 'content-type': 'application/xml' }, body }
      }
    }
    const drain = async (listing: AsyncIterable<unknown>) => {
      for await (const _ of listing);
    }
    const page = (...keys: string[]) => keys.map((key) => contents(`${prefix}${key}`)).join('')
    const unreliable = (...said: string[]) => ({
      name: 'ListingUnreliable',
      message: expect.stringMatching(new RegExp(['127.0.0.1:\\d+', 's3://files/', ...said].join('.*'))),
    })

    for (const [what, pages, said] of [
      ['twice on a page', [page('a', 'b', 'b', 'c')], ['generated_stories/b" twice']],
      ['once more on the next page', [page('a', 'b'), page('b', 'c')], ['generated_stories/b" twice']],
      ['as a dictionary orders them', [page('a', 'b', 'B')], ['generated_stories/B" after ".*/b"']],
      ['as UTF-16 orders them', [page('\u{1f600}', '\uffff')], ['\uffff" after ".*\u{1f600}"']],
      ['from another prefix', [contents('other/a')], ['"other/a", which is not below']],
    ] as const) {
      test(`a key that comes ${what}`, async () => {
        stack.front.faults = [listing([...pages])]
        const listed = listFiles(stack.clients, { write: run, preserve: [] })
        await expect(listed).rejects.toMatchObject(unreliable(...said))
        await expect(countFiles(stack.clients, { preserve: [] })).rejects.toMatchObject(unreliable(...said))
      })
    }

    test('a key that comes again although the listing was to begin after it', async () => {
      stack.front.faults = [listing([page('a', 'b')])]
      const range = { prefix, after: `${prefix}a` }
      await expect(drain(listRange(stack.clients.files, range))).rejects.toMatchObject(unreliable())
    })

    test('a page token that comes back, be it the first one: objects, sizes and folders', async () => {
      const folders = ['a/', 'b/', 'c/'].map(
        (name) => `<CommonPrefixes><Prefix>${name}</Prefix></CommonPrefixes>`,
      )
      for (const [pages, list] of [
        [['', '', ''], () => listFiles(stack.clients, { preserve: [] })],
        [['', '', ''], () => drain(listSizes(stack.clients.files, ['x/']))],
        [folders, () => listFolders(stack.clients.files, '')],
      ] as const) {
        stack.front.faults = [listing([...pages], '1')]
        stack.front.seen = []
        await expect(list()).rejects.toMatchObject(unreliable('1'))
        expect(stack.front.seen).toHaveLength(3)
      }
    })

    test('a page after which it goes on, though not where, which does not make the listing complete', async () => {
      const body = `<ListBucketResult><IsTruncated>true</IsTruncated>${page('a', 'b')}</ListBucketResult>`
      stack.front.faults = [() => ({ status: 200, body })]
      for (const list of [
        () => listFiles(stack.clients, { write: run, preserve: [] }),
        () => countFiles(stack.clients, { preserve: [] }),
        () => drain(listSizes(stack.clients.files, [prefix])),
        () => listFolders(stack.clients.files, ''),
      ])
        await expect(list()).rejects.toMatchObject({
          name: 'StoreUnavailable',
          message: expect.stringMatching(
            /^S3 said that the listing of s3:\/\/files\/.* goes on, but not where/,
          ),
        })
    })

    test.each([
      [
        'an object without its ETag',
        contents('a').replace(/<ETag>.*<\/ETag>/, ''),
        /without key, size, ETag or time/,
      ],
      [
        'an object without its size',
        contents('a').replace(/<Size>1<\/Size>/, ''),
        /without key, size, ETag or time/,
      ],
      [
        'a key that is not UTF-8',
        `<EncodingType>url</EncodingType>${contents('%FF')}`,
        /is not UTF-8: .*%FF/,
      ],
    ])('%s, which could not be copied or named', async (_what, listed, message) => {
      const body = `<ListBucketResult><IsTruncated>false</IsTruncated>${listed}</ListBucketResult>`
      stack.front.faults = [() => ({ status: 200, body })]
      await expect(listFiles(stack.clients, { write: run, preserve: [] })).rejects.toMatchObject({
        name: 'StoreUnavailable',
        message: expect.stringMatching(message),
      })
    })

    test('an answer of 200 that is no listing, which is not an empty one', async () => {
      const bodies = [
        '',
        '<html><body>Please sign in</body></html>',
        '<Error><Code>InternalError</Code></Error>\n',
        '<ListBucketResult></ListBucketResult>',
      ]
      for (const body of bodies) {
        stack.front.faults = [() => ({ status: 200, headers: { 'content-type': 'application/xml' }, body })]
        for (const list of [
          () => countFiles(stack.clients, { preserve: [] }),
          () => drain(listSizes(stack.clients.files, [prefix])),
          () => listFolders(stack.clients.files, ''),
        ])
          await expect(list(), body).rejects.toMatchObject({ name: 'StoreUnavailable' })
      }
    })

    test('pages without a key that never end', async () => {
      let pages = 0
      stack.front.faults = [
        () => ({
          status: 200,
          body: `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>${pages++}</NextContinuationToken></ListBucketResult>`,
        }),
      ]
      await expect(listFiles(stack.clients, { preserve: [] })).rejects.toMatchObject(unreliable('never end'))
      expect(pages).toBe(100)
    })

    test.runIf(isFull)(
      `but not more folders than pages without a key would be believed ${inFullForm}`,
      async () => {
        let pages = 0
        stack.front.faults = [
          () => {
            const [isTruncated, folder] = [pages < 101, String(pages++).padStart(3, '0')]
            const next = `<NextContinuationToken>${folder}</NextContinuationToken>`
            const prefixes = `<CommonPrefixes><Prefix>${folder}/</Prefix></CommonPrefixes>`
            const body = `<IsTruncated>${isTruncated}</IsTruncated>${isTruncated ? next : ''}${prefixes}`
            return { status: 200, body: `<ListBucketResult>${body}</ListBucketResult>` }
          },
        ]
        expect(await listFolders(stack.clients.files, '')).toHaveLength(102)
      },
    )

    test('folders twice', async () => {
      const folder = '<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>'
      stack.front.faults = [listing([folder, folder])]
      await expect(listFolders(stack.clients.files, '')).rejects.toMatchObject(unreliable('"a/" twice'))
    })
  })

  test('what a copy leaves behind is a warning with its numbers: redirects, locks and keys of their own', async () => {
    await stack.putMany(['a', 'b', 'c', 'd', 'e'].map((key) => `${prefix}${key}`))
    await listFiles(stack.clients, { write: run, preserve: [] })
    const files = await listed(0)
    expect(await warnOfNotCarried(stack.clients, files)).toEqual([])
    const more: Record<string, Record<string, string>> = {
      a: { 'x-amz-website-redirect-location': '/elsewhere' },
      b: { 'x-amz-object-lock-mode': 'GOVERNANCE' },
      c: { 'x-amz-object-lock-legal-hold': 'ON', 'x-amz-website-redirect-location': '/elsewhere' },
      d: { 'x-amz-server-side-encryption': 'aws:kms', 'x-amz-server-side-encryption-aws-kms-key-id': 'k' },
    }
    stack.front.faults = [
      async ({ method, key }, forward) => {
        if (method !== 'HEAD') return undefined
        const answer = await forward()
        return { ...answer, headers: { ...answer.headers, ...more[key.slice(prefix.length)] } }
      },
    ]
    expect(await warnOfNotCarried(stack.clients, files)).toEqual([
      { code: 'RedirectsNotKept', message: expect.stringMatching(/^2 of the 5 files/) },
      { code: 'LocksNotKept', message: expect.stringMatching(/^2 of the 5 files/) },
      { code: 'KeysNotKept', message: expect.stringMatching(/^1 of the 5 files/) },
    ])
    for (const key of ['a', 'b', 'c', 'd', 'e'])
      more[key] = {
        'x-amz-server-side-encryption': 'aws:kms',
        'x-amz-server-side-encryption-aws-kms-key-id': key === 'd' ? 'of its own' : 'usual',
      }
    expect(await warnOfNotCarried(stack.clients, files)).toEqual([
      { code: 'KeysNotKept', message: expect.stringMatching(/^1 of the 5 files .*\(aws:kms usual\)/) },
    ])
    stack.front.faults = [({ method }) => (method === 'HEAD' ? s3Error(404, 'NotFound') : undefined)]
    expect(await warnOfNotCarried(stack.clients, files)).toEqual([])
  })

  test('folders have their own names, also those that a listing holds only encoded, and below such a one', async () => {
    const names = ['\u0001', '%C3%BC', 'a b', 'a+b', '\u00fc']
    const below = 'caf\u00e9 of ours/'
    for (const name of names) await stack.put(`${below}${name}/x`)
    expect(await listFolders(stack.clients.files, below)).toEqual(names)
  })

  test('a stretch of it begins after one key and gives none after its end, which may lie anywhere on a page', async () => {
    await stack.putMany(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((key) => `${prefix}${key}`))
    stack.front.faults = [smallPages(3)]
    const namesIn = async (through: string) => {
      const range = { prefix, after: `${prefix}a`, through: `${prefix}${through}` }
      const names: string[] = []
      for await (const page of listRange(stack.clients.files, range))
        names.push(...page.map(({ key }) => key.slice(prefix.length)))
      return names
    }
    expect(await namesIn('c')).toEqual(['b', 'c'])
    expect(await namesIn('cc')).toEqual(['b', 'c'])
    expect(await namesIn('d')).toEqual(['b', 'c', 'd'])
    expect(await namesIn('f')).toEqual(['b', 'c', 'd', 'e', 'f'])
    expect(await namesIn('z')).toEqual(['b', 'c', 'd', 'e', 'f', 'g'])
  })

  test('counting writes nothing, and stops at its limit', async () => {
    await stack.putMany(['a', 'b', 'c'].map((key) => `${prefix}${key}`))
    expect(await countFiles(stack.clients, { preserve: ['a'] })).toMatchObject({
      objects: 3,
      preservedObjects: 1,
      unmatched: [],
      complete: true,
    })
    const partly = { objects: 2, unmatched: [], complete: false } // what comes later may match
    expect(await countFiles(stack.clients, { preserve: ['c'], limit: 2 })).toMatchObject(partly)
    const over = AbortSignal.abort()
    stack.front.faults = [smallPages(2)]
    expect(await countFiles(stack.clients, { preserve: ['c'], signal: over })).toMatchObject(partly)
    stack.front.faults = []
    expect(await countFiles(stack.clients, { preserve: [], limit: 3 })).toMatchObject({
      objects: 3,
      complete: true,
    })
    expect(await stack.keysIn('backups')).toEqual([])
  })

  test('a directory bucket is refused, because it lists in no order', async () => {
    const files = { ...stack.clients.files, name: 'files--use1-az4--x-s3' }
    await expect(listFiles({ ...stack.clients, files }, { preserve: [] })).rejects.toMatchObject({
      name: 'InvalidConfiguration',
    })
  })
})
