import type { Extent, Look } from '../store.ts'
import { countFiles } from './list.ts'
import { readFilesMark } from './mark.ts'
import type { FilesOption } from './schema/option.ts'

/** What of the files could be reset. @throws EnvironmentMismatch, StoreUnavailable, NotPermitted */
export const lookAtFiles: Look<FilesOption> = async (clients, { preserve, limits }) => {
  const { FILES_BUCKET: bucket, FILES_PREFIX: prefix, PRESERVE_FILES } = clients.config
  const signal = limits ? AbortSignal.timeout(limits.countMs) : undefined
  const mark = await readFilesMark(clients)
  const { complete, ...totals } = await countFiles(clients, {
    preserve: [...PRESERVE_FILES, ...preserve.files],
    ...(limits === null ? {} : { limit: limits.objects, signal }),
  })
  return { mark, found: { bucket, prefix, ...totals, approximate: !complete } }
}

/** All that is managed of the files, as a sentence says it. */
export const filesExtent: Extent = ({ FILES_BUCKET, FILES_PREFIX }) =>
  `the files below s3://${FILES_BUCKET}/${FILES_PREFIX}`
