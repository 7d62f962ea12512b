import { bytes, counted } from '../../lib/amounts.ts'
import type { FilesOption } from '../../lib/files/schema/option.ts'
import { table } from '../cli/show/table.ts'

export function showFilesOption(files: FilesOption): string {
  const { bucket, prefix, objects, preservedObjects, preservedBytes, unmatched } = files
  return [
    table([[`s3://${bucket}/${prefix}`, counted(objects, 'file'), bytes(files.bytes)]]),
    preservedObjects === 0
      ? ''
      : `  of them kept: ${counted(preservedObjects, 'file')}, ${bytes(preservedBytes)}\n`,
    ...unmatched.map((prefix) => `  to be kept, but there is no file below it: ${prefix}\n`),
  ].join('')
}
