import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { sealed } from '../../lib/backup/digest.ts'
import { backupKeys } from '../../lib/backup/layout.ts'
import { listBackups } from '../../lib/backup/list.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import { StoreUnavailable } from '../../lib/errors.ts'
import { type EmbeddedS3, startS3 } from '../../local/files/s3.ts'
import { signing, withDigest } from '../support/signing.ts'
import { memoryS3 } from './memory-s3.ts'
import { prefix } from './real-backups.ts'
import { sampleBackup } from './sample-backup.ts'

let s3: S3Client
let embedded: EmbeddedS3
let storage: { s3: S3Client; name: string }
let count = 0

beforeAll(async () => {
  embedded = await startS3(Array.from({ length: 10 }, (_, number) => `backups-${number}`))
  s3 = connect()
})
afterAll(async () => {
  s3?.destroy()
  await embedded?.stop()
})
beforeEach(() => {
  storage = { s3, name: `backups-${count++}` }
})

const connect = () =>
  new S3Client({
    endpoint: embedded.url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    forcePathStyle: true,
  })

const put = (Key: string, Body: unknown) =>
  s3.send(
    new PutObjectCommand({
      Bucket: storage.name,
      Key: `prefix/${Key}`,
      Body: typeof Body === 'string' ? Body : JSON.stringify(Body),
    }),
  )

const sha256 = 'a'.repeat(64)

function manifest(backupId: string, changes: Partial<Manifest> = {}): Manifest {
  const root = `prefix/${backupId}/`
  const part = { shard: 0, pages: { from: 0, to: null }, rows: 7, fingerprint: '5', bytes: 100, sha256 }
  return {
    version: 1,
    backupId,
    runId: 'run',
    environment: 'staging',
    strategy: 'full',
    toolVersion: '0.1.0',
    startedAt: '2026-11-22T19:05:33.000Z',
    sealedAt: '2026-11-22T19:06:33.000Z',
    readBackAt: '2026-11-22T19:06:30.000Z',
    rehearsedAt: null,
    database: {
      serverVersion: '18.4',
      consistency: 'snapshot',
      rows: 7,
      bytes: 100,
      tables: [
        {
          name: 'public.users',
          schema: 'public',
          table: 'users',
          oid: 1,
          columns: [],
          rows: 7,
          fingerprint: '5',
          parts: [{ ...part, key: `${root}database/public.users/00000.jsonl.zst` }],
        },
      ],
      sequences: [],
    },
    files: {
      prefix: 'stories/',
      objects: 3,
      bytes: 20,
      vanished: 0,
      index: { key: `${root}files.jsonl.zst`, bytes: 9, sha256 },
    },
    cache: {
      prefix: '*',
      keys: 2,
      parts: [{ key: `${root}cache/00000.jsonl.zst`, keys: 2, bytes: 4, sha256 }],
    },
    preserved: { tables: [], rows: {}, files: [], keys: [] },
    warnings: [],
    ...changes,
  }
}

