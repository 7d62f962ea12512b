import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import pMap from 'p-map'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type EmbeddedS3, startS3 } from '../../local/files/s3.ts'
import { isFull, rounds } from '../support/trust.ts'

const MB = 1024 * 1024
const Bucket = 'files'
let server: EmbeddedS3
let s3: S3Client

beforeAll(async () => {
  server = await startS3([Bucket, 'other'])
  const credentials = { accessKeyId: 'x', secretAccessKey: 'x' }
  s3 = new S3Client({
    endpoint: server.url,
    region: 'us-east-1',
    credentials,
    forcePathStyle: true,
    maxAttempts: 1,
  })
})
afterAll(async () => {
  s3.destroy()
  await server.stop()
})
beforeEach(async () => {
  const left = (await list()).map((Key) => ({ Key }))
  for (let from = 0; from < left.length; from += 1000)
    await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: left.slice(from, from + 1000) } }))
})

async function put(
  Key: string,
  Body: string | Buffer = Key,
  conditions: { IfNoneMatch?: string; IfMatch?: string } = {},
) {
  return (await s3.send(new PutObjectCommand({ Bucket, Key, Body, ...conditions }))).ETag
}

async function read(Key: string): Promise<string | undefined> {
  return await (await s3.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToString()
}

/** Every key, page by page. */
async function list(parameters: { Prefix?: string; MaxKeys?: number } = {}): Promise<string[]> {
  const keys: string[] = []
  let ContinuationToken: string | undefined
  do {
    const command = new ListObjectsV2Command({
      Bucket,
      EncodingType: 'url',
      ContinuationToken,
      ...parameters,
    })
    const page = await s3.send(command)
    for (const { Key = '' } of page.Contents ?? []) keys.push(decodeURIComponent(Key.replaceAll('+', ' ')))
    ContinuationToken = page.NextContinuationToken
  } while (ContinuationToken)
  return keys
}

const changed = { name: 'PreconditionFailed', $metadata: { httpStatusCode: 412 } }

test('a listing of many pages holds every key once, in the order of its UTF-8 bytes', async () => {
  const keys = Array.from(
    { length: rounds({ short: 90, full: 1_500 }) },
    (_, index) => `${'aBcDé\u{1f600}'.slice(index % 4)}/${index % 7}-${index}`,
  )
  await pMap(keys, (key) => put(key), { concurrency: 20 })
  const listed = await list(isFull ? {} : { MaxKeys: 40 })
  const ordered = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  expect(listed).toEqual(ordered)
})

test('a listing goes on where it was although keys it has shown are deleted, and new ones appear', async () => {
  for (const key of ['a', 'b', 'c', 'd', 'e']) await put(key)
  const first = await s3.send(new ListObjectsV2Command({ Bucket, MaxKeys: 2 }))
  for (const Key of ['a', 'b', 'd']) await s3.send(new DeleteObjectCommand({ Bucket, Key }))
  await put('bb')
  const token = { ContinuationToken: first.NextContinuationToken }
  const rest = await s3.send(new ListObjectsV2Command({ Bucket, ...token }))
  expect(rest.Contents?.map(({ Key }) => Key)).toEqual(['bb', 'c', 'e'])
})

test('a listing keeps to its prefix and folds what a delimiter ends', async () => {
  for (const key of ['p', 'p/', 'p/a', 'p/b/1', 'p/b/2', 'p/c/1', 'p0', 'q']) await put(key)
  expect(await list({ Prefix: 'p/', MaxKeys: 2 })).toEqual(['p/', 'p/a', 'p/b/1', 'p/b/2', 'p/c/1'])
  const folded = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'p/', Delimiter: '/' }))
  expect(folded.Contents?.map(({ Key }) => Key)).toEqual(['p/', 'p/a'])
  expect(folded.CommonPrefixes?.map(({ Prefix }) => Prefix)).toEqual(['p/b/', 'p/c/'])
})

