import { pipeline } from 'node:stream/promises'
import { constants, createZstdDecompress, zstdDecompressSync } from 'node:zlib'
import { FrameWalk } from './frame-walk.ts'

/**
 * A frame of at most so many bytes is held, and compressed and decompressed at once, which is done in milliseconds and takes
 * less than a stream that has to be made for it; a larger one is a stream.
 */
export const wholeFrame = 4 * 2 ** 20

/** In bytes; the default of 16 KiB costs a callback and an allocation each. */
export const chunkSize = 256 * 1024

/**
 * What a frame may ask for as its window, as a power of two: our compression takes 2^19, zstd would allow 2^27 to each of
 * sixteen objects that are read at a time.
 */
const params = { [constants.ZSTD_d_windowLogMax]: 21 }

/** Some bytes of one frame. `content`: what it decompresses to, when its header says so. */
type Piece = { bytes: Buffer; content: number | undefined; isEnd: boolean }

/**
 * Decompresses frames that follow each other, of which each stands for itself. Node's own decompression takes the end of the
 * first for the end of all, without an error.
 * Memory: some chunks, whatever the bytes say of themselves; or a frame of at most `wholeFrame` bytes.
 * @param ended is told the bytes of each frame as stored, once what it decompresses to was taken
 * @throws when the bytes are anything else than whole frames
 * @see docs/decisions.md#each-range-of-a-part-is-a-frame-and-a-sidecar-says-where-it-begins
 */
export async function* decompressFrames(
  stored: AsyncIterable<Buffer>,
  ended: (bytes: number) => void = () => {},
): AsyncGenerator<Buffer> {
  const pieces = piecesOf(stored)
  for (let first = await pieces.next(); !first.done; first = await pieces.next()) {
    const { content } = first.value
    const size = { stored: 0 }
    const frame = frameOf(first.value, pieces, size)
    if (content === undefined || content > wholeFrame) yield* streamed(frame)
    else if (content > 0) yield whole(await collected(frame), content)
    else await collected(frame)
    ended(size.stored)
  }
}

/** Cuts what comes at the ends of frames. The first piece of each holds its header. */
async function* piecesOf(stored: AsyncIterable<Buffer>): AsyncGenerator<Piece, undefined> {
  const walk = new FrameWalk()
  let held: Buffer[] = []
  for await (const chunk of stored) {
    for (let at = 0; at < chunk.length; ) {
      const { to, isEnd } = walk.advance(chunk, at)
      held.push(chunk.subarray(at, to))
      at = to
      if (!walk.isHeaderRead) continue
      yield { bytes: joined(held), content: walk.content, isEnd }
      held = []
    }
  }
  if (walk.isWithin) throw new Error('it ends within a frame')
}

async function* frameOf(
  first: Piece,
  rest: AsyncGenerator<Piece, undefined>,
  size: { stored: number },
): AsyncGenerator<Buffer> {
  for (let piece: Piece | undefined = first; piece !== undefined; ) {
    size.stored += piece.bytes.length
    yield piece.bytes
    piece = piece.isEnd ? undefined : (await rest.next()).value
  }
}

async function collected(frame: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of frame) {
    bytes += piece.length
    if (bytes > 2 * wholeFrame)
      throw new Error('it holds a frame that is longer than what it decompresses to')
    pieces.push(piece)
  }
  return joined(pieces)
}

function whole(frame: Buffer, content: number): Buffer {
  const plain = zstdDecompressSync(frame, {
    chunkSize: Math.max(content, 64),
    maxOutputLength: content,
    params,
  })
  if (plain.length === content) return plain
  throw new Error(`it holds a frame of ${plain.length} bytes that says it has ${content}`)
}

async function* streamed(frame: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const plain = createZstdDecompress({ chunkSize, params })
  pipeline(frame, plain).catch((error: Error) => plain.destroy(error))
  yield* plain as AsyncIterable<Buffer>
}

function joined([first, ...rest]: readonly Buffer[]): Buffer {
  return rest.length === 0 && first !== undefined
    ? first
    : Buffer.concat([...(first ? [first] : []), ...rest])
}
