import type { Transform } from 'node:stream'
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib'
import { BackupDamaged } from '../errors.ts'

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
  /** Memory: some chunks, whatever the bytes say of themselves. */
  decompress: () => Transform
}

/** In bytes; the default of 16 KiB costs a callback and an allocation each. */
const chunkSize = 256 * 1024

const zstd: Codec = {
  name: 'zstd',
  suffix: '.jsonl.zst',
  contentType: 'application/zstd',
  compress: () => createZstdCompress({ chunkSize, params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
  // What a frame may ask for as its window, as a power of two: our compression takes 2^19, zstd would allow 2^27 to each of
  // sixteen objects that are read at a time.
  decompress: () => createZstdDecompress({ chunkSize, params: { [constants.ZSTD_d_windowLogMax]: 21 } }),
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
