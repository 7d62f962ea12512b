import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Range } from '../../lib/backup/ranges/range.ts'
import { encodeRanges } from '../../lib/backup/ranges/sidecar.ts'
import { StoredFrames } from '../../lib/backup/ranges/stored-frames.ts'

/** Cut at such places. */
async function* inChunks(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1
    yield Buffer.from(bytes.subarray(at, at + size))
    at += size
  }
}

it('any frames of a part come as they are stored, with their hashes, wherever the objects are cut', async () => {
  const ranges = fc.array(
    fc.record({
      rows: fc.nat(3),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 20 }),
      wanted: fc.boolean(),
    }),
    { minLength: 1, maxLength: 12 },
  )
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 })
  await fc.assert(
    fc.asyncProperty(ranges, sizes, async (all, cut) => {
      const frames = all.map(({ rows, bytes }) => (rows === 0 ? Buffer.alloc(0) : Buffer.from(bytes)))
      const hashes = all.map(({ rows }, at) => Buffer.alloc(8 * rows, at + 1))
      const held = all.map(
        ({ rows }, at): Range => ({ rows, length: frames[at]!.length, fingerprint: String(at) }),
      )
      const stored = new StoredFrames(
        held,
        inChunks(Buffer.concat(frames), cut),
        inChunks(Buffer.concat([encodeRanges(held), ...hashes]), cut),
      )
      for (const [at, { rows, wanted }] of all.entries()) {
        if (wanted && rows > 0)
          expect(await stored.frame(at)).toEqual({ taken: frames[at], range: held[at], hashes: hashes[at] })
      }
      await stored.end()
    }),
    { numRuns: 300 },
  )
})

it('what is wrong with an object is thrown at its end, when all that was wanted has come', async () => {
  async function* damaged(): AsyncGenerator<Buffer> {
    yield Buffer.from('frame and more')
    throw new Error('another digest')
  }
  const held: Range[] = [{ rows: 1, length: 5, fingerprint: '0' }]
  const sidecar = Buffer.concat([encodeRanges(held), Buffer.alloc(8)])
  const stored = new StoredFrames(held, damaged(), inChunks(sidecar, [7]))
  expect(await stored.frame(0)).toMatchObject({ taken: Buffer.from('frame') })
  await expect(stored.end()).rejects.toThrow('another digest')
})
