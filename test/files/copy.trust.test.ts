import { setTimeout } from 'node:timers/promises'
import { HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { describe, expect, test, vi } from 'vitest'
import { getJson, getJsonLines } from '../../lib/backup/documents/read.ts'
import { backupKeys, workKeys } from '../../lib/backup/layout.ts'
import { CopiedFile } from '../../lib/backup/sections/files.ts'
import { OutOfTime, RunLost } from '../../lib/errors.ts'
import { CopyResult, copyFiles } from '../../lib/files/copy/copy.ts'
import { listFiles } from '../../lib/files/list.ts'
import { pieceLimits } from '../../lib/files/work-lists.ts'
import { copyObject } from '../../lib/s3/copy.ts'
import { copyLimits } from '../../lib/s3/copy-source.ts'
import { fenceOf } from '../support/fences.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { backupId, fence, noProgress, prefix, useFiles } from './files-stack.ts'
import { oddKeys } from './odd-keys.ts'
import { type Fault, holding, type S3Request, s3Error } from './s3-front.ts'

const run = { runId: 'run-1', attempt: 1, tried: 'once' }
const stack = useFiles()
const copyOf = (key: string) => `.taskmaster/backups/${backupId}/files/${key}`

async function list(preserve: string[] = []) {
  const { lists } = await listFiles(stack.clients, { write: run, preserve })
  return { run, backupId, batch: 0, listsPerBatch: 1, lists }
}

const copied = async (list = 0) =>
  await getJsonLines(stack.clients.backups, workKeys(run).filesCopied(list), CopiedFile)

const keys = backupKeys('.taskmaster/backups/', backupId)
const remove = (key: string) => fetch(`${stack.front.url}/backups/${key}`, { method: 'DELETE' })

/** Every copy and what it holds. */
async function everyBackup() {
  const all = (await stack.keysIn('backups')).filter((key) => key.startsWith(keys.root))
  return Promise.all(all.map(async (key) => [key, await stack.get(key, 'backups')]))
}

const isCopy: (request: Parameters<Fault>[0]) => boolean = ({ headers }) =>
  headers['x-amz-copy-source'] !== undefined

describe('copying the files', () => {
  test('every object is copied: folder markers, the prefix itself and odd keys too', async () => {
    const keys = ['', ...oddKeys]
    await stack.putMany(keys.map((key) => `${prefix}${key}`))
    await stack.put('generated_stories2/not ours')
    const result = await copyFiles(stack.clients, await list(), noProgress, fence)
    expect(result).toMatchObject({ batch: 0, objects: keys.length, vanished: 0, changed: 0 })
    expect(await stack.copies()).toEqual([...(await stack.files())])
    expect([...(await stack.copies())].sort()).toEqual([...keys].sort())
    for (const key of oddKeys) expect(await stack.get(copyOf(key), 'backups')).toBe(`${prefix}${key}`)
    expect((await copied()).map(({ key }) => key).sort()).toEqual([...keys].sort())
  })

  test('preserved objects are backed up like any other', async () => {
    await stack.putMany([`${prefix}pinned/a`, `${prefix}b`])
    await copyFiles(stack.clients, await list(['pinned/']), noProgress, fence)
    expect(await stack.copies()).toEqual(['b', 'pinned/a'])
  })

  test('an object that changed since the listing is copied in its new version, and counted', async () => {
    await stack.putMany([`${prefix}a`, `${prefix}b`])
    const batch = await list()
    await stack.put(`${prefix}a`, 'newer and longer')
    stack.front.faults = [
      async ({ method, bucket, key }, forward) => {
        if (method !== 'HEAD' || bucket !== 'files' || !key.endsWith('a')) return undefined
        const answer = await forward()
        return { ...answer, headers: { ...answer.headers, 'x-amz-storage-class': 'GLACIER_IR' } }
      },
    ]
    const result = await copyFiles(stack.clients, batch, noProgress, fence)
    expect(result).toMatchObject({ objects: 2, changed: 1, bytes: 16 + `${prefix}b`.length })
    expect((await copied()).map(({ storageClass }) => storageClass)).toEqual(['GLACIER_IR', undefined])
    expect(await stack.get(copyOf('a'), 'backups')).toBe('newer and longer')
    const head = await stack.s3.send(new HeadObjectCommand({ Bucket: 'files', Key: `${prefix}a` }))
    expect((await copied()).find(({ key }) => key === 'a')).toMatchObject({ size: 16, etag: head.ETag })
  })

  test('an object that changes at every try is an error, not an old copy', async () => {
    await stack.put(`${prefix}a`)
    const batch = await list()
    let version = 0
    stack.front.faults = [
      async (request) => {
        if (isCopy(request)) await stack.put(`${prefix}a`, `version ${version++}`)
        return undefined
      },
    ]
    await expect(copyFiles(stack.clients, batch, noProgress, fence)).rejects.toMatchObject({
      name: 'BackupIncomplete',
      message: expect.stringContaining('changed 5 times'),
    })
    expect(version).toBe(copyLimits.tries)
  })

  test('an object that vanished since the listing is recorded, before or while it is copied', async () => {
    await stack.putMany([`${prefix}a`, `${prefix}b`, `${prefix}c`])
    const batch = await list()
    await fetch(`${stack.front.url}/files/${prefix}a`, { method: 'DELETE' })
    await stack.put(`${prefix}b`, 'changed, then deleted')
    stack.front.faults = [
      ({ method, key }) => (method === 'HEAD' && key.endsWith('b') ? s3Error(404, 'NotFound') : undefined),
    ]
    expect(await copyFiles(stack.clients, batch, noProgress, fence)).toMatchObject({
      objects: 1,
      vanished: 2,
    })
    expect((await copied()).map(({ key }) => key)).toEqual(['c'])
  })

  test('a bucket that is not there is an error, and no reason to leave its objects out', async () => {
    await stack.put(`${prefix}a`)
    const batch = await list()
    stack.front.faults = [(request) => (isCopy(request) ? s3Error(404, 'NoSuchBucket') : undefined)]
    await expect(copyFiles(stack.clients, batch, noProgress, fence)).rejects.toMatchObject({
      name: 'StoreUnavailable',
      message: expect.stringContaining('The bucket files does not exist'),
    })
    expect(await stack.keysIn('backups')).not.toContain(workKeys(run).filesResult(0))
  })

  test('a 200 with an error inside is an error', async () => {
    await stack.put(`${prefix}a`)
    const batch = await list()
    stack.front.faults = [
      (request) => (isCopy(request) ? { ...s3Error(500, 'InternalError'), status: 200 } : undefined),
    ]
    await expect(copyFiles(stack.clients, batch, noProgress, fence)).rejects.toMatchObject({
      name: 'StoreUnavailable',
      message: expect.stringContaining('s3://files/generated_stories/a'),
    })
    expect(await stack.keysIn('backups')).not.toContain(workKeys(run).filesResult(0))
  })

  test('a 200 with an empty ETag is an error', async () => {
    await stack.put(`${prefix}a`)
    const batch = await list()
    const body = '<CopyObjectResult><ETag></ETag></CopyObjectResult>'
    stack.front.faults = [(request) => (isCopy(request) ? { status: 200, body } : undefined)]
    await expect(copyFiles(stack.clients, batch, noProgress, fence)).rejects.toMatchObject({
      name: 'BackupIncomplete',
    })
  })

  test('a copy that S3 said it made but does not hold is an error', async () => {
    await stack.putMany([`${prefix}a`, `${prefix}b`])
    const batch = await list()
    const body = `<CopyObjectResult><ETag>"00000000000000000000000000000000"</ETag></CopyObjectResult>`
    stack.front.faults = [
      (request) => (isCopy(request) && request.key.endsWith('a') ? { status: 200, body } : undefined),
    ]
    await expect(copyFiles(stack.clients, batch, noProgress, fence)).rejects.toMatchObject({
      name: 'ReadBackMismatch',
      message: expect.stringContaining(copyOf('a')),
    })
  })

  test('a copy of another size or content than was answered is an error', async () => {
    await stack.put(`${prefix}a`)
    const batch = await list()
    stack.front.faults = [
      async (request, forward) => {
        if (!isCopy(request)) return undefined
        const answer = await forward()
        await stack.put(copyOf('a'), 'something else', 'backups')
        return answer
      },
    ]
    await expect(copyFiles(stack.clients, batch, noProgress, fence)).rejects.toMatchObject({
      name: 'ReadBackMismatch',
    })
  })

  test('a copy whose ETag differs from its source is no error: it may be encrypted or made of parts', async () => {
    await stack.put(`${prefix}a`)
    const batch = await list()
    const encrypt = (text: string) =>
      text.replaceAll(/(<ETag>(?:"|&quot;))[0-9a-f]{32}/g, `$1${'f'.repeat(32)}`)
    stack.front.faults = [
      async (request, forward) => {
        const isListing = request.bucket === 'backups' && request.query.has('list-type')
        if (!isCopy(request) && !isListing) return undefined
        const answer = await forward()
        return { ...answer, body: encrypt(answer.body.toString()) }
      },
    ]
    expect(await copyFiles(stack.clients, batch, noProgress, fence)).toMatchObject({ objects: 1 })
    const [line] = await copied()
    expect(line?.copyEtag).toBe(`"${'f'.repeat(32)}"`)
    expect(line?.etag).not.toBe(line?.copyEtag)
  })

  describe('an object over the limit of one copy', () => {
    const limits = { ...copyLimits, single: 6 * 2 ** 20, part: 5 * 2 ** 20 }
    const big = Buffer.alloc(10.5 * 2 ** 20, 'taskmaster')
    const described = {
      ...{ ContentType: 'video/mp4', CacheControl: 'no-store', Metadata: { story: '42' } },
      ...{ ContentDisposition: 'attachment', ContentEncoding: 'gzip', ContentLanguage: 'de' },
    }
    const upload = (body: Buffer) =>
      stack.s3.send(new PutObjectCommand({ Bucket: 'files', Key: `${prefix}big`, Body: body, ...described }))

    test('is copied in parts, with its headers, metadata and tags', async () => {
      await upload(big)
      const tags = '<Tag><Key>kind of</Key><Value>a&amp;b</Value></Tag><Tag><Key>x</Key><Value></Value></Tag>'
      const tagged: unknown[] = []
      stack.front.faults = [
        async ({ method, bucket, query, headers }, forward) => {
          if (query.has('uploads')) tagged.push(headers['x-amz-tagging'])
          if (query.has('tagging'))
            return { status: 200, body: `<Tagging><TagSet>${tags}</TagSet></Tagging>` }
          if (method !== 'HEAD' || bucket !== 'files') return undefined
          const answer = await forward()
          return { ...answer, headers: { ...answer.headers, 'x-amz-tagging-count': '2' } }
        },
      ]
      expect(await copyFiles(stack.clients, await list(), noProgress, fence, limits)).toMatchObject({
        objects: 1,
        bytes: big.length,
      })
      const head = await stack.s3.send(new HeadObjectCommand({ Bucket: 'backups', Key: copyOf('big') }))
      expect(head).toMatchObject({
        ...described,
        ContentLength: big.length,
        ETag: expect.stringMatching(/-3"$/),
      })
      expect(tagged).toEqual(['kind+of=a%26b&x='])
      expect(await stack.get(copyOf('big'), 'backups')).toBe(big.toString())
      expect(stack.front.seen.filter((line) => line.includes('partNumber'))).toHaveLength(3)
    })

    test('that changes between two parts is copied anew, never from two versions', async () => {
      await upload(big)
      const batch = await list()
      const newer = Buffer.alloc(big.length, 'x')
      let changed = false
      stack.front.faults = [
        async (request) => {
          if (!changed && request.query.get('partNumber') === '2') {
            changed = true
            await upload(newer)
          }
          return undefined
        },
      ]
      expect(await copyFiles(stack.clients, batch, noProgress, fence, limits)).toMatchObject({
        objects: 1,
        changed: 1,
      })
      expect(await stack.get(copyOf('big'), 'backups')).toBe(newer.toString())
      expect(stack.front.seen.some((line) => line.startsWith('DELETE') && line.includes('uploadId'))).toBe(
        true,
      )
    })
  })

  test('a key whose copy would be longer than S3 allows is an error that says so', async () => {
    await stack.put(`${prefix}${'k'.repeat(1000)}`)
    await expect(copyFiles(stack.clients, await list(), noProgress, fence)).rejects.toMatchObject({
      name: 'BackupIncomplete',
      message: expect.stringContaining('1024'),
    })
  })

  test('an archived object is an error that says so', async () => {
    await stack.put(`${prefix}a`)
    const batch = await list()
    stack.front.faults = [(request) => (isCopy(request) ? s3Error(403, 'InvalidObjectState') : undefined)]
    await expect(copyFiles(stack.clients, batch, noProgress, fence)).rejects.toThrow(/archived/)
  })

  test('a lost answer is asked for again', async () => {
    await stack.put(`${prefix}a`)
    const batch = await list()
    let lost = 0
    stack.front.faults = [
      async (request, forward) => {
        if (!isCopy(request) || lost++ > 0) return undefined
        await forward()
        return 'drop'
      },
    ]
    expect(await copyFiles(stack.clients, batch, noProgress, fence)).toMatchObject({ objects: 1 })
    expect(lost).toBe(2)
  })

  test.runIf(isFull)(
    `a batch that had to stop goes on where it was: what it has copied costs no request ${inFullForm}`,
    async () => {
      const names = Array.from({ length: 40 }, (_, i) => `${prefix}${String(i).padStart(2, '0')}`)
      await stack.putMany(names)
      const batch = await list()
      let copies = 0
      const from =
        (last: number): Fault =>
        (request) =>
          isCopy(request) && ++copies > last ? s3Error(503, 'SlowDown') : undefined
      stack.front.faults = [from(25)]
      await expect(copyFiles(stack.clients, batch, noProgress, fence)).rejects.toMatchObject({
        name: 'StoreUnavailable',
      })
      expect(await stack.copies()).toHaveLength(25)
      stack.front.faults = []
      stack.front.seen = []
      expect(await copyFiles(stack.clients, batch, noProgress, fence)).toMatchObject({ objects: 40 })
      expect(await stack.copies()).toHaveLength(40)
      const about = stack.front.seen.filter((line) => /^(PUT|HEAD) .*\/files\/\d+\?/.test(line))
      expect(about).toHaveLength(15)
    },
  )

  test('a batch copies its own pieces only, and repeating it copies nothing again', async () => {
    const keys = Array.from({ length: 10 }, (_, n) => `${prefix}${n}`)
    await stack.putMany(keys)
    const { lists } = await listFiles(
      stack.clients,
      { write: run, preserve: [] },
      { ...pieceLimits, objects: 2 },
    )
    const told: number[][] = []
    const batch = { run, backupId, batch: 1, listsPerBatch: 2, lists }
    const result = await copyFiles(stack.clients, batch, async (...numbers) => void told.push(numbers), fence)
    expect(await stack.copies()).toEqual(['4', '5', '6', '7'])
    expect(told).toEqual([
      [2, 2],
      [4, 4],
    ])
    await copyFiles(stack.clients, { ...batch, batch: 2 }, noProgress, fence)
    expect(await stack.copies()).toEqual(['4', '5', '6', '7', '8', '9'])
    stack.front.seen = []
    expect(await copyFiles(stack.clients, batch, noProgress, fence)).toEqual(result)
    expect(stack.front.seen).toHaveLength(1)
    expect(await getJson(stack.clients.backups, workKeys(run).filesResult(1), CopyResult)).toEqual(result)
  })

  test('a batch that was cut off goes on with the copies that it had made, each in the version that was listed', async () => {
    await stack.putMany([`${prefix}a`, `${prefix}b`])
    const batch = await list()
    stack.front.faults = [
      ({ method, key }) => (method === 'PUT' && key === workKeys(run).filesCopied(0) ? 'drop' : undefined),
    ]
    await expect(copyFiles(stack.clients, batch, noProgress, fence)).rejects.toMatchObject({
      name: 'StoreUnavailable',
    })
    stack.front.faults = []
    await stack.put(`${prefix}a`, 'changed between the two')
    stack.front.seen = []
    expect(await copyFiles(stack.clients, batch, noProgress, fence)).toMatchObject({ objects: 2, changed: 0 })
    expect(await stack.get(copyOf('a'), 'backups')).toBe(`${prefix}a`)
    expect(stack.front.seen.filter((line) => line.includes('CopyObject'))).toEqual([])
  })

  test('what copies leave behind is told by the first batch', async () => {
    await stack.putMany([`${prefix}a`, `${prefix}b`])
    const batch = await list()
    stack.front.faults = [
      async ({ method, bucket }, forward) => {
        if (method !== 'HEAD' || bucket !== 'files') return undefined
        const answer = await forward()
        return { ...answer, headers: { ...answer.headers, 'x-amz-object-lock-mode': 'GOVERNANCE' } }
      },
    ]
    const { warnings } = await copyFiles(stack.clients, batch, noProgress, fence)
    expect(warnings).toEqual([{ code: 'LocksNotKept', message: expect.stringMatching(/^2 of the 2 files/) }])
  })

  describe('copies are written once', () => {
    const inParts = { ...copyLimits, single: 5 * 2 ** 20, part: 5 * 2 ** 20 }
    /** The requests that make a copy: those of the parts make none. */
    const makesCopy = ({ method, query, headers, key }: S3Request) =>
      key.startsWith(`${keys.root}files`) &&
      (method === 'PUT'
        ? headers['x-amz-copy-source'] !== undefined && !query.has('partNumber')
        : method === 'POST' && query.has('uploadId'))

    for (const [how, limits, bytes] of [
      ['at once', copyLimits, 10],
      ['in parts', inParts, 5 * 2 ** 20 + 1],
    ] as const) {
      const body = 'x'.repeat(bytes)
      test(`${how}: each request that makes one says that nothing may be there`, async () => {
        for (const key of ['a', 'b']) await stack.put(`${prefix}${key}`, body)
        const batch = await list()
        const conditions: unknown[] = []
        stack.front.faults = [
          (request) => {
            if (makesCopy(request)) conditions.push(request.headers['if-none-match'])
            return undefined
          },
        ]
        await copyFiles(stack.clients, batch, noProgress, fence, limits)
        expect(conditions).toEqual(['*', '*'])
      })

      if (how === 'in parts' && !isFull) continue
      const meanwhile = ['a restore put another version back', 'the application wrote on']
      for (const then of meanwhile.slice(0, isFull ? undefined : 1))
        test(`${how}: an invocation that wakes up after its repeat was done, and ${then}, changes nothing`, async () => {
          for (const key of ['a', 'b']) await stack.put(`${prefix}${key}`, body)
          const batch = await list()
          const held = holding((request) => makesCopy(request) && request.key.endsWith('a'))
          stack.front.faults = [held.fault]
          const straggler = copyFiles(stack.clients, batch, noProgress, fence, limits)
          await held.arrived
          const result = await copyFiles(stack.clients, batch, noProgress, fence, limits)
          const [copies, before] = [await copied(), await everyBackup()]
          await stack.put(`${prefix}a`, then)
          held.release()
          expect(await straggler).toEqual(result)
          expect(await copied()).toEqual(copies)
          expect(await everyBackup()).toEqual(before)
          expect(await stack.get(copyOf('a'), 'backups')).toBe(body)
        })

      test(`${how}: a copy that was made, and its answer lost, is taken`, async () => {
        for (const key of ['a', 'b']) await stack.put(`${prefix}${key}`, body)
        const batch = await list()
        let lost = 0
        stack.front.faults = [
          async (request, forward) => {
            if (!makesCopy(request) || lost++ > 0) return undefined
            await forward()
            return 'drop'
          },
        ]
        expect(await copyFiles(stack.clients, batch, noProgress, fence, limits)).toMatchObject({ objects: 2 })
        expect(await stack.copies()).toEqual(['a', 'b'])
      })
    }

    test('an object under the name of a copy that is another one is left, and the copy gets the next name', async () => {
      await stack.putMany([`${prefix}a`, `${prefix}b`])
      const batch = await list()
      await stack.put(copyOf('a'), 'somebody else', 'backups')
      expect(await copyFiles(stack.clients, batch, noProgress, fence)).toMatchObject({
        objects: 2,
        changed: 0,
      })
      expect(await stack.get(copyOf('a'), 'backups')).toBe('somebody else')
      expect(await stack.get(keys.file('a', 2), 'backups')).toBe(`${prefix}a`)
      expect((await copied()).map(({ key, copy }) => [key, copy])).toEqual([
        ['a', 2],
        ['b', undefined],
      ])
    })

    test('of an object whose ETag tells nothing (KMS, parts), a first copy is taken by its checksum', async () => {
      await stack.put(`${prefix}a`)
      const batch = await list()
      await copyFiles(stack.clients, batch, noProgress, fence)
      await remove(workKeys(run).filesResult(0))
      await remove(workKeys(run).filesCopied(0))
      const other = (text: unknown) => `${text}`.replaceAll(/[0-9a-f]{32}/g, 'f'.repeat(32))
      stack.front.faults = [
        async (request, forward) => {
          if (request.bucket !== 'backups') return undefined
          const answer = await forward()
          const { etag, ...headers } = answer.headers ?? {}
          if (request.query.has('list-type')) return { ...answer, body: other(answer.body) }
          return { ...answer, headers: { ...headers, ...(etag === undefined ? {} : { etag: other(etag) }) } }
        },
      ]
      expect(await copyFiles(stack.clients, batch, noProgress, fence)).toMatchObject({ objects: 1 })
      expect(await copied()).toEqual([expect.not.objectContaining({ copy: 2 })])
    })

    test('no newer version is followed once the piece has been recorded', async () => {
      await stack.putMany([`${prefix}a`, `${prefix}b`])
      const batch = await list()
      const held = holding((request) => makesCopy(request) && request.key.endsWith('a'))
      stack.front.faults = [held.fault]
      const straggler = copyFiles(stack.clients, batch, noProgress, fence)
      await held.arrived
      // As if the file had vanished for the repeat, so that no copy of it stands in the way.
      stack.front.faults = [
        (request) => (isCopy(request) && request.key.endsWith('a') ? s3Error(404, 'NoSuchKey') : undefined),
      ]
      const result = await copyFiles(stack.clients, batch, noProgress, fence)
      expect(result).toMatchObject({ objects: 1, vanished: 1 })
      stack.front.faults = []
      await stack.put(`${prefix}a`, 'restored')
      held.release()
      expect(await straggler).toEqual(result)
      expect(await stack.copies()).toEqual(['b'])
    })
  })

  test.runIf(isFull)(
    `nothing goes on in the background when a copy fails: what is under way is ended and waited for ${inFullForm}`,
    async () => {
      await stack.putMany(Array.from({ length: 20 }, (_, n) => `${prefix}${n}`))
      const batch = await list()
      const gone: boolean[] = []
      stack.front.faults = [
        async (request) => {
          if (!isCopy(request)) return undefined
          if (request.key.endsWith('/0')) return s3Error(403, 'AccessDenied')
          while (!request.isGone()) await setTimeout(5)
          gone.push(true)
          return 'drop'
        },
      ]
      const copies = () => stack.front.seen.filter((line) => line.includes('CopyObject')).length
      await expect(copyFiles(stack.clients, batch, noProgress, fence)).rejects.toMatchObject({
        name: 'NotPermitted',
      })
      const sent = copies()
      await vi.waitFor(() => expect(gone).toHaveLength(sent - 1), 20_000)
      expect(copies()).toBe(sent)
    },
  )

  test('a run that is lost copies no further, and an invocation whose time is over ends what it was about', async () => {
    await stack.putMany(Array.from({ length: 3 }, (_, n) => `${prefix}${n}`))
    const batch = await list()
    const lost = { ...fence, check: async () => Promise.reject(new RunLost('it is over')) }
    await expect(copyFiles(stack.clients, batch, noProgress, lost)).rejects.toMatchObject({ name: 'RunLost' })
    expect(stack.front.seen.some((line) => line.includes('CopyObject'))).toBe(false)

    const late = fenceOf(1)
    stack.front.faults = [
      (request) => {
        if (isCopy(request)) late.lost = new RunLost('it is over')
        return undefined
      },
    ]
    await expect(copyFiles(stack.clients, batch, noProgress, late)).rejects.toMatchObject({ name: 'RunLost' })
    expect(await stack.keysIn('backups')).not.toContain(workKeys(run).filesCopied(0))
    for (const key of ['0', '1', '2']) await remove(copyOf(key))

    const invocation = new AbortController()
    const held = holding(isCopy)
    stack.front.faults = [held.fault]
    const copying = copyFiles(stack.clients, batch, noProgress, { ...fence, signal: invocation.signal })
    const request = await held.arrived
    invocation.abort(new OutOfTime('it is over'))
    await expect(copying).rejects.toMatchObject({ name: 'OutOfTime' })
    await vi.waitFor(() => expect(request.isGone()).toBe(true), 20_000)
    held.release()
  })

  test('with the limits of S3 an object of 5 GiB is copied at once, and one byte more in parts', async () => {
    const requests: string[] = []
    stack.front.faults = [
      ({ method, query, headers, bucket }) => {
        if (bucket === 'files') return { status: 200, headers: { etag: '"1"' }, body: '' }
        const part = query.get('partNumber')
        requests.push(
          part === null
            ? `${method} ${[...query.keys()].sort()}`
            : `part ${part} ${headers['x-amz-copy-source-range']}`,
        )
        if (part !== null) return { status: 200, body: '<CopyPartResult><ETag>"p"</ETag></CopyPartResult>' }
        if (query.has('uploads')) return { status: 200, body: '<R><UploadId>u</UploadId></R>' }
        const result = query.has('uploadId') ? 'CompleteMultipartUploadResult' : 'CopyObjectResult'
        return { status: 200, body: `<${result}><ETag>"2"</ETag></${result}>` }
      },
    ]
    const copyOfSize = async (size: number) => {
      requests.length = 0
      await copyObject(
        stack.clients.backups.s3,
        {
          source: { bucket: 'files', key: `${prefix}a`, size, etag: '"1"' },
          bucket: 'backups',
          keyOf: (copy) => keys.file('a', copy),
          there: undefined,
          mayFollow: async () => {},
        },
        { limits: copyLimits, signal: fence.signal },
      )
      return [...requests]
    }
    const limit = 5 * 2 ** 30
    expect(await copyOfSize(limit)).toEqual(['PUT x-id'])
    const parts = await copyOfSize(limit + 1)
    expect(parts).toHaveLength(1 + 11 + 1)
    expect(parts).toContain(`part 11 bytes=${limit}-${limit}`)
  })
})
