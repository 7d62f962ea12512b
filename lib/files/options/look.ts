import type { Look } from '../../store.ts'
import { countFiles } from '../list.ts'
import { readFilesMark } from '../mark.ts'
import type { FilesOption } from './schema.ts'

/** What of the files could be reset. @throws EnvironmentMismatch, StoreUnavailable, NotPermitted */
export const lookAtFiles: Look<FilesOption> = async (clients, { preserve, limits }) => {
  const { FILES_BUCKET: bucket, FILES_PREFIX: prefix, PRESERVE_FILES } = clients.config
  const signal = limits ? AbortSignal.timeout(limits.countMs) : undefined
  const mark = await readFilesMark(clients)
  const { complete, ...totals } = await countFiles(clients, {
    preserve: [...PRESERVE_FILES, ...preserve.files],
    ...(limits === null ? {} : { limit: limits.objects, signal }),
  })
  return { mark, bucket, prefix, ...totals, approximate: !complete }
}
