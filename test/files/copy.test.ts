import { HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { workKeys } from '../../lib/backup/layout.ts'
import { getJson, getJsonLines } from '../../lib/backup/storage.ts'
import { CopyResult, copyFiles } from '../../lib/files/copy.ts'
import { copyLimits } from '../../lib/files/copy-object.ts'
import { listFiles, pieceLimits } from '../../lib/files/list.ts'
import { CopiedFile } from '../../lib/files/pieces.ts'
import { backupId, noProgress, prefix, useFiles } from './files-stack.ts'
import { oddKeys } from './odd-keys.ts'
import { type Fault, s3Error } from './s3-front.ts'

const run = { runId: 'run-1', attempt: 1 }
const stack = useFiles()
const copyOf = (key: string) => `.taskmaster/backups/${backupId}/files/${key}`

async function list(preserve: string[] = []) {
  const { lists } = await listFiles(stack.clients, { write: run, preserve })
  return { run, backupId, batch: 0, listsPerBatch: 1, lists }
}

const copied = async (list = 0) =>
  await getJsonLines(stack.clients.backups, workKeys(run).filesCopied(list), CopiedFile)

const isCopy: (request: Parameters<Fault>[0]) => boolean = ({ headers }) =>
  headers['x-amz-copy-source'] !== undefined

describe('copying the files', () => {
  test('every object is copied: folder markers, the prefix itself and odd keys too', async () => {
    const keys = ['', ...oddKeys]
    await stack.putMany(keys.map((key) => `${prefix}${key}`))
    await stack.put('generated_stories2/not ours')
    const result = await copyFiles(stack.clients, await list(), noProgress)
    expect(result).toMatchObject({ batch: 0, objects: keys.length, vanished: 0, changed: 0 })
    expect(await stack.copies()).toEqual([...(await stack.files())])
    expect([...(await stack.copies())].sort()).toEqual([...keys].sort())
    for (const key of oddKeys) expect(await stack.get(copyOf(key), 'backups')).toBe(`${prefix}${key}`)
    expect((await copied()).map(({ key }) => key).sort()).toEqual([...keys].sort())
  })

  test('preserved objects are backed up like any other', async () => {
    await stack.putMany([`${prefix}pinned/a`, `${prefix}b`])
    await copyFiles(stack.clients, await list(['pinned/']), noProgress)
    expect(await stack.copies()).toEqual(['b', 'pinned/a'])
  })

  test('an object that changed since the listing is copied in its new version, and counted', async () => {
    await stack.putMany([`${prefix}a`, `${prefix}b`])
    const batch = await list()
    await stack.put(`${prefix}a`, 'newer and longer')
    const result = await copyFiles(stack.clients, batch, noProgress)
    expect(result).toMatchObject({ objects: 2, changed: 1, bytes: 16 + `${prefix}b`.length })
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
    await expect(copyFiles(stack.clients, batch, noProgress)).rejects.toMatchObject({
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
    expect(await copyFiles(stack.clients, batch, noProgress)).toMatchObject({ objects: 1, vanished: 2 })
    expect((await copied()).map(({ key }) => key)).toEqual(['c'])
  })

  test('a 200 with an error inside is an error', async () => {
    await stack.put(`${prefix}a`)
    const batch = await list()
    stack.front.faults = [
      (request) => (isCopy(request) ? { ...s3Error(500, 'InternalError'), status: 200 } : undefined),
    ]
    await expect(copyFiles(stack.clients, batch, noProgress)).rejects.toMatchObject({
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
    await expect(copyFiles(stack.clients, batch, noProgress)).rejects.toMatchObject({
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
    await expect(copyFiles(stack.clients, batch, noProgress)).rejects.toMatchObject({
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
    await expect(copyFiles(stack.clients, batch, noProgress)).rejects.toMatchObject({
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
    expect(await copyFiles(stack.clients, batch, noProgress)).toMatchObject({ objects: 1 })
    const [line] = await copied()
    expect(line?.copyEtag).toBe(`"${'f'.repeat(32)}"`)
    expect(line?.etag).not.toBe(line?.copyEtag)
  })

  describe('an object over the limit of one copy', () => {
    const limits = { ...copyLimits, single: 6 * 2 ** 20, part: 5 * 2 ** 20 }
    const big = Buffer.alloc(10.5 * 2 ** 20, 'taskmaster')
    const described = { ContentType: 'video/mp4', CacheControl: 'no-store', Metadata: { story: '42' } }
    const upload = (body: Buffer) =>
      stack.s3.send(new PutObjectCommand({ Bucket: 'files', Key: `${prefix}big`, Body: body, ...described }))

    test('is copied in parts, with its content type and metadata', async () => {
      await upload(big)
      expect(await copyFiles(stack.clients, await list(), noProgress, limits)).toMatchObject({
        objects: 1,
        bytes: big.length,
      })
      const head = await stack.s3.send(new HeadObjectCommand({ Bucket: 'backups', Key: copyOf('big') }))
      expect(head).toMatchObject({
        ...described,
        ContentLength: big.length,
        ETag: expect.stringMatching(/-3"$/),
      })
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
      expect(await copyFiles(stack.clients, batch, noProgress, limits)).toMatchObject({
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
    await expect(copyFiles(stack.clients, await list(), noProgress)).rejects.toMatchObject({
      name: 'BackupIncomplete',
      message: expect.stringContaining('1024'),
    })
  })

  test('an archived object is an error that says so', async () => {
    await stack.put(`${prefix}a`)
    const batch = await list()
    stack.front.faults = [(request) => (isCopy(request) ? s3Error(403, 'InvalidObjectState') : undefined)]
    await expect(copyFiles(stack.clients, batch, noProgress)).rejects.toThrow(/archived/)
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
    expect(await copyFiles(stack.clients, batch, noProgress)).toMatchObject({ objects: 1 })
    expect(lost).toBe(2)
  })

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
    const result = await copyFiles(stack.clients, batch, async (...numbers) => void told.push(numbers))
    expect(await stack.copies()).toEqual(['4', '5', '6', '7'])
    expect(told).toEqual([
      [2, 2],
      [4, 4],
    ])
    await copyFiles(stack.clients, { ...batch, batch: 2 }, noProgress)
    expect(await stack.copies()).toEqual(['4', '5', '6', '7', '8', '9'])
    stack.front.seen = []
    expect(await copyFiles(stack.clients, batch, noProgress)).toEqual(result)
    expect(stack.front.seen).toHaveLength(1)
    expect(await getJson(stack.clients.backups, workKeys(run).filesResult(1), CopyResult)).toEqual(result)
  })

  test('a batch that was cut off is copied as if it had begun now', async () => {
    await stack.putMany([`${prefix}a`, `${prefix}b`])
    const batch = await list()
    stack.front.faults = [({ key }) => (key === workKeys(run).filesCopied(0) ? 'drop' : undefined)]
    await expect(copyFiles(stack.clients, batch, noProgress)).rejects.toMatchObject({
      name: 'StoreUnavailable',
    })
    stack.front.faults = []
    await stack.put(`${prefix}a`, 'changed between the two')
    expect(await copyFiles(stack.clients, batch, noProgress)).toMatchObject({ objects: 2, changed: 1 })
    expect(await stack.get(copyOf('a'), 'backups')).toBe('changed between the two')
  })
})
