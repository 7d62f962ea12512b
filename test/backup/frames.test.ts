import { createHash, randomBytes } from 'node:crypto'
import { constants, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FramePacker } from '../../lib/backup/codec/frame-packer.ts'
import { decompressFrames, wholeFrame } from '../../lib/backup/codec/frames.ts'
import { type Expected, readPartChunks } from '../../lib/backup/part/read.ts'
import { BackupDamaged } from '../../lib/errors.ts'
import { memoryS3 } from './memory-s3.ts'

/** A frame, with or without what a header may say of it. Node writes an empty one behind one that fills its chunks to the last byte. */
function frameOf(plain: Buffer, { size = true, checksum = false, window = 0 } = {}): Buffer {
  return zstdCompressSync(plain, {
    chunkSize: plain.length + 2 ** 16,
    params: {
      [constants.ZSTD_c_contentSizeFlag]: Number(size),
      [constants.ZSTD_c_checksumFlag]: Number(checksum),
      ...(window > 0 ? { [constants.ZSTD_c_windowLog]: window } : {}),
    },
  })
}

async function* inChunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function decompressed(
  stored: Buffer,
  size = stored.length,
): Promise<{ plain: Buffer; ends: number[] }> {
  const ends: number[] = []
  const chunks: Buffer[] = []
  for await (const chunk of decompressFrames(inChunks(stored, Math.max(size, 1)), (bytes) =>
    ends.push(bytes),
  ))
    chunks.push(Buffer.from(chunk))
  return { plain: Buffer.concat(chunks), ends }
}

