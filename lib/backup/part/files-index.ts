import type { Bucket } from '../../s3/bucket.ts'
import { compareKeys } from '../../s3/key-order.ts'
import { noteBounds, parseJson } from '../documents/json.ts'
import type { Manifest } from '../manifest.ts'
import { CopiedFile } from '../sections/files.ts'
import { readPartLines } from './read.ts'

/** The manifest's `files.index`. */
export type FilesIndex = NonNullable<NonNullable<Manifest['files']>['index']>

/** A line, by its number from 1, that describes no file (null), or one that does not come after the one before it. */
type BadLine = { number: number; text: string; file: CopiedFile | null; cause?: unknown }

/**
 * The files that a backup's index names, in S3's order. Memory: one line.
 * @param damaged gives what is thrown of a line that is not as it should be
 * @throws NotFound, and as readPartLines does for bytes that are not what the manifest says
 */
export async function* readFilesIndex(
  bucket: Bucket,
  index: FilesIndex,
  damaged: (line: BadLine) => Error,
): AsyncGenerator<CopiedFile, undefined> {
  let number = 0
  let before: string | undefined
  for await (const line of readIndexLines(bucket, index)) {
    number++
    const file = fileOf(line, (text, cause) => damaged({ number, text, file: null, cause }))
    if (before !== undefined && compareKeys(before, file.key) >= 0)
      throw damaged({ number, text: line.toString(), file })
    before = file.key
    yield file
  }
}

/** Its lines, none longer than what names a file may be, whatever the manifest says: they are held. @throws as readPartLines does */
export function readIndexLines(bucket: Bucket, index: FilesIndex): AsyncGenerator<Buffer> {
  const longest = Math.min(index.longest ?? noteBounds.bytes, noteBounds.bytes)
  return readPartLines(bucket, index.key, { ...index, longest })
}

function fileOf(line: Buffer, damaged: (text: string, cause: unknown) => Error): CopiedFile {
  const text = line.toString()
  try {
    return CopiedFile.parse(parseJson(text, noteBounds))
  } catch (cause) {
    throw damaged(text, cause)
  }
}
