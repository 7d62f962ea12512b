import { bytes, counted, enumeration } from '../amounts.ts'
import type { Manifest } from '../backup/manifest.ts'
import type { Words } from '../store/words.ts'
import type { FilesDifference } from './schema/difference.ts'
import type { FilesOption } from './schema/option.ts'
import type { FilesBack, FilesWould } from './schema/plan-answer.ts'

export type FilesTold = {
  amount: { objects: number; bytes: number }
  found: FilesOption
  held: NonNullable<Manifest['files']>
  would: FilesWould
  difference: FilesDifference
  back: FilesBack
}

export const filesWords: Words<FilesTold> = {
  unit: 'file',
  named: 'file',
  total: 'files',
  count: ({ objects }) => objects,
  nothing: { objects: 0, bytes: 0 },
  backedUpIn: 'Copy files',
  isChangedInBatches: true,
  amount: ({ objects, bytes: size }) => `${counted(objects, 'file')}, ${bytes(size)}`,
  copied: 'S3 would copy the files, and each copy would be found again, with its size and ETag.',
  differs: ({ before, now, extra, missing, changed, bytes: size }, { exact }) => {
    const does = [
      ...(missing > 0 ? [`bring back ${counted(missing, 'file')}`] : []),
      ...(changed > 0 ? [`change back ${counted(changed, 'file')}`] : []),
      ...(extra > 0
        ? [`${exact ? 'remove' : 'leave'} ${counted(extra, 'file')} that the backup has not`]
        : []),
    ]
    if (does.length === 0) return []
    const copied = missing + changed === 0 ? '' : ` (copies ${bytes(size)})`
    const restore = `would ${enumeration(does, 'and')}${copied}`
    return [{ what: 'files', before: counted(before, 'file'), now: counted(now, 'file'), restore }]
  },
  kept: ({ preservedObjects, preservedBytes }) => ({ objects: preservedObjects, bytes: preservedBytes }),
  back: ({ objects }) => objects,
}