const memory = memoryS3()
async function read(bytes: Buffer, expected: Partial<Expected> = {}): Promise<Buffer> {
  memory.objects.set('part.jsonl.zst', bytes)
  const chunks: Buffer[] = []
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const whole = { bytes: bytes.length, sha256, ...expected }
  for await (const chunk of readPartChunks(memory.storage, 'part.jsonl.zst', whole)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const [one, two, three] = ['{"id":1}\n', '', '{"id":22}\n{"id":333}\n'].map((text) => Buffer.from(text))
const frames = [frameOf(one!), frameOf(two!, { checksum: true }), frameOf(three!, { size: false })]
const part = Buffer.concat(frames)

describe('a part of several frames', () => {
  test('is what all of them hold, however they are cut, compressed, and come', async () => {
    const frame = fc.record({
      plain: fc.oneof(
        fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
        fc.integer({ min: 0, max: 300_000 }).map((bytes) => Buffer.alloc(bytes, 'abcdefg\n')),
        fc.integer({ min: 0, max: 200_000 }).map((bytes) => randomBytes(bytes)),
      ),
      size: fc.boolean(),
      checksum: fc.boolean(),
      window: fc.constantFrom(0, 10, 21),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(frame, { maxLength: 8 }),
        fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 100_000 })),
        async (made, size) => {
          const stored = made.map(({ plain, ...said }) => frameOf(plain, said))
          const all = Buffer.concat(stored)
          const found = await decompressed(all, Math.max(size, Math.ceil(all.length / 2_000)))
          expect(found.plain.equals(Buffer.concat(made.map(({ plain }) => plain)))).toBe(true)
          expect(found.ends).toEqual(stored.map(({ length }) => length))
        },
      ),
      { numRuns: 30 },
    )
  })

  test('may hold frames that are too large to be held, between others', async () => {
    const large = Buffer.alloc(wholeFrame + 1, 'x\n')
    const exact = Buffer.alloc(wholeFrame, 'y\n')
    const stored = Buffer.concat([
      frames[0]!,
      frameOf(large),
      frameOf(exact),
      frameOf(large, { size: false }),
    ])
    const { plain, ends } = await decompressed(stored, 64 * 1024)
    expect(plain.equals(Buffer.concat([one!, large, exact, large]))).toBe(true)
    expect(ends).toHaveLength(4)
  })

  test('is made of one frame for each range, which says what it holds, also where its bytes fill a chunk to the last', async () => {
    const packer = new FramePacker({ [constants.ZSTD_c_compressionLevel]: 1 }, 64)
    const stored: Buffer[] = []
    const plain: Buffer[] = []
    for (let bytes = 1; bytes < 300; bytes++) {
      const range = bytes % 10 === 0 ? Buffer.alloc(bytes * 1_000, 'abc\n') : randomBytes(bytes)
      plain.push(range)
      stored.push(Buffer.from(await packer.pack(range)))
      expect((stored.at(-1)?.readUInt8(4) ?? 0) & 0xe0).toBeGreaterThan(0) // the header has its size
    }
    packer.close()
    const found = await decompressed(Buffer.concat(stored))
    expect(found.plain.equals(Buffer.concat(plain))).toBe(true)
    expect(found.ends).toEqual(stored.map(({ length }) => length))
    await expect(packer.pack(Buffer.from('x'))).rejects.toThrow('destroyed')
  })

  test('is damaged when it is cut anywhere but between two frames', async () => {
    const [first, second] = [frames[0]!.length, frames[0]!.length + frames[1]!.length]
    for (let length = 0; length < part.length; length++) {
      const cut = read(part.subarray(0, length), { sha256: null })
      if (length === 0) expect((await cut).length).toBe(0)
      else if (length === first || length === second) expect((await cut).equals(one!)).toBe(true)
      else await expect(cut).rejects.toThrow('it ends within a frame')
      const { length: bytes } = part
      const sha256 = createHash('sha256').update(part).digest('hex')
      await expect(read(part.subarray(0, length), { bytes, sha256 })).rejects.toThrow(BackupDamaged)
    }
  })

  test('is damaged when one bit of it is another, and never something else', async () => {
    const sha256 = createHash('sha256').update(part).digest('hex')
    for (let at = 0; at < part.length; at++)
      for (const bit of [0, 3, 7]) {
        const flipped = Buffer.from(part)
        flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << bit), at)
        await expect(read(flipped, { sha256 })).rejects.toThrow(BackupDamaged)
        const found = await read(flipped, { sha256: null, plain: 1_000 }).catch((cause: unknown) => cause)
        expect(Buffer.isBuffer(found) || found instanceof BackupDamaged).toBe(true)
      }
  })

  test.each([
    ['bytes behind its last frame', Buffer.concat([part, Buffer.from('\n')]), 'within a frame'],
    ['another format behind it', Buffer.concat([part, Buffer.from('hello')]), 'something else than frames'],
    [
      'a frame to be skipped',
      Buffer.concat([Buffer.from('502a4d1801000000ff', 'hex'), part]),
      'something else',
    ],
    ['nothing of zstd', Buffer.from('{"id":1}\n'), 'something else than frames'],
    ['a block of no known kind', Buffer.from('28b52ffd0400070000', 'hex'), 'a block of no known kind'],
  ])('is damaged when it holds %s', async (_, bytes, message) => {
    await expect(read(bytes)).rejects.toThrow(BackupDamaged)
    await expect(read(bytes)).rejects.toThrow(message)
  })

  test('is damaged when a frame decompresses to less or more than it says', async () => {
    const frame = frameOf(Buffer.from('0123456789'.repeat(100)))
    const at = 5 // a size of two bytes behind the descriptor, without the 256 that it begins with
    expect(frame.readUInt8(4) >> 6).toBe(1)
    for (const size of [999, 1_001, 256, 60_000]) {
      const lying = Buffer.from(frame)
      lying.writeUInt16LE(size - 256, at)
      await expect(read(lying)).rejects.toThrow(BackupDamaged)
    }
  })

  test('gives no byte and no line more than its manifest says of all frames together', async () => {
    const sizes = { plain: one!.length + three!.length, longest: three!.length / 2 + 1 }
    expect((await read(part, sizes)).length).toBe(sizes.plain)
    await expect(read(part, { ...sizes, plain: sizes.plain - 1 })).rejects.toThrow(
      'decompresses to more than',
    )
    await expect(read(part, { ...sizes, longest: 10 })).rejects.toThrow('a line is longer than the 10 bytes')
    const halves = Buffer.concat([frameOf(Buffer.from('{"id":')), frameOf(Buffer.from('1}\n'))])
    await expect(read(halves, { longest: 8 })).rejects.toThrow('a line is longer than the 8 bytes')
    expect((await read(halves, { longest: 9 })).toString()).toBe('{"id":1}\n')
  })

  test('takes no more memory than a frame, whatever it says and however many there are', async () => {
    const before = process.memoryUsage().arrayBuffers
    const bomb = frameOf(Buffer.alloc(wholeFrame, 'x\n'))
    await expect(read(Buffer.concat(Array(20).fill(bomb)), { plain: 2 * wholeFrame })).rejects.toThrow(
      'decompresses to more than',
    )
    const empty = Buffer.alloc(2 * wholeFrame + 6) // raw blocks without a byte, of which none is the last
    const endless = Buffer.concat([Buffer.from('28b52ffd2001', 'hex'), empty])
    await expect(read(endless)).rejects.toThrow('longer than what it decompresses to')
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(128 * 2 ** 20)
  })
})
