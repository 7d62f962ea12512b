import type { BackupKeys } from '../../backup/layout.ts'
import type { CopiedFile } from '../../backup/sections/files.ts'
import type { ResetError } from '../../errors.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { type ListedObject, listRange } from '../../s3/list.ts'
import { type Piece, rangeBelow } from '../pieces.ts'

/** The copies of a piece, as they are noted. */
type CopiesToCheck = {
  keys: BackupKeys
  range: Piece<CopiedFile>['range']
  copies: readonly CopiedFile[]
}

/** What is thrown of copies that are not as noted, in the words of who asks. */
export type CopiesRefusal = {
  Refusal: new (message: string) => ResetError
  /** What the object at the copy's place should have been. */
  expected: (copy: CopiedFile) => string
  /** How many copies are missing, of how many. */
  missing: (count: number, of: number) => string
  /** What to do about either. */
  advice: { other: string; missing: string }
}

/**
 * Lays the copies of a piece beside a listing of where they are, one request per 1,000. What else lies there is no matter:
 * a try before may have left it.
 * @throws `Refusal` for the first difference in key, size or ETag
 */
export async function checkCopies(
  backup: Bucket,
  asked: CopiesToCheck,
  { Refusal, expected, missing, advice }: CopiesRefusal,
): Promise<void> {
  const difference = await compare(backup, asked)
  if (difference === undefined) return
  if (difference.is === 'missing') {
    const { count, first } = difference
    throw new Refusal(
      `${missing(count, asked.copies.length)}, for example s3://${backup.name}/${first}. ${advice.missing}`,
    )
  }
  const { copy, found } = difference
  throw new Refusal(
    `s3://${backup.name}/${found.key} has ${found.size} bytes and ETag ${found.etag}, but ${expected(copy)}. ${advice.other}`,
  )
}

type Difference =
  | { is: 'other'; copy: CopiedFile; found: ListedObject }
  | { is: 'missing'; count: number; first: string }

async function compare(
  backup: Bucket,
  { keys, range, copies }: CopiesToCheck,
): Promise<Difference | undefined> {
  const missing = new Map(copies.map((copy) => [keys.file(copy.key, copy.copy), copy]))
  const numbers = new Set([1, ...copies.map(({ copy = 1 }) => copy)])
  for (const number of numbers) {
    for await (const page of listRange(backup, rangeBelow(keys.file('', number), range))) {
      for (const found of page) {
        const copy = missing.get(found.key)
        if (copy === undefined) continue
        if (copy.size !== found.size || copy.copyEtag !== found.etag) return { is: 'other', copy, found }
        missing.delete(found.key)
      }
    }
  }
  const [first] = missing.keys()
  return first === undefined ? undefined : { is: 'missing', count: missing.size, first }
}
