import pMap from 'p-map'
import { agreeing, counted } from '../../amounts.ts'
import { getJsonLines } from '../../backup/documents/read.ts'
import { resultOf } from '../../backup/documents/results.ts'
import { backupKeys, workKeys } from '../../backup/layout.ts'
import type { Manifest, Warning } from '../../backup/manifest.ts'
import { CopiedFile } from '../../backup/sections/files.ts'
import type { Clients } from '../../clients.ts'
import { BackupIncomplete } from '../../errors.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import type { Sealer } from '../../store.ts'
import { listedFiles, readPieces } from '../pieces.ts'
import type { FilesPlan } from '../schema/plan.ts'
import { type CopiesRefusal, checkCopies } from './check-copies.ts'
import { CopyResult } from './copy.ts'
import { writeFilesIndex } from './write-index.ts'

/** Batches whose copies are listed at the same time. */
const concurrency = 8

/**
 * The files' section of the manifest: the list of files is written, and every copy that it names lies in the backup, with
 * its size and ETag, by a listing that the copying steps had no part in.
 * @throws BackupIncomplete when a batch left no result, fewer were copied than listed, or a copy is missing or another one
 */
export const sealFiles: Sealer<FilesPlan, NonNullable<Manifest['files']>> = async (
  { backups, config },
  { run, backupId, planned, fence },
) => {
  const keys = backupKeys(config.BACKUP_PREFIX, backupId)
  const total = await sumOf(backups, run, planned)
  if (total.objects + total.vanished !== planned.objects) {
    throw new BackupIncomplete(
      `${counted(planned.objects, 'file')} ${agreeing(planned.objects, 'was', 'were')} listed, but ${total.objects} ${agreeing(total.objects, 'was', 'were')} copied and ${total.vanished} had vanished. Nothing was wiped; start again`,
    )
  }
  const lists = { run, lists: planned.lists }
  await fence?.check()
  const { index, ...named } = await writeFilesIndex(backups, lists, keys.filesIndex, fence?.signal)
  if (named.objects !== total.objects || named.bytes !== total.bytes) {
    throw new BackupIncomplete(
      `${counted(total.objects, 'file')} of ${total.bytes} bytes ${agreeing(total.objects, 'was', 'were')} copied, but ${named.objects} of ${named.bytes} bytes ${agreeing(named.objects, 'is', 'are')} in the lists of copies. Nothing was wiped; start again`,
    )
  }
  const batches = Array.from({ length: planned.batches }, (_, batch) => ({ run, batch, ...planned }))
  await pMap(
    batches,
    async (batch) => {
      for await (const { list, range } of readPieces(backups, batch, listedFiles)) {
        const copies = await getJsonLines(backups, workKeys(run).filesCopied(list), CopiedFile)
        await checkCopies(backups, { keys, range, copies }, refusal)
      }
    },
    { concurrency },
  )
  const { objects, bytes, vanished } = total
  return {
    held: { prefix: config.FILES_PREFIX, objects, bytes, vanished, index },
    warnings: [...warningsOf(total), ...total.warnings],
  }
}

async function sumOf(backups: Clients['backups'], run: RunRef, { batches }: FilesPlan) {
  const total = { objects: 0, bytes: 0, vanished: 0, changed: 0, warnings: [] as Warning[] }
  for (let batch = 0; batch < batches; batch++) {
    const key = workKeys(run).filesResult(batch)
    const result = await resultOf(backups, key, CopyResult, `batch ${batch} of the files`)
    total.objects += result.objects
    total.bytes += result.bytes
    total.vanished += result.vanished
    total.changed += result.changed
    total.warnings.push(...result.warnings)
  }
  return total
}

const refusal: CopiesRefusal = {
  Refusal: BackupIncomplete,
  expected: ({ size, copyEtag }) => `${size} bytes with ETag ${copyEtag} were copied`,
  missing: (count) => `${count} copies of files are missing`,
  advice: {
    other: 'Nothing was wiped; find out who writes there, and start again',
    missing: 'Nothing was wiped; start again',
  },
}

function warningsOf({ vanished, changed }: { vanished: number; changed: number }): Warning[] {
  const warnings: Warning[] = []
  if (vanished > 0) {
    warnings.push({
      code: 'FilesVanished',
      message: `${counted(vanished, 'file')} ${agreeing(vanished, 'was', 'were')} deleted by somebody else during the backup`,
    })
  }
  if (changed > 0) {
    warnings.push({
      code: 'FilesChanged',
      message: `${counted(changed, 'file')} changed during the backup; the newer version is in it`,
    })
  }
  return warnings
}
