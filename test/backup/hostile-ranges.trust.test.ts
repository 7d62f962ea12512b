import { createHash } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rangesKeyOf } from '../../lib/backup/layout.ts'
import type { Range } from '../../lib/backup/ranges/range.ts'
import { encodeRanges, sidecarBounds } from '../../lib/backup/ranges/sidecar.ts'
import { type EmbeddedS3, startS3 } from '../../local/files/s3.ts'
import { useBundledChild } from '../support/bundled-child.ts'
import { withDigest } from '../support/signing.ts'
import { isFull, tried } from '../support/trust.ts'
import { sampleBackup } from './sample-backup.ts'

/**
 * Whoever may write to the bucket makes a backup of parts with ranges as they like, with a manifest that fits. A verify asks
 * for no signature, so it reads all of it: it needs no more than 256 MiB, whatever the parts say of themselves.
 */
const mostMegabytes = 256
const parts = 16

type Forged = { stored: Buffer; ranges: Range[] }

const line = Buffer.from('{"id":1}\n')
const frame = zstdCompressSync(line)
const hash = 2n ** 62n + 12345n
/** Of nothing: magic, a header that says 0 bytes, and one block without any. */
const nothing = Buffer.from('28b52ffd2000010000', 'hex')

/** A frame of 4 MiB that has twice as many bytes, most of them blocks without any. */
function padded(): Buffer {
  const content = 4 * 2 ** 20
  const head = Buffer.from('28b52ffda000000000', 'hex')
  head.writeUInt32LE(content, 5)
  const raw = Buffer.alloc(content)
  line.copy(raw, raw.length - line.length)
  raw.fill(0x20, 0, raw.length - line.length)
  const blocks: Buffer[] = [head, Buffer.alloc(3 * 1_300_000)]
  for (let at = 0; at < content; at += 128 * 1024) {
    const of = raw.subarray(at, at + 128 * 1024)
    const header = Buffer.alloc(3)
    header.writeUIntLE((of.length << 3) | Number(at + of.length === content), 0, 3)
    blocks.push(header, of)
  }
  return Buffer.concat(blocks)
}

/** As long as the part, with a row in each and hashes that add up. */
function withRanges(count: number): Forged {
  const stored = Buffer.concat([frame, Buffer.alloc(count)])
  const each = { rows: 1, length: 1, fingerprint: hash.toString() }
  const rest = { ...each, length: stored.length - count + 1 }
  return { stored, ranges: [...Array.from({ length: count - 1 }, () => each), rest] }
}

const kinds: Record<string, () => Forged> = {
  'as many ranges as there may be': () => withRanges(sidecarBounds.ranges),
  'half a million ranges': () => withRanges(2 ** 19),
  'two million frames of nothing': () => {
    const stored = Buffer.concat([frame, Buffer.alloc(2_000_000 * nothing.length, nothing)])
    return { stored, ranges: [{ rows: 1, length: stored.length, fingerprint: hash.toString() }] }
  },
  'frames that are longer than what they hold': () => {
    const stored = padded()
    return { stored, ranges: [{ rows: 1, length: stored.length, fingerprint: hash.toString() }] }
  },
}

let s3: EmbeddedS3
let client: S3Client
const child = useBundledChild(new URL('./hostile-ranges-child.ts', import.meta.url))
const counts = { backups: 0, megabytes: 0 }

beforeAll(async () => {
  s3 = await startS3(['backups'])
  client = new S3Client({
    endpoint: s3.url,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    forcePathStyle: true,
  })
})
afterAll(async () => {
  tried('hostile ranges', counts)
  client?.destroy()
  await s3?.stop()
})

describe('a verify of a backup that somebody made', () => {
  test.runIf(isFull).each(Object.entries(kinds))(
    'of %s needs no more than 256 MiB (full form)',
    async (kind, make) => {
      const { manifest, keys } = sampleBackup({ files: {}, cacheLines: [] })
      const { stored, ranges } = make()
      const rows = ranges.length // one in each
      const hashes = Buffer.alloc(8 * rows)
      for (let row = 0; row < rows; row++) hashes.writeBigInt64BE(hash, 8 * row)
      const fingerprint = (hash * BigInt(rows)).toString()
      const sidecar = Buffer.concat([encodeRanges(ranges), hashes])
      const digest = (body: Buffer) => ({
        bytes: body.length,
        sha256: createHash('sha256').update(body).digest('hex'),
      })
      const [ofPart, ofSidecar] = [digest(stored), digest(sidecar)]
      const put = (Key: string, Body: Buffer) =>
        client.send(new PutObjectCommand({ Bucket: 'backups', Key, Body }))
      const tables = Array.from({ length: parts }, (_, at) => {
        const name = `public.t${at}`
        const key = keys.tablePart(name, 0, 1)
        const part = {
          ...{ shard: 0, pages: { from: 0, to: null }, rows, fingerprint, key, ...ofPart },
          ranges: { pages: 16, count: ranges.length, ...ofSidecar },
        }
        const table = { name, schema: 'public', table: `t${at}`, oid: at + 1, columns: [], rows }
        return { ...table, fingerprint, parts: [part] }
      })
      for (const { parts: some } of tables)
        for (const { key } of some) {
          await put(key, stored)
          await put(rangesKeyOf(key), sidecar)
        }
      const database = { ...manifest.database, rows: parts * rows, bytes: parts * ofPart.bytes, tables }
      await put(keys.manifest, Buffer.from(JSON.stringify(withDigest({ ...manifest, database }))))
      const found = await child([s3.url, manifest.backupId])
      counts.backups++
      counts.megabytes = Math.max(counts.megabytes, found.megabytes)
      expect(found.megabytes, kind).toBeLessThan(mostMegabytes)
    },
  )

  test.runIf(isFull)('of a cache with lines of 100 MiB needs no more than 256 MiB (full form)', async () => {
    const { manifest, keys } = sampleBackup({ tables: {}, files: {}, cacheLines: [] })
    const text = Buffer.alloc(100 * 2 ** 20, 'x')
    const body = zstdCompressSync(Buffer.concat([Buffer.from('{"key":"k","value":"'), text]))
    const sha256 = createHash('sha256').update(body).digest('hex')
    const said = { keys: 1, bytes: body.length, sha256, plain: 2 ** 50, longest: 2 ** 50 }
    const some = Array.from({ length: parts }, (_, at) => ({ ...said, key: keys.cachePart(at, 1) }))
    const put = (Key: string, Body: Buffer) =>
      client.send(new PutObjectCommand({ Bucket: 'backups', Key, Body }))
    for (const { key } of some) await put(key, body)
    const cache = { prefix: '*', keys: parts, parts: some }
    await put(keys.manifest, Buffer.from(JSON.stringify(withDigest({ ...manifest, cache }))))
    const found = await child([s3.url, manifest.backupId])
    counts.backups++
    expect(found.megabytes).toBeLessThan(mostMegabytes)
  })
})
