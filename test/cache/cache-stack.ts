import { S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeEach } from 'vitest'
import { backupKeys } from '../../lib/backup/layout.ts'
import { readPartLines } from '../../lib/backup/part/read.ts'
import { type CacheResult, exportLimits } from '../../lib/cache/export/export.ts'
import { fenceKey } from '../../lib/cache/keys.ts'
import { bucketsOf } from '../../lib/clients.ts'
import type { Config } from '../../lib/config/variables.ts'
import { BinaryRedis } from '../../lib/redis/binary-redis.ts'
import { startRedis } from '../../local/cache/redis.ts'
import { startUpstashRest } from '../../local/cache/upstash-rest.ts'
import { startS3 } from '../../local/files/s3.ts'
import { guardProcesses } from '../../local/processes/child-processes.ts'
import { startFront } from '../files/s3-front.ts'
import { fenceOf } from '../support/fences.ts'
import { signing } from '../support/signing.ts'
import { startRestFront } from './rest-front.ts'

export const backupId = '2026-11-22T19-05-33Z-3f9a2c'
export const noProgress = async () => {}
export const prefix = 'taskmaster:'
/** So small that a few keys take many requests, and a value of some KB is several lines. */
export const smallExport = {
  ...exportLimits,
  ...{ pageKeys: 50, pageItems: 40, answerBytes: 40_000 },
  ...{ lineBytes: 6_000, pieceBytes: 1_000, largePieceBytes: 3_000, partBytes: 20_000 },
}
/** Of a run that holds the lock. */
export const fence = fenceOf(1)

/**
 * The cache as the product reaches it (REST, with a front that can put in faults), and `redis`, which reaches the same
 * server past all that. Without redis-server it is ioredis-mock: `mock` says so, for tests that it cannot run.
 */
export async function startCache() {
  const guarded = await guardProcesses()
  const store = await startRedis(guarded)
  const rest = await startUpstashRest(store)
  const front = await startRestFront(rest.url)
  const embedded = await startS3(['backups'])
  const s3Front = await startFront(embedded.url)
  const redis = store.connect()
  const s3 = new S3Client({
    endpoint: s3Front.url,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    forcePathStyle: true,
  })
  const config = {
    CACHE_PREFIX: prefix,
    BACKUP_BUCKET: 'backups',
    BACKUP_PREFIX: '.taskmaster/backups/',
    SIGNING_KEYS: [...signing],
  } as Config
  const clients = {
    ...bucketsOf(config, s3),
    cache: new BinaryRedis(front.url, rest.token),
    config,
    now: () => new Date(),
  }
  /** Whether single fields of a hash may expire: Redis 7.4, Valkey 9. */
  const expiresFields =
    !store.mock && // which cannot be asked
    (await redis.call('HPEXPIRETIME', 'any', 'FIELDS', '1', 'any').then(
      () => true,
      () => false,
    ))
  let runs = 0

  afterAll(async () => {
    redis.disconnect()
    s3.destroy()
    await front.stop()
    await rest.stop()
    await s3Front.stop()
    await embedded.stop()
    await guarded.stop()
  })
  beforeEach(async () => {
    front.faults = []
    s3Front.faults = []
    await redis.flushall()
    front.seen = []
  })

  return {
    expiresFields,
    mock: store.mock,
    clients,
    /** Past the front: for tests that measure or send much. */
    direct: { ...clients, cache: new BinaryRedis(rest.url, rest.token) },
    redis,
    front,
    s3Front,
    rest,
    storage: clients.backups,
    /** A run that nobody had before, so that no result of another test is found. */
    nextRun: () => ({ runId: `run-${++runs}`, attempt: 1 }),
    withPrefix: (CACHE_PREFIX: string) => ({ ...clients, config: { ...config, CACHE_PREFIX } }),
    /** Every line of an export, parsed, in order. */
    async linesOf(result: CacheResult): Promise<Line[]> {
      const lines: Line[] = []
      for (const { key } of result.parts) {
        for await (const line of readPartLines(clients.backups, key)) lines.push(JSON.parse(line.toString()))
      }
      return lines
    },
    partRoot: `${backupKeys(config.BACKUP_PREFIX, backupId).root}cache/`,
    /** Every key that is there but the fence, sorted. */
    keys: async () =>
      (await redis.keysBuffer('*'))
        .map((key) => key.toString())
        .filter((key) => key !== fenceKey)
        .sort(),
  }
}

export type JsonBytes = string | { base64: string }
export type Line = {
  key: JsonBytes
  type: string
  part?: number
  // biome-ignore lint/suspicious/noExplicitAny: what a value is depends on the type
  value: any
  expiresAt: number | null
  // biome-ignore lint/suspicious/noExplicitAny: as the format says
  stream?: any
}

export function bytesOf(json: JsonBytes): Buffer {
  return typeof json === 'string' ? Buffer.from(json) : Buffer.from(json.base64, 'base64')
}
