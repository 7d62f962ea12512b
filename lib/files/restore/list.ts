import { parseJson as boundedJson, noteBounds } from '../../backup/documents/json.ts'
import { putLinesOnce } from '../../backup/documents/write-once.ts'
import { workKeys } from '../../backup/layout.ts'
import type { Manifest } from '../../backup/manifest.ts'
import { CopiedFile } from '../../backup/manifest.ts'
import { readPartLines } from '../../backup/part/read.ts'
import type { Clients } from '../../clients.ts'
import { BackupDamaged, NotFound } from '../../errors.ts'
import type { Storage } from '../../s3/bucket.ts'
import { compareKeys } from '../../s3/key-order.ts'
import { pieceLimits } from '../list.ts'
import type { Run } from '../pieces.ts'
import type { FilesRestorePlan } from '../plan-section.ts'

type Tools = Pick<Clients, 'backups'>
type Index = NonNullable<NonNullable<Manifest['files']>['index']>

/**
 * Cuts a backup's list of files into the run's work lists, each of which is written once. Memory: one piece.
 * @param index is the manifest's `files.index`; null: the backup holds no files
 * @throws BackupDamaged when the list is missing, is not what the manifest says, or is in no order
 */
export async function listRestore(
  { backups: storage }: Tools,
  { run, backupId, index }: { run: Run; backupId: string; index: Index | null },
  limits = pieceLimits,
): Promise<FilesRestorePlan> {
  let piece: CopiedFile[] = []
  let pieceBytes = 0
  let last: string | undefined
  const totals = { objects: 0, bytes: 0, lists: 0 }

  async function closePiece(): Promise<void> {
    await putLinesOnce(storage, workKeys(run).restoreList(totals.lists), piece)
    totals.lists++
    piece = []
    pieceBytes = 0
  }

  for await (const file of index === null ? [] : readIndex(storage, index)) {
    // The pieces' stretches of keys would overlap, and what lies in them would be taken for something else.
    if (last !== undefined && compareKeys(last, file.key) >= 0) {
      throw damaged(storage, index, `its line ${totals.objects + 1} is out of order in backup ${backupId}`)
    }
    last = file.key
    totals.objects++
    totals.bytes += file.size
    if (piece.length > 0 && pieceBytes + file.size > limits.bytes) await closePiece()
    piece.push(file)
    pieceBytes += file.size
    if (piece.length >= limits.objects) await closePiece()
  }
  if (piece.length > 0) await closePiece()
  const listsPerBatch = Math.max(1, Math.ceil(totals.lists / limits.batches))
  return { ...totals, listsPerBatch, batches: Math.max(1, Math.ceil(totals.lists / listsPerBatch)) }
}

async function* readIndex(storage: Storage, index: Index): AsyncGenerator<CopiedFile> {
  let line = 0
  try {
    for await (const text of readPartLines(storage, index.key, {
      ...index,
      longest: index.longest ?? noteBounds.bytes,
    })) {
      line++
      const file = CopiedFile.safeParse(parseJson(text))
      if (!file.success) throw damaged(storage, index, `its line ${line} describes no file`)
      yield file.data
    }
  } catch (cause) {
    if (cause instanceof NotFound) throw damaged(storage, index, 'it does not exist', cause)
    throw cause
  }
}

function damaged(storage: Storage, index: Index | null, problem: string, cause?: Error): BackupDamaged {
  return new BackupDamaged(
    `The list of files s3://${storage.bucket}/${index?.key} is damaged: ${problem}. Use another backup, or restore the other stores alone: "targets": ["database", "cache"]`,
    cause && { cause },
  )
}

function parseJson(text: Buffer): unknown {
  try {
    return boundedJson(text.toString(), noteBounds)
  } catch {
    return undefined // no schema accepts it
  }
}
