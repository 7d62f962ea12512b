import { bytes, counted } from '../amounts.ts'
import type { Manifest } from '../backup/manifest.ts'
import type { Words } from '../store/words.ts'
import type { FilesOption } from './schema/option.ts'
import type { FilesBack, FilesWould } from './schema/plan-answer.ts'

export type FilesTold = {
  amount: { objects: number; bytes: number }
  found: FilesOption
  held: NonNullable<Manifest['files']>
  would: FilesWould
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
  kept: ({ preservedObjects, preservedBytes }) => ({ objects: preservedObjects, bytes: preservedBytes }),
  back: ({ objects }) => objects,
}
