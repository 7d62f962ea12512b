import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { beforeEach, expect, it, onTestFinished } from 'vitest'
import { documentBounds } from '../../lib/backup/documents/json.ts'
import { getJson, readText } from '../../lib/backup/documents/read.ts'
import { lastAttempt, writeLate } from '../../lib/backup/late.ts'
import { backupKeys } from '../../lib/backup/layout.ts'
import { Late } from '../../lib/backup/manifest.ts'
import { BackupIncomplete, StoreUnavailable } from '../../lib/errors.ts'
import { s3Error, smallPages } from '../files/s3-front.ts'
import { signing } from '../support/signing.ts'
import { startFrontedBucket } from './fronted-bucket.ts'

const { front, bucket } = await startFrontedBucket()
const storage = { ...bucket, signing }
let number = 0
let backup: Parameters<typeof writeLate>[1]
let noted: unknown[] = []

beforeEach(() => {
  const backupId = `2026-11-22T19-05-33Z-${String(++number).padStart(6, '0')}`
  noted = []
  backup = {
    keys: backupKeys('backups/', backupId),
    backupId,
    environment: 'local',
    version: 2,
    now: () => new Date('2026-11-22T20:00:00Z'),
    note: async (late) => void noted.push(late),
  }
})

const part = {
  ...{ shard: 0, pages: { from: 0, to: null }, rows: 1, fingerprint: '-7' },
  ...{ key: 'x', bytes: 9, sha256: 'a'.repeat(64) },
}
const difference = { tables: [{ name: 'app.t', parts: [part] }], sequences: [] }
const nothing = { tables: [], sequences: [] }
const put = (key: string) =>
  storage.s3.send(new PutObjectCommand({ Bucket: 'backups', Key: key, Body: '{}' }))

it('a first list is written only when something differs', async () => {
  expect(await writeLate(storage, backup, async () => nothing)).toEqual([])
  expect(await lastAttempt(storage, backup.keys)).toBe(0)
  expect(await writeLate(storage, backup, async () => difference)).toEqual(difference.tables)
  expect(await getJson(storage, backup.keys.late(1), Late)).toMatchObject({
    ...{ version: 2, attempt: 1, backupId: backup.backupId, writtenAt: '2026-11-22T20:00:00.000Z' },
    ...difference,
  })
})

it('keys of the cache alone make a list too, and the ledger is told which list counts from then on', async () => {
  const cache = { added: 1, parts: [{ key: 'x', keys: 1, bytes: 9, sha256: 'a'.repeat(64) }] }
  await writeLate(storage, backup, async () => nothing)
  await writeLate(storage, backup, async () => ({ ...nothing, cache }))
  expect(await getJson(storage, backup.keys.late(1), Late)).toMatchObject({ cache })
  const { sha256 } = await readText(storage, backup.keys.late(1), documentBounds)
  expect(noted).toEqual([null, { attempt: 1, sha256 }])
})

it('a list beyond any number that runs come to was put there by somebody else: none is written after it', async () => {
  await put(backup.keys.late(99_999))
  await expect(writeLate(storage, backup, async () => difference)).rejects.toThrow(BackupIncomplete)
  expect(await lastAttempt(storage, backup.keys)).toBe(99_999)
  expect(noted).toEqual([])
})

it('a later list takes the place of an earlier one, also when nothing differs any more', async () => {
  await writeLate(storage, backup, async () => difference)
  await writeLate(storage, backup, async () => nothing)
  expect(await lastAttempt(storage, backup.keys)).toBe(2)
  expect(await getJson(storage, backup.keys.late(2), Late)).toMatchObject({ attempt: 2, tables: [] })
})

it('the parts are written under the number that the list will have', async () => {
  const attempts: number[] = []
  for (let again = 0; again < 3; again++) {
    await writeLate(storage, backup, async (attempt) => {
      attempts.push(attempt)
      return difference
    })
  }
  expect(attempts).toEqual([1, 2, 3])
})

it('lists are counted as numbers, over all pages of the listing, and other objects are no lists', async () => {
  front.faults.push(smallPages(3))
  const { keys } = backup
  for (const attempt of [1, 2, 9, 10, 11, 100, 1001]) await put(keys.late(attempt))
  for (const name of [
    'late-2000.json.bak',
    'late-x.json',
    'late-3000',
    'late-4000/00000.jsonl.zst',
    'late-.json',
  ]) {
    await put(`${keys.root}${name}`)
  }
  expect(await lastAttempt(storage, keys)).toBe(1001)
  await writeLate(storage, backup, async () => difference)
  expect(await lastAttempt(storage, keys)).toBe(1002)
})

it('a list is never written over another one', async () => {
  const writing = writeLate(storage, backup, async (attempt) => {
    await put(backup.keys.late(attempt)) // somebody was faster
    return difference
  })
  await expect(writing).rejects.toThrow(StoreUnavailable)
  await expect(writing).rejects.toThrow(`${backup.keys.late(1)} was written by another invocation`)
  expect(noted).toEqual([])
  const held = await storage.s3.send(new GetObjectCommand({ Bucket: 'backups', Key: backup.keys.late(1) }))
  expect(await held.Body?.transformToString()).toBe('{}')
})

it('a list that S3 has written, and did not come to say so, counts', async () => {
  const s3 = new S3Client({
    ...{ endpoint: front.url, region: 'eu-central-1', forcePathStyle: true },
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
  onTestFinished(() => s3.destroy())
  let sent = 0
  front.faults.push(async ({ method, key }, forward) => {
    if (method !== 'PUT' || key !== backup.keys.late(1) || ++sent > 1) return undefined
    await forward()
    return 'drop'
  })
  expect(await writeLate({ ...storage, s3 }, backup, async () => difference)).toEqual(difference.tables)
  expect(sent).toBe(2)
  const { sha256 } = await readText(storage, backup.keys.late(1), documentBounds)
  expect(noted).toEqual([{ attempt: 1, sha256 }])
})

it('nothing is made when the earlier lists cannot be listed: one of them might be overlooked', async () => {
  front.faults.push((request) => (request.query.has('list-type') ? s3Error(503, 'SlowDown') : undefined))
  let made = false
  const writing = writeLate(storage, backup, async () => {
    made = true
    return difference
  })
  await expect(writing).rejects.toThrow(StoreUnavailable)
  expect(made).toBe(false)
})
