import { createHash, randomBytes } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import { DeleteObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { wholeFrame } from '../../lib/backup/codec/frames.ts'
import { rangesKeyOf } from '../../lib/backup/layout.ts'
import { digestOfObject, readPartChunks } from '../../lib/backup/part/read.ts'
import { BaseDamaged, copyPart } from '../../lib/backup/ranges/copy.ts'
import type { PartPiece, Range, RangedPart } from '../../lib/backup/ranges/range.ts'
import { readFrames, readProvedFrames, readStored } from '../../lib/backup/ranges/read-frames.ts'
import { readRangesOf, readSidecar } from '../../lib/backup/ranges/sidecar.ts'
import { writeRangedPart } from '../../lib/backup/ranges/write.ts'
import {
  BackupDamaged,
  BackupIncomplete,
  NotFound,
  ReadBackMismatch,
  StoreUnavailable,
} from '../../lib/errors.ts'
import { readObject } from '../../lib/s3/bucket.ts'
import { s3Error } from '../files/s3-front.ts'
import { rounds } from '../support/trust.ts'
import { expectNothingUnhandled } from '../support/unhandled.ts'
import { startFrontedBucket } from './fronted-bucket.ts'
import { memoryS3 } from './memory-s3.ts'
import { endOf, type HashedLine, manifestPart, none, piecesOf } from './ranged-part.ts'

const { front, bucket: storage } = await startFrontedBucket()
let number = 0

expectNothingUnhandled()
beforeEach(() => {
  number++
})

const key = (copy: number) => `parts/${number}-${copy}.jsonl.zst`
const copyKey = (copy: number) => `copies/${number}-${copy}.jsonl.zst`
const line = (text: string, hash: bigint): HashedLine => ({ line: Buffer.from(`${text}\n`), hash })
const put = (Key: string, Body: Buffer | string) =>
  storage.s3.send(new PutObjectCommand({ Bucket: 'backups', Key, Body }))
const remove = (Key: string) => storage.s3.send(new DeleteObjectCommand({ Bucket: 'backups', Key }))
async function bytesOf(object: string): Promise<Buffer> {
  const { body } = await readObject(storage, object, 2 ** 26)
  if (body === null) throw new Error(`${object} is larger than this test takes`)
  return body
}
async function keysThere(): Promise<string[]> {
  const list = await storage.s3.send(new ListObjectsV2Command({ Bucket: 'backups' }))
  return (list.Contents ?? []).flatMap(({ Key = '' }) => (Key.includes(`/${number}-`) ? [Key] : []))
}
async function collect(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = []
  for await (const chunk of chunks) all.push(Buffer.from(chunk))
  return Buffer.concat(all)
}

const sample = [
  [line('{"id":1}', 7n), line('{"id":2}', -(2n ** 63n))],
  [],
  [line('{"id":3}', 2n ** 63n - 1n)],
  [line('{"id":4}', 0n), line('{"id":5}', 0n)],
  [],
]
async function writeSample(ranges: readonly (readonly HashedLine[])[] = sample): Promise<RangedPart> {
  const written = await writeRangedPart(storage, key, () => piecesOf(ranges))
  if (written === null) throw new Error('the part has no rows')
  return manifestPart(written, ranges)
}

const linesOf = (ranges: readonly (readonly HashedLine[])[]) =>
  Buffer.concat(ranges.flat().map((row) => row.line))
const framesAt = (ranges: readonly Range[]) => {
  let offset = 0
  return ranges.map(({ length }) => {
    const at = { offset, length }
    offset += length
    return at
  })
}

describe('a part with ranges', () => {
  it('holds its lines, and beside it lies what each range has, and each row, whatever they are', async () => {
    const row = fc.record({
      line: fc
        .oneof(
          fc.string({ maxLength: 40 }),
          fc.integer({ min: 0, max: 100_000 }).map((size) => 'abc"'.repeat(size / 4)),
        )
        .map((text) => Buffer.from(`${JSON.stringify(text)}\n`)),
      hash: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    })
    const ranges = fc.array(fc.array(row, { maxLength: 6 }), { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(
        ranges,
        fc.integer({ min: 1, max: 5_000 }),
        fc.func(fc.boolean()),
        async (made, slice, isWanted) => {
          number++
          const written = await writeRangedPart(storage, key, () => piecesOf(made, Math.max(slice, 50)))
          expect(written === null).toBe(made.flat().length === 0)
          if (written === null) return
          const part = manifestPart(written, made)
          expect((await collect(readPartChunks(storage, part.key, part))).equals(linesOf(made))).toBe(true)
          const found = await readSidecar(storage, part)
          expect(await readRangesOf(storage, part)).toEqual(found.ranges)
          const ends = made.map(endOf)
          expect(found.ranges.map(({ length: _, ...range }) => range)).toEqual(
            ends.map(({ hashes: _, ...end }) => end),
          )
          expect(found.hashes.equals(Buffer.concat(ends.map(({ hashes }) => hashes)))).toBe(true)
          expect(part.ranges).toMatchObject({
            pages: 16,
            count: made.length,
            bytes: 32 * made.length + 8 * part.rows,
          })
          const some = framesAt(found.ranges).filter((_, index) => isWanted(index))
          const lines = linesOf(made.filter((_, index) => isWanted(index)))
          expect((await collect(readFrames(storage, part, some))).equals(lines)).toBe(true)
        },
      ),
      { numRuns: rounds({ short: 5, full: 15 }) },
    )
  })

  it('is what a tool reads that knows no ranges', async () => {
    const part = await writeSample()
    const { plain, longest } = part
    expect({ plain, longest }).toEqual({ plain: 5 * 9, longest: 9 })
    const { ranges } = await readSidecar(storage, part)
    expect(ranges.map(({ rows }) => rows)).toEqual([2, 0, 1, 2, 0])
    expect(ranges.map(({ fingerprint }) => fingerprint)).toEqual([
      (7n - 2n ** 63n).toString(),
      '0',
      (2n ** 63n - 1n).toString(),
      '0',
      '0',
    ])
    const bytes = await collect(readStored(storage, part))
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(part.sha256)
    expect(ranges.map(({ length }) => length).reduce((sum, length) => sum + length)).toBe(bytes.length)
  })

  it('has frames of ranges that are too large to be held, and many pieces of them in one upload', async () => {
    const large = () => line(randomBytes((wholeFrame * 3) / 4).toString('hex'), 5n)
    const ranges = [[line('x', 1n)], [large()], [line('y', 1n)]]
    const written = await writeRangedPart(storage, key, () => piecesOf(ranges, 2 ** 20))
    const part = manifestPart(written!, ranges)
    expect((await collect(readPartChunks(storage, part.key, part))).equals(linesOf(ranges))).toBe(true)
    const frames = framesAt(await readRangesOf(storage, part))
    expect((await collect(readFrames(storage, part, frames.slice(1)))).equals(linesOf(ranges.slice(1)))).toBe(
      true,
    )
  })

  it('is asked once for frames that lie near each other, and again for one that does not', async () => {
    const far = line(randomBytes(2 ** 20).toString('hex'), 5n)
    const ranges = Array.from({ length: 40 }, (_, n) => [n === 30 ? far : line(`row ${n}`, BigInt(n))])
    const written = await writeRangedPart(storage, key, () => piecesOf(ranges, 2 ** 20))
    const part = manifestPart(written!, ranges)
    const frames = framesAt(await readRangesOf(storage, part))
    const asked = async (places: number[]) => {
      front.seen = []
      const some = places.map((place) => frames[place]!)
      const lines = await collect(readFrames(storage, part, some))
      expect(lines.equals(linesOf(places.map((place) => ranges[place]!)))).toBe(true)
      return front.seen.length
    }
    const odd = [...frames.keys()].filter((place) => place % 2 === 1)
    expect(await asked(odd)).toBe(2) // the one between 29 and 31 is large
    expect(await asked([0, 29, 31, 39])).toBe(2)
    expect(await asked([30])).toBe(1)
    expect(await asked([7, 3])).toBe(2)
  })

  it('takes frames of another part as they are', async () => {
    const large = line('z'.repeat(wholeFrame + 1), 3n)
    const made = [...sample, [large]]
    const base = await writeSample(made)
    const [stored, { ranges, hashes }] = [await bytesOf(base.key), await readSidecar(storage, base)]
    const frames = framesAt(ranges)
    let rows = 0
    const taken: PartPiece[] = ranges.map((range, index) => {
      const { offset, length } = frames[index]!
      const at = 8 * rows
      rows += range.rows
      return { taken: stored.subarray(offset, offset + length), range, hashes: hashes.subarray(at, 8 * rows) }
    })
    const fresh = [line('new', 9n)]
    async function* source(): AsyncGenerator<PartPiece> {
      for (const [index, piece] of taken.entries()) {
        if (index === 2) yield* piecesOf([fresh])
        else if (ranges[index]!.rows === 0) yield { end: none }
        else yield piece
      }
    }
    number++
    const written = await writeRangedPart(storage, key, source)
    const composed = [...made.slice(0, 2), fresh, ...made.slice(3)]
    const part = manifestPart(written!, composed)
    expect(part.plain).toBe(linesOf(composed).length)
    expect(part.longest).toBe(4)
    expect(
      (await collect(readPartChunks(storage, part.key, { ...part, longest: base.longest }))).equals(
        linesOf(composed),
      ),
    ).toBe(true)
    const held = await readSidecar(storage, part)
    expect(held.hashes.equals(endOf(composed.flat()).hashes)).toBe(true)
    expect(held.ranges[0]).toEqual(ranges[0])
  })

  it('is refused when its pieces do not fit together, and no object comes of it', async () => {
    const end = endOf(sample[0]!)
    const lines = linesOf([sample[0]!])
    const range = { rows: 2, length: 5, fingerprint: end.fingerprint }
    const pieces: [PartPiece[], new (message: string) => Error][] = [
      [[{ lines }, { end: { ...end, rows: 1 } }], BackupIncomplete],
      [[{ lines }, { end: { ...end, fingerprint: '7' } }], BackupIncomplete],
      [[{ lines }, { end: none }], BackupIncomplete],
      [[{ lines }, { end }, { end }], BackupIncomplete],
      [[{ taken: Buffer.alloc(6), range, hashes: end.hashes }], BackupIncomplete],
      [[{ taken: Buffer.alloc(5), range, hashes: end.hashes }], BackupDamaged],
      [[{ taken: Buffer.alloc(5), range, hashes: Buffer.from(end.hashes).fill(7) }], BackupDamaged],
    ]
    for (const [wrong, error] of pieces) {
      const source = async function* () {
        yield* wrong
      }
      await expect(writeRangedPart(storage, key, source)).rejects.toThrow(error)
    }
    expect(await keysThere()).toEqual([])
  })

  it('is the error of its source, which is closed, and no object comes of it', async () => {
    let closed = 0
    const source = async function* (): AsyncGenerator<PartPiece> {
      try {
        yield* piecesOf(sample)
        throw new Error('the database went away')
      } finally {
        closed++
      }
    }
    await expect(writeRangedPart(storage, key, source)).rejects.toThrow('the database went away')
    front.faults.push(({ method }) => (method === 'PUT' ? s3Error(500, 'InternalError') : undefined))
    const endless = async function* (): AsyncGenerator<PartPiece> {
      try {
        for (;;) yield* piecesOf([[line(randomBytes(2 ** 19).toString('hex'), 1n)]], 2 ** 20)
      } finally {
        closed++
      }
    }
    await expect(writeRangedPart(storage, key, endless)).rejects.toThrow(StoreUnavailable)
    expect(closed).toBe(2)
    expect(await keysThere()).toEqual([])
  })

  it('goes to the next name when its own is taken, or that of its ranges, and both have the same number', async () => {
    await put(key(1), 'earlier')
    await put(rangesKeyOf(key(2)), 'earlier')
    const part = await writeSample()
    expect(part.key).toBe(key(3))
    expect((await bytesOf(rangesKeyOf(key(2)))).toString()).toBe('earlier')
    expect((await readRangesOf(storage, part)).length).toBe(sample.length)
  })

  it('is refused when either of its objects is not held as it was sent', async () => {
    for (const object of [key, (copy: number) => rangesKeyOf(key(copy))]) {
      number++
      front.faults = [
        async (request, forward) => {
          if (request.method !== 'GET' || request.key !== object(1)) return undefined
          const answer = await forward()
          const { 'x-amz-checksum-crc32': _, ...headers } = answer.headers ?? {}
          return { ...answer, headers, body: Buffer.from(answer.body).fill(1, 3, 4) }
        },
      ]
      await expect(writeRangedPart(storage, key, () => piecesOf(sample))).rejects.toThrow(ReadBackMismatch)
    }
  })
})

describe('the ranges of a part', () => {
  /** The same objects where damage costs nothing. */
  async function inMemory() {
    const part = await writeSample()
    const [memory, at] = [memoryS3(), rangesKeyOf(part.key)]
    const [stored, sidecar] = [await bytesOf(part.key), await bytesOf(at)]
    memory.objects.set(part.key, stored).set(at, sidecar)
    return { part, at, stored, sidecar, ...memory }
  }

  it('are damaged when one bit is another, or they are cut, or grow', async () => {
    const { part, at, sidecar, objects, storage } = await inMemory()
    await expect(readSidecar(storage, part)).resolves.toBeDefined()
    const damages = [
      ...Array.from(sidecar.keys(), (index) => {
        const flipped = Buffer.from(sidecar)
        return flipped.fill((flipped[index] ?? 0) ^ 16, index, index + 1)
      }),
      ...[0, 1, 31, 32, 160, 161, sidecar.length - 8, sidecar.length - 1].map((to) =>
        sidecar.subarray(0, to),
      ),
      Buffer.concat([sidecar, Buffer.alloc(8)]),
    ]
    for (const damaged of damages) {
      objects.set(at, damaged)
      await expect(readSidecar(storage, part)).rejects.toThrow(BackupDamaged)
      await expect(readRangesOf(storage, part)).rejects.toThrow(BackupDamaged)
    }
    objects.delete(at)
    await expect(readSidecar(storage, part)).rejects.toThrow(NotFound)
  })

  it('are damaged when they do not say what the manifest does, also when their digest is the manifest’s', async () => {
    const { part, at, sidecar, objects, storage } = await inMemory()
    for (const [offset, reason] of [
      [7, 'number of rows'],
      [15, 'another size'],
      [31, 'another fingerprint'],
      [160, 'do not add up'],
      [160 + 39, 'do not add up'],
    ] as const) {
      const forged = Buffer.from(sidecar)
      forged.writeUInt8(forged.readUInt8(offset) ^ 1, offset)
      objects.set(at, forged)
      const sha256 = createHash('sha256').update(forged).digest('hex')
      await expect(readSidecar(storage, { ...part, ranges: { ...part.ranges, sha256 } })).rejects.toThrow(
        reason,
      )
    }
    objects.set(at, sidecar)
    for (const other of [{ rows: 6 }, { bytes: part.bytes + 1 }, { fingerprint: '1' }])
      await expect(readSidecar(storage, { ...part, ...other })).rejects.toThrow(BackupDamaged)
    for (const large of [{ ranges: { ...part.ranges, count: 2 ** 15 + 1 } }, { rows: 2 ** 26 + 1 }])
      await expect(readSidecar(storage, { ...part, ...large })).rejects.toThrow(
        'more than the ranges of a part may',
      )
  })

  it('are no lines when the part is shorter, or holds something else there', async () => {
    const { part, stored, objects, storage } = await inMemory()
    const frames = framesAt(await readRangesOf(storage, part))
    objects.set(part.key, stored.subarray(0, -3))
    await expect(collect(readFrames(storage, part, frames))).rejects.toThrow(BackupDamaged)
    objects.set(part.key, stored.subarray(0, frames[3]!.offset))
    await expect(collect(readFrames(storage, part, frames.slice(3)))).rejects.toThrow(BackupDamaged)
    await expect(collect(readStored(storage, part))).rejects.toThrow(BackupDamaged)
    objects.set(part.key, Buffer.alloc(stored.length))
    await expect(collect(readFrames(storage, part, frames))).rejects.toThrow(BackupDamaged)
    objects.delete(part.key)
    await expect(collect(readFrames(storage, part, frames))).rejects.toThrow(NotFound)
  })

  it('are proved by the digest of the whole part where rows come back of them, though another frame fits as well', async () => {
    const { part, stored, objects, storage } = await inMemory()
    const frames = framesAt(await readRangesOf(storage, part))
    const wanted = [frames[0]!, frames[3]!, frames[4]!]
    const lines = linesOf([sample[0]!, sample[3]!])
    expect(await collect(readProvedFrames(storage, part, wanted))).toEqual(lines)
    expect(await collect(readProvedFrames(storage, part, frames))).toEqual(linesOf(sample))
    expect(await collect(readProvedFrames(storage, part, []))).toEqual(Buffer.alloc(0))
    const other = zstdCompressSync(Buffer.from('{"id":4}\n{"id":9}\n'))
    const at = frames[3]!.offset
    expect(other.length).toBe(frames[3]!.length)
    objects.set(part.key, Buffer.concat([stored.subarray(0, at), other, stored.subarray(at + other.length)]))
    for (const some of [wanted, [frames[0]!]])
      await expect(collect(readProvedFrames(storage, part, some))).rejects.toThrow(/SHA-256/)
    for (const body of [stored.subarray(0, at), stored.subarray(0, -1), Buffer.concat([stored, other])]) {
      objects.set(part.key, body)
      await expect(collect(readProvedFrames(storage, part, wanted))).rejects.toThrow(BackupDamaged)
    }
    objects.delete(part.key)
    await expect(collect(readProvedFrames(storage, part, wanted))).rejects.toThrow(NotFound)
  })

  it('are damaged when one without rows says that it has a fingerprint', async () => {
    const { part, at, sidecar, objects, storage } = await inMemory()
    const forged = Buffer.from(sidecar)
    for (const [range, fingerprint] of [
      [1, 5n],
      [4, -5n],
    ] as const) {
      forged.writeBigInt64BE(fingerprint >> 64n, 32 * range + 16)
      forged.writeBigUInt64BE(BigInt.asUintN(64, fingerprint), 32 * range + 24)
    }
    objects.set(at, forged)
    const sha256 = createHash('sha256').update(forged).digest('hex')
    await expect(readSidecar(storage, { ...part, ranges: { ...part.ranges, sha256 } })).rejects.toThrow(
      'without rows',
    )
  })
})

describe('a part that is copied', () => {
  it('lies with its ranges under the new name, and is the same', async () => {
    const part = await writeSample()
    const copy = await copyPart(storage, part, copyKey)
    expect(copy).toEqual({
      ...copy,
      key: copyKey(1),
      bytes: part.bytes,
      sha256: part.sha256,
      ranges: part.ranges,
    })
    const copied = { ...part, ...copy }
    expect((await collect(readPartChunks(storage, copied.key, copied))).equals(linesOf(sample))).toBe(true)
    expect(await readSidecar(storage, copied)).toEqual(await readSidecar(storage, part))
  })

  it('is taken as it is by a step that is repeated, and nothing else is touched', async () => {
    const part = await writeSample()
    await copyPart(storage, part, copyKey)
    await remove(rangesKeyOf(copyKey(1))) // the first try ended between the two
    expect((await copyPart(storage, part, copyKey)).key).toBe(copyKey(1))
    expect((await copyPart(storage, part, copyKey)).key).toBe(copyKey(1))
    await put(rangesKeyOf(copyKey(1)), 'something else')
    await put(copyKey(2), 'something else')
    expect((await copyPart(storage, part, copyKey)).key).toBe(copyKey(3))
    expect((await bytesOf(copyKey(2))).toString()).toBe('something else')
  })

  it('is damaged when its source, or that of its ranges, is another, or gone, or in an archive, or refused', async () => {
    const part = await writeSample()
    for (const object of [part.key, rangesKeyOf(part.key)]) {
      number++
      const held = await bytesOf(object)
      const flipped = Buffer.from(held)
      await put(object, flipped.fill((flipped[5] ?? 0) ^ 1, 5, 6))
      await expect(copyPart(storage, part, copyKey)).rejects.toThrow(BaseDamaged)
      await remove(object)
      number++
      await expect(copyPart(storage, part, copyKey)).rejects.toThrow(BaseDamaged)
      await put(object, held)
    }
    for (const code of ['InvalidObjectState', 'AccessDenied']) {
      front.faults = [
        ({ headers }) => (headers['x-amz-copy-source'] === undefined ? undefined : s3Error(403, code)),
      ]
      number++
      await expect(copyPart(storage, part, copyKey)).rejects.toThrow(BaseDamaged)
    }
  })

  it('is an error as ever when S3 fails, or does not hold what it copied', async () => {
    const part = await writeSample()
    front.faults.push((request) =>
      request.headers['x-amz-copy-source'] === undefined ? undefined : s3Error(503, 'SlowDown'),
    )
    await expect(copyPart(storage, part, copyKey)).rejects.toThrow(StoreUnavailable)
    front.faults = []
    expect((await copyPart(storage, part, copyKey)).key).toBe(copyKey(1))
    expect((await digestOfObject(storage, copyKey(1))).sha256).toBe(part.sha256)
  })

  it('is copied without its tags, which nobody need be allowed to read', async () => {
    const part = await writeSample()
    const seen: unknown[] = []
    front.faults.push((request) => {
      if (request.headers['x-amz-copy-source'] !== undefined)
        seen.push([request.headers['x-amz-tagging-directive'], request.headers['if-none-match']])
      return undefined
    })
    await copyPart(storage, part, copyKey)
    expect(seen).toEqual([
      ['REPLACE', '*'],
      ['REPLACE', '*'],
    ])
  })
})
