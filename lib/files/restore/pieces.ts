import { getJsonLines } from '../../backup/documents/read.ts'
import { backupKeys, workKeys } from '../../backup/layout.ts'
import { CopiedFile } from '../../backup/manifest.ts'
import { BackupDamaged } from '../../errors.ts'
import type { Storage } from '../../s3/bucket.ts'
import { compareCopies } from '../compare-copies.ts'
import type { Batch, Piece } from '../pieces.ts'

/** A piece of the backup's list, and the stretch of keys below the prefix that it stands for. */
export type RestorePiece = { list: number; files: CopiedFile[]; range: Piece['range'] }

/**
 * The pieces of a batch. Together the pieces of all batches cover every key there can be: the first is open at its
 * beginning, the last at its end, so that live objects before, between and after the backup's are seen exactly once.
 */
export async function* readRestorePieces(
  work: Storage,
  { run, batch, listsPerBatch, lists }: Batch,
): AsyncGenerator<RestorePiece> {
  const filesOf = (list: number) => getJsonLines(work, workKeys(run).restoreList(list), CopiedFile)
  // A backup without files: its only piece is empty, and covers everything.
  if (lists === 0) return yield { list: 0, files: [], range: { after: undefined, through: undefined } }
  const first = batch * listsPerBatch
  const end = Math.min(first + listsPerBatch, lists)
  let after = first === 0 ? undefined : (await filesOf(first - 1)).at(-1)?.key
  for (let list = first; list < end; list++) {
    const files = await filesOf(list)
    const last = files.at(-1)?.key
    yield { list, files, range: { after, through: list === lists - 1 ? undefined : last } }
    after = last
  }
}

/**
 * Compares the copies that a backup holds with what its list says of them: one request per 1,000.
 * @throws BackupDamaged naming the first copy that is missing or is not the one that was made
 */
export async function checkCopies(
  backup: Storage,
  { prefix, backupId, piece }: { prefix: string; backupId: string; piece: RestorePiece },
): Promise<void> {
  const keys = backupKeys(prefix, backupId)
  const difference = await compareCopies(backup, { keys, range: piece.range, copies: piece.files })
  if (difference === undefined) return
  if (difference.is === 'other') {
    const { file, found } = difference
    throw new BackupDamaged(
      `s3://${backup.bucket}/${found.key} has ${found.size} bytes and ETag ${found.etag}, but the backup was made with ${file.size} bytes and ETag ${file.copyEtag}. Bring back that version of the object, or use another backup`,
    )
  }
  throw new BackupDamaged(
    `${difference.count} of ${piece.files.length} copies are missing, for example s3://${backup.bucket}/${difference.first}. Bring them back from the bucket's versions, or use another backup`,
  )
}
