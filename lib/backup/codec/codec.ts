import type { Transform } from 'node:stream'
import { constants, createZstdCompress } from 'node:zlib'
import { BackupDamaged } from '../../errors.ts'
import { FramePacker } from './frame-packer.ts'
import { chunkSize, decompressFrames } from './frames.ts'

/**
 * How the JSON Lines of parts, and of the files' index, are compressed: nothing else knows. A part's codec is told by how its
 * key ends. What the functions may write ends so, too: `endOfParts` in serverless.yml.
 */
type Codec = {
  name: string
  /** Ends the keys of what it compressed. */
  suffix: string
  contentType: string
  compress: () => Transform
  /** What it makes is a part as well, one frame behind the other. */
  packFrames: () => FramePacker
  /** @param ended is told the bytes of each frame as stored, once what it decompresses to was taken */
  decompress: (stored: AsyncIterable<Buffer>, ended?: (bytes: number) => void) => AsyncGenerator<Buffer>
}

const params = { [constants.ZSTD_c_compressionLevel]: 1 }

const zstd: Codec = {
  name: 'zstd',
  suffix: '.jsonl.zst',
  contentType: 'application/zstd',
  compress: () => createZstdCompress({ chunkSize, params }),
  packFrames: () => new FramePacker(params),
  decompress: decompressFrames,
}

/** All that parts may be read with. */
const codecs: readonly Codec[] = [zstd]

/** What new parts are written with. */
export const codecOfNew = zstd

/** The key of a part without its suffix; undefined: it is the key of no part. */
export function stemOf(key: string): string | undefined {
  const codec = codecs.find((one) => key.endsWith(one.suffix))
  return codec && key.slice(0, -codec.suffix.length)
}

/** @throws BackupDamaged when the key is that of no part */
export function codecOf(key: string): Codec {
  const codec = codecs.find((one) => key.endsWith(one.suffix))
  if (codec === undefined)
    throw new BackupDamaged(`${key} does not end as the key of a part does. Use another backup`)
  return codec
}
