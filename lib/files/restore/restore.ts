import { findResult, putResult } from '../../backup/documents/results.ts'
import { backupKeys, filesKeys, workKeys } from '../../backup/layout.ts'
import type { Clients } from '../../clients.ts'
import { BackupDamaged } from '../../errors.ts'
import type { Fence } from '../../ledger/fence.ts'
import { type CopyLimits, copyLimits } from '../../s3/copy-source.ts'
import { everything, type Touched } from '../../store/selection.ts'
import { type CopiesRefusal, checkCopies } from '../copy/check-copies.ts'
import { isTouched } from '../list.ts'
import { type FilesBatch, filesToRestore, rangeBelow, readPieces } from '../pieces.ts'
import { deleteExtras } from './extras.ts'
import { restorePiece } from './piece.ts'
import { FilesRestored, RestoreTally } from './results.ts'
import { safetyCopies } from './safety-copies.ts'

type Tools = Pick<Clients, 'files' | 'backups' | 'config'>

type BatchToRestore = FilesBatch & {
  backupId: string
  /** Objects that are not in the backup are deleted. */
  exact: boolean
  /** The run has backed up the current files, and nothing goes that is not in that backup. */
  safety: boolean
  /** What lies elsewhere stays as it is, and is not counted: the batch lists nothing of it. */
  touched?: Touched
}

/** After how many copied objects the progress is told. */
const tellEvery = 250

/**
 * Puts the files of one batch of listRestore back below FILES_PREFIX, as the backup holds them. All its copies of the
 * batch are looked at before the first object is written. Objects that are not in the backup stay and are counted; with
 * `exact` they are deleted. Repeating it gives the same files, with those of the first try counted as `unchanged`; a batch
 * that has a result without failures is not touched again.
 * @param progress is told the objects that were dealt with and those of the batch
 * @throws BackupDamaged naming a copy that is missing or is not the one that was made
 * @throws StoreUnavailable or NotPermitted when S3 refuses. An object that does not become what it should does not
 *   throw: see `changedMeanwhile` and `failures`
 */
export async function restoreFiles(
  { files, backups: backup, config }: Tools,
  { backupId, exact, safety, touched = everything, ...batch }: BatchToRestore,
  progress: (done: number, total: number) => Promise<void>,
  fence: Fence,
  limits: CopyLimits = copyLimits,
): Promise<FilesRestored> {
  const resultKey = workKeys(batch.run).filesRestored(batch.batch)
  const earlier = await findResult(backup, resultKey, FilesRestored)
  if (earlier?.complete) return earlier.result

  let total = 0
  const keys = backupKeys(config.BACKUP_PREFIX, backupId)
  for await (const { files: copies, range } of readPieces(backup, batch, filesToRestore)) {
    await checkCopies(backup, { keys, range, copies }, refusal)
    total += copies.length
  }

  const prefix = config.FILES_PREFIX
  // Two, because each is asked in the order of the keys and remembers its place.
  const ofOverwritten = safetyCopies(backup, { run: batch.run, prefix })
  const ofDeleted = safetyCopies(backup, { run: batch.run, prefix })
  const tally = new RestoreTally(batch.batch)
  let done = 0
  for await (const { files: listed, range: stretch } of readPieces(backup, batch, filesToRestore)) {
    const targets = listed.map((file) => [`${prefix}${file.key}`, file] as const)
    const wanted = new Map(targets.filter(([key]) => !key.startsWith(filesKeys.own)))
    const range = rangeBelow(prefix, stretch)
    const isExtra = (key: string) =>
      !wanted.has(key) && !key.startsWith(filesKeys.own) && isTouched(key.slice(prefix.length), touched)
    let copied = 0
    const extra = await restorePiece(
      { files, backup },
      {
        range,
        files: wanted,
        copyOf: ({ key, copy }) => keys.file(key, copy),
        isExtra,
        mayOverwrite: safety ? ofOverwritten : null,
      },
      {
        tally,
        fence,
        limits,
        onCopied: async () => {
          if (++copied % tellEvery === 0) await progress(done + copied, total)
        },
      },
    )
    if (exact && extra > 0) {
      const mayGo = safety ? ofDeleted : async () => true
      await deleteExtras(files, { range, isExtra, mayGo }, { tally, fence })
    } else tally.result.extra += extra
    done += listed.length
    await progress(done, total)
  }
  await fence.check()
  const { result } = tally
  const complete = result.failures === 0
  return await putResult(backup, resultKey, FilesRestored, { result, complete, signal: fence.signal })
}

const refusal: CopiesRefusal = {
  Refusal: BackupDamaged,
  expected: ({ size, copyEtag }) => `the backup was made with ${size} bytes and ETag ${copyEtag}`,
  missing: (count, of) => `${count} of ${of} copies are missing`,
  advice: {
    other: 'Bring back that version of the object, or use another backup',
    missing: "Bring them back from the bucket's versions, or use another backup",
  },
}
