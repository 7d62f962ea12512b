import type { Look } from '../store.ts'
import { countFiles } from './list.ts'
import { readFilesMark } from './mark.ts'

export type FilesOption = {
  bucket: string
  prefix: string
  objects: number
  bytes: number
  preservedObjects: number
  preservedBytes: number
  /** Preserved prefixes below which nothing lies. */
  unmatched: string[]
  /** There are at least so many: listing them ended early. */
  approximate: boolean
}

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
