import { type FilesIndex, readFilesIndex } from '../../backup/part/files-index.ts'
import type { CopiedFile } from '../../backup/sections/files.ts'
import type { Clients } from '../../clients.ts'
import { BackupDamaged, NotFound } from '../../errors.ts'
import type { PlannedRun } from '../../ledger/run-ref.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { everything, type Touched } from '../../store/selection.ts'
import { isTouched } from '../list.ts'
import { filesToRestore } from '../pieces.ts'
import type { FilesRestorePlan } from '../schema/plan.ts'
import { pieceLimits, WorkLists } from '../work-lists.ts'

type ListToRestore = {
  /** null: nothing is written, and the files are only counted. */
  run: PlannedRun | null
  backupId: string
  /** The manifest's `files.index`; null: the backup holds no files. */
  index: FilesIndex | null
  touched?: Touched
}

/**
 * Cuts those of a backup's list of files that a restore touches into the run's work lists, each of which is written once. Memory: one piece.
 * @returns `unmatched`: those of the prefixes that it touches alone below which no file of the backup lies
 * @throws BackupDamaged when the list is missing, is not what the manifest says, or is in no order
 */
export async function listRestore(
  { backups }: Pick<Clients, 'backups'>,
  { run, backupId, index, touched = everything }: ListToRestore,
  limits = pieceLimits,
): Promise<FilesRestorePlan & { unmatched: string[] }> {
  const keyOf = run === null ? null : (list: number) => filesToRestore.keyOf(run, list)
  const unmatched = new Set(touched.only)
  const work = new WorkLists<CopiedFile>(backups, { keyOf, limits })
  let [objects, bytes] = [0, 0]
  for await (const file of index === null ? [] : readIndex(backups, { backupId, index })) {
    for (const prefix of unmatched) if (file.key.startsWith(prefix)) unmatched.delete(prefix)
    if (!isTouched(file.key, touched)) continue
    objects++
    bytes += file.size
    await work.add(file)
  }
  const cut = await work.end()
  return { objects, bytes, ...cut, batches: Math.max(1, cut.batches), unmatched: [...unmatched] }
}

async function* readIndex(
  backup: Bucket,
  { backupId, index }: { backupId: string; index: FilesIndex },
): AsyncGenerator<CopiedFile> {
  const damaged = (problem: string, cause?: Error) =>
    new BackupDamaged(
      `The list of files s3://${backup.name}/${index.key} is damaged: ${problem}. Use another backup, or restore the other stores alone: "targets": ["database", "cache"]`,
      cause && { cause },
    )
  try {
    yield* readFilesIndex(backup, index, ({ number, file }) =>
      // Out of order the pieces' stretches of keys would overlap, and what lies in them would be taken for something else.
      damaged(
        file === null
          ? `its line ${number} describes no file`
          : `its line ${number} is out of order in backup ${backupId}`,
      ),
    )
  } catch (cause) {
    if (cause instanceof NotFound) throw damaged('it does not exist', cause)
    throw cause
  }
}
