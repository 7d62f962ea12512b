import type { Fence } from '../../ledger/fence.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { deleteObjects, type Version } from '../../s3/delete.ts'
import { type KeyRange, type ListedObject, listRange } from '../../s3/list.ts'
import type { RestoreTally } from './results.ts'

type ExtraSelection = {
  range: KeyRange
  isExtra: (key: string) => boolean
  /** Asked in the order of the keys. */
  mayGo: (version: Version) => Promise<boolean>
}

/**
 * Deletes the extra objects of a range that may go, each in the version that was listed, and tallies all of them. What is
 * gone is read from a listing made afterwards, not from S3's answers. Memory: a page of 1,000 objects.
 * @throws StoreUnavailable or NotPermitted when a whole request fails; RunLost, OutOfTime as the fence does
 */
export async function deleteExtras(
  files: Bucket,
  { range, isExtra, mayGo }: ExtraSelection,
  { tally, fence }: { tally: RestoreTally; fence: Fence },
): Promise<void> {
  let after = range.after
  for await (const page of listRange(files, range)) {
    const extras = page.filter(({ key }) => isExtra(key))
    const doomed: ListedObject[] = []
    for (const object of extras) {
      if (await mayGo(object)) doomed.push(object)
      else tally.leftAlone(object.key)
    }
    tally.result.extra += extras.length - doomed.length
    const through = page.at(-1)?.key
    if (doomed.length > 0)
      await deleteVersions(files, { prefix: range.prefix, after, through }, doomed, { tally, fence })
    after = through ?? after
  }
}

async function deleteVersions(
  files: Bucket,
  stretch: KeyRange,
  versions: readonly Version[],
  { tally, fence }: { tally: RestoreTally; fence: Fence },
): Promise<void> {
  const refused = await deleteObjects(files, versions, fence)
  const doomed = new Set(versions.map(({ key }) => key))
  const present = new Map<string, string>()
  for await (const page of listRange(files, stretch)) {
    for (const { key, etag } of page) if (doomed.has(key)) present.set(key, etag)
  }
  tally.result.deleted += versions.length - present.size
  tally.result.extra += present.size
  for (const { key, etag } of versions) {
    const now = present.get(key)
    if (now === etag) tally.failed(key, refused.get(key) ?? 'NotDeleted')
    else if (now !== undefined) tally.leftAlone(key)
  }
}