test('a folded listing of small pages tells every object and every folder once, in order', async () => {
  const items = ['a', 'b/', 'c/', 'd/', 'e', 'f/']
  for (const item of items) for (const name of ['1', '2']) await put(item.endsWith('/') ? item + name : item)
  for (const MaxKeys of [1, 2, 3]) {
    const told: string[] = []
    let ContinuationToken: string | undefined
    do {
      const page = await s3.send(
        new ListObjectsV2Command({ Bucket, Delimiter: '/', MaxKeys, ContinuationToken }),
      )
      const names = [
        ...(page.Contents ?? []).map(({ Key }) => Key),
        ...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix),
      ]
      told.push(...names.map(String).sort())
      ContinuationToken = page.NextContinuationToken
    } while (ContinuationToken !== undefined)
    expect(told).toEqual(items)
  }
})

test('keys of any characters are listed, read and deleted by the names they have', async () => {
  const keys = ['a b', 'a+b', 'a%20b', 'ü/ß', 'q?x=1&y', '<&">', "it's", 'new\nline', '😀', '(1)*~!']
  for (const key of keys) await put(key)
  expect((await list()).toSorted()).toEqual(keys.toSorted())
  for (const key of keys) expect(await read(key)).toBe(key)
  const Delete = { Objects: keys.map((Key) => ({ Key })) }
  await s3.send(new DeleteObjectsCommand({ Bucket, Delete }))
  expect(await list()).toEqual([])
})

test('an object that must be new is refused when it is there, alone and in parts, and stays as it was', async () => {
  await put('once', 'first', { IfNoneMatch: '*' })
  await expect(put('once', 'second', { IfNoneMatch: '*' })).rejects.toMatchObject(changed)
  const params = { Bucket, Key: 'once', Body: Buffer.alloc(6 * MB), IfNoneMatch: '*' }
  await expect(new Upload({ client: s3, params }).done()).rejects.toMatchObject(changed)
  expect(await read('once')).toBe('first')
})

test('of two writers that both want to be first, one is', async () => {
  const attempts = Array.from({ length: 5 }, (_, index) =>
    put('race', `writer ${index}`, { IfNoneMatch: '*' }),
  )
  const outcomes = await Promise.allSettled(attempts)
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
})

test('an object that was changed is neither overwritten, copied nor deleted by its old ETag', async () => {
  const old = await put('file', 'old')
  const current = await put('file', 'new')
  await expect(put('file', 'x', { IfMatch: old! })).rejects.toMatchObject(changed)
  const copy = (CopySourceIfMatch: string) =>
    s3.send(
      new CopyObjectCommand({
        Bucket: 'other',
        Key: 'copy',
        CopySource: `${Bucket}/file`,
        CopySourceIfMatch,
      }),
    )
  await expect(copy(old!)).rejects.toMatchObject(changed)
  expect((await copy(current!)).CopyObjectResult?.ETag).toBe(current)
  const deletion = (IfMatch: string) => s3.send(new DeleteObjectCommand({ Bucket, Key: 'file', IfMatch }))
  await expect(deletion(old!)).rejects.toMatchObject(changed)
  expect(await read('file')).toBe('new')
  await deletion(current!)
  expect(await list()).toEqual([])
})

test('a bulk deletion removes what has its ETag, keeps and reports the rest, and counts the missing as deleted', async () => {
  const kept = await put('kept', 'old')
  await put('kept', 'new')
  const Objects = [
    { Key: 'gone & <away>', ETag: await put('gone & <away>') },
    { Key: 'kept', ETag: kept },
    { Key: 'missing', ETag: kept },
  ]
  const answer = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }))
  expect(answer.Errors).toMatchObject([{ Key: 'kept', Code: 'PreconditionFailed' }])
  expect(answer.Deleted?.map(({ Key }) => Key)).toEqual(['gone & <away>', 'missing'])
  expect(await list()).toEqual(['kept'])
})

test('an object of 20 MB is taken in one request', async () => {
  await put('large', Buffer.alloc(20 * MB, 'x'))
  expect((await read('large'))?.length).toBe(20 * MB)
})