describe('the list of backups', () => {
  test('is empty where there is none', async () => {
    expect(await listBackups(storage, 'prefix/')).toEqual({ backups: [], unreadable: [] })
  })

  test('tells what each backup holds, the newest first', async () => {
    await put('2026-11-01T00-00-00Z-aaaaaa/manifest.json', manifest('2026-11-01T00-00-00Z-aaaaaa'))
    const rehearsed = {
      strategy: 'files-only',
      database: null,
      cache: null,
      rehearsedAt: '2026-11-22T19:06:40.000Z',
    }
    await put('2026-11-22T19-05-33Z-3f9a2c/manifest.json', manifest('2026-11-22T19-05-33Z-3f9a2c', rehearsed))
    expect(await listBackups(storage, 'prefix/')).toEqual({
      backups: [
        {
          backupId: '2026-11-22T19-05-33Z-3f9a2c',
          environment: 'staging',
          strategy: 'files-only',
          startedAt: '2026-11-22T19:05:33.000Z',
          sealedAt: '2026-11-22T19:06:33.000Z',
          rehearsedAt: '2026-11-22T19:06:40.000Z',
          rows: null,
          files: 3,
          keys: null,
          bytes: 20,
          consistency: null,
          lateAttempts: 0,
          authentic: 'unsigned',
          pinned: false,
        },
        expect.objectContaining({
          backupId: '2026-11-01T00-00-00Z-aaaaaa',
          rows: 7,
          files: 3,
          keys: 2,
          bytes: 124,
          consistency: 'snapshot',
        }),
      ],
      unreadable: [],
    })
  })

  test('orders those whose runs began in the same second by when they were sealed', async () => {
    const [early, late] = ['2026-11-22T19-05-33Z-ffffff', '2026-11-22T19-05-33Z-000000']
    await put(`${early}/manifest.json`, manifest(early, { sealedAt: '2026-11-22T19:06:33.100Z' }))
    await put(`${late}/manifest.json`, manifest(late, { sealedAt: '2026-11-22T19:06:33.200Z' }))
    const { backups } = await listBackups(storage, 'prefix/')
    expect(backups.map(({ backupId }) => backupId)).toEqual([late, early])
  })

  test('counts the late attempts, and the rows that the last of them says', async () => {
    const part = { shard: 0, pages: { from: 0, to: null }, rows: 9, fingerprint: '6', bytes: 120, sha256 }
    const key = 'prefix/one/database/public.users/late-2/00000.jsonl.zst'
    const late = {
      version: 1,
      backupId: 'one',
      attempt: 2,
      writtenAt: '2026-11-22T19:07:00.000Z',
      tables: [{ name: 'public.users', parts: [{ ...part, key }] }],
      sequences: [],
    }
    await put('one/manifest.json', manifest('one'))
    await put('one/late-1.json', { ...late, attempt: 1, tables: [] })
    await put('one/late-2.json', late)
    expect(await listBackups(storage, 'prefix/')).toMatchObject({
      backups: [{ lateAttempts: 2, rows: 9 }],
      unreadable: [],
    })
  })

  test('leaves out what was never sealed, and what is no backup', async () => {
    await put('unsealed/database/public.users/00000.jsonl.zst', 'part')
    await put('unsealed/files/manifest.json', manifest('unsealed'))
    await put('notes.txt', 'beside the backups')
    expect(await listBackups(storage, 'prefix/')).toEqual({ backups: [], unreadable: [] })
  })

  test('reports a manifest that cannot be understood, and lists the others', async () => {
    await put('good/manifest.json', manifest('good'))
    await put('cut/manifest.json', '{"version": 1, "backupId"')
    await put('newer/manifest.json', { ...manifest('newer'), version: 3 })
    const { backups, unreadable } = await listBackups(storage, 'prefix/')
    expect(backups.map(({ backupId }) => backupId)).toEqual(['good'])
    expect(unreadable).toEqual([
      { backupId: 'newer', reason: expect.stringContaining('newer version') },
      {
        backupId: 'cut',
        reason: expect.stringContaining('prefix/cut/manifest.json is damaged: it is not JSON'),
      },
    ])
  })

  test('reads on past the first page', async () => {
    const ids = ['one', 'two', 'three', 'four', 'five']
    for (const id of ids) await put(`${id}/manifest.json`, manifest(id))
    const paged = connect()
    paged.middlewareStack.add(
      (next) => (args) => next({ ...args, input: { ...args.input, MaxKeys: 2 } as typeof args.input }),
      { step: 'initialize' },
    )
    const { backups } = await listBackups({ ...storage, s3: paged }, 'prefix/')
    expect(backups.map(({ backupId }) => backupId)).toEqual(ids.sort().reverse())
  })

  test('is an error, and not empty, when the bucket cannot be listed', async () => {
    await expect(listBackups({ s3, name: 'no-such-bucket' }, 'prefix/')).rejects.toMatchObject({
      name: 'StoreUnavailable',
      message: expect.stringContaining('no-such-bucket'),
    })
  })

  test('is an error, and not shorter, when a manifest or a pin cannot be read just now', async () => {
    const { objects, keys } = sampleBackup()
    for (const key of [keys.manifest, `${keys.root}pinned.json`]) {
      const memory = memoryS3(new Map(objects).set(key, objects.get(key) ?? Buffer.from('{}')))
      memory.answers.set(key, () => {
        throw new Error('reset by peer')
      })
      await expect(listBackups(memory.storage, prefix)).rejects.toThrow(StoreUnavailable)
    }
  })

  test('takes less for heavy manifests that somebody edited than for those that nobody signed: what they hold is not looked at', async () => {
    const { manifest } = sampleBackup()
    const [table] = manifest.database?.tables ?? []
    const parts = Array.from({ length: 7_000 }, () => ({ ...table?.parts[0], provedAt: manifest.sealedAt }))
    const heavy = { ...manifest, database: { ...manifest.database, tables: [{ ...table, parts }] } }
    const unsigned = withDigest({ ...heavy, runId: 'another' })
    const listed = (document: object) => {
      const text = Buffer.from(JSON.stringify(document))
      const ids = [100_000, 200_000].map((one) => `2026-11-22T19-05-33Z-${one}`)
      const objects = new Map(ids.map((id) => [backupKeys(prefix, id).manifest, text]))
      return () => listBackups(memoryS3(objects).storage, prefix)
    }
    const [forgedOnes, unsignedOnes] = [
      listed({ ...unsigned, signature: sealed(signing, heavy).signature }),
      listed(unsigned),
    ]
    const { backups, unreadable } = await forgedOnes()
    expect([backups.length, unreadable.length]).toEqual([0, 2])
    for (const { reason } of unreadable) expect(reason).toContain('its signature is not that of what it says')
    const seconds = { forged: Infinity, unsigned: Infinity }
    for (let round = 0; round < 4; round++) {
      seconds.unsigned = Math.min(seconds.unsigned, await cpuOf(unsignedOnes))
      seconds.forged = Math.min(seconds.forged, await cpuOf(forgedOnes))
    }
    expect(seconds.forged / seconds.unsigned).toBeLessThan(0.8)
  })
})

/** Seconds of CPU of this process; of the clock they would be those of its neighbours, too. */
async function cpuOf(act: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage()
  await act()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}
