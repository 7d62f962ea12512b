import type { backupKeys } from '../backup/layout.ts'
import type { CopiedFile } from '../backup/manifest.ts'
import type { Storage } from '../s3/bucket.ts'
import { type ListedObject, listRange } from '../s3/list.ts'
import { type Piece, rangeBelow } from './pieces.ts'

/** What is wrong with the copies of a piece: one that is not what was copied, or how many are not there. */
export type Difference =
  | { is: 'other'; file: CopiedFile; found: ListedObject }
  | { is: 'missing'; count: number; first: string }

/**
 * Lays the copies of a piece beside a listing of where they are, one request per 1,000, and gives the first difference in
 * key, size or ETag. What else lies there is no matter: a try before may have left it.
 */
export async function compareCopies(
  backup: Storage,
  {
    keys,
    range,
    copies,
  }: { keys: ReturnType<typeof backupKeys>; range: Piece['range']; copies: readonly CopiedFile[] },
): Promise<Difference | undefined> {
  const missing = new Map(copies.map((file) => [keys.file(file.key, file.copy), file]))
  const numbers = new Set([1, ...copies.map(({ copy = 1 }) => copy)])
  for (const number of numbers) {
    for await (const page of listRange(backup, rangeBelow(keys.file('', number), range))) {
      for (const found of page) {
        const file = missing.get(found.key)
        if (file === undefined) continue
        if (file.size !== found.size || file.copyEtag !== found.etag) return { is: 'other', file, found }
        missing.delete(found.key)
      }
    }
  }
  const [first] = missing.keys()
  return first === undefined ? undefined : { is: 'missing', count: missing.size, first }
}
