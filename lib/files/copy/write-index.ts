import { getJsonLines } from '../../backup/documents/read.ts'
import { workKeys } from '../../backup/layout.ts'
import { type Written, writePart } from '../../backup/part/write.ts'
import { CopiedFile } from '../../backup/sections/files.ts'
import { BackupIncomplete } from '../../errors.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { compareKeys } from '../../s3/key-order.ts'

/**
 * Writes the backup's list of files, one JSON line per object as it was copied, from the lists of the copying steps.
 * @param signal ends the request that writes it: when Seal is over the backup may be deleted, and nobody looks for the list again
 * @returns where it lies (null without objects), how many objects it names, and their bytes
 * @throws BackupIncomplete for a key that comes twice or out of order: no reader could lay it beside a listing
 */
export async function writeFilesIndex(
  bucket: Bucket,
  { run, lists }: { run: RunRef; lists: number },
  keyOf: (copy: number) => string,
  signal?: AbortSignal,
): Promise<{ index: Written | null; objects: number; bytes: number }> {
  const keys = workKeys(run)
  let [objects, bytes] = [0, 0]
  async function* lines(): AsyncGenerator<Buffer> {
    let before: string | undefined
    ;[objects, bytes] = [0, 0]
    for (let list = 0; list < lists; list++) {
      const copied = await getJsonLines(bucket, keys.filesCopied(list), CopiedFile)
      for (const file of copied) {
        refuseDisorder(before, file.key)
        before = file.key
        bytes += file.size
      }
      objects += copied.length
      if (copied.length > 0) yield Buffer.from(copied.map((file) => `${JSON.stringify(file)}\n`).join(''))
    }
  }
  const index = await writePart(bucket, keyOf, lines, signal)
  return { index, objects, bytes }
}

function refuseDisorder(before: string | undefined, key: string): void {
  if (before === undefined || compareKeys(before, key) < 0) return
  throw new BackupIncomplete(
    `The lists of copies name ${JSON.stringify(key)} ${before === key ? 'twice' : `after ${JSON.stringify(before)}`}, so the backup's files could not be restored. Nothing was wiped; start again`,
  )
}
