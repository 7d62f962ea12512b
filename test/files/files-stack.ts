import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import pMap from 'p-map'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { bucketsOf, type Clients } from '../../lib/clients.ts'
import type { Config } from '../../lib/config/variables.ts'
import type { Fence } from '../../lib/ledger/fence.ts'
import { startS3 } from '../../local/files/s3.ts'
import { fenceOf } from '../support/fences.ts'
import { signing } from '../support/signing.ts'
import { startFront } from './s3-front.ts'

export const prefix = 'generated_stories/'
export const backupId = '2026-11-22T19-05-33Z-3f9a2c'
export const noProgress = async () => {}
/** Of a run that holds its lock. */
export const fence: Fence = fenceOf(1)

export const config = {
  FILES_BUCKET: 'files',
  FILES_PREFIX: prefix,
  BACKUP_BUCKET: 'backups',
  BACKUP_PREFIX: '.taskmaster/backups/',
  SIGNING_KEYS: [...signing],
} as Config

/** A real S3 client on fauxqs behind the front that can put in faults; emptied before each test. */
export function useFiles() {
  let stop = async () => {}
  const files = {} as {
    clients: Pick<Clients, 'files' | 'backups' | 'config'>
    s3: S3Client
    front: Awaited<ReturnType<typeof startFront>>
  }

  beforeAll(async () => {
    const s3 = await startS3(['files', 'backups'])
    files.front = await startFront(s3.url)
    const client = new S3Client({
      endpoint: files.front.url,
      region: 'eu-central-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      forcePathStyle: true,
      maxAttempts: 2,
    })
    files.s3 = client
    files.clients = { ...bucketsOf(config, client), config }
    stop = async () => {
      client.destroy()
      await files.front.stop()
      await s3.stop()
    }
  })
  afterAll(() => stop())
  beforeEach(async () => {
    files.front.faults = []
    files.front.conditions = true
    await empty()
    files.front.seen = []
  })

  async function empty() {
    for (const bucket of ['files', 'backups']) {
      const keys = await keysIn(bucket)
      await pMap(keys, (key) => files.s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: key })), {
        concurrency: 20,
      })
    }
  }

  /** Every key of a bucket, as a listing of its own gives it. */
  async function keysIn(bucket: string): Promise<string[]> {
    const keys: string[] = []
    let token: string | undefined
    do {
      const page = await files.s3.send(
        new ListObjectsV2Command({ Bucket: bucket, EncodingType: 'url', ContinuationToken: token }),
      )
      for (const { Key = '' } of page.Contents ?? [])
        keys.push(decodeURIComponent(Key.replaceAll('+', '%20')))
      token = page.NextContinuationToken
    } while (token !== undefined)
    return keys
  }

  async function put(key: string, body = key, bucket = 'files'): Promise<void> {
    await files.s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }))
  }

  async function get(key: string, bucket = 'files'): Promise<string> {
    const answer = await files.s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
    return (await answer.Body?.transformToString()) ?? ''
  }

  return {
    get clients() {
      return files.clients
    },
    get s3() {
      return files.s3
    },
    get front() {
      return files.front
    },
    keysIn,
    put,
    get,
    putMany: (keys: readonly string[]) => pMap(keys, (key) => put(key), { concurrency: 20 }),
    /** Keys of the files bucket below FILES_PREFIX, without it. */
    files: async () =>
      (await keysIn('files')).filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)),
    /** Keys of the copies in the backup, below its `files/`. */
    copies: async () => {
      const root = `.taskmaster/backups/${backupId}/files/`
      return (await keysIn('backups'))
        .filter((key) => key.startsWith(root))
        .map((key) => key.slice(root.length))
    },
  }
}
