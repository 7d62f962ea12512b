import { RehearsalFailed, SchemaChanged } from '../errors.ts'

/** `wroteBy`: the version of the server that wrote a backup; null: it is exported from the very server that is to take it. */
type Versions = { wroteBy: string | null; server: string }

/** The major version of a server, as `18` of `18.4`: within one, values are written and read in the same way. */
export function majorOf(serverVersion: string): string {
  return /^\d*/.exec(serverVersion)?.[0] ?? ''
}

/** What is thrown of a backup's rows, with both versions where a server of another major version wrote them. */
export function acrossVersions(error: unknown, versions: Versions): unknown {
  const told = otherVersion(versions)
  if (told === '') return error
  if (error instanceof RehearsalFailed)
    return new RehearsalFailed(`${error.message}${told}`, { cause: error })
  if (error instanceof SchemaChanged) return new SchemaChanged(`${error.message}${told}`, { cause: error })
  return error
}

/** To be said behind a sentence of rows that are others; empty within one major version. */
export function otherVersion({ wroteBy, server }: Versions): string {
  if (wroteBy === null || majorOf(wroteBy) === majorOf(server)) return ''
  return `. PostgreSQL ${wroteBy} wrote the backup, and this is ${server}, which may read or write values otherwise: then it comes back on a server of the version that wrote it`
}
