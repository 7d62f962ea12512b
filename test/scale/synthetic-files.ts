import { signWork } from '../../lib/backup/documents/signed-work.ts'
import { jsonOf } from '../../lib/backup/documents/write.ts'
import { backupKeys, workKeys } from '../../lib/backup/layout.ts'
import { pieceLimits } from '../../lib/files/work-lists.ts'
import type { Bucket } from '../../lib/s3/bucket.ts'
import type { Fault, S3Answer } from '../files/s3-front.ts'

const perPage = 1_000
const size = 3_000
const digits = (at: number) => String(at).padStart(9, '0')
const keyOf = (at: number) => `story-${digits(at)}.txt`
const etagOf = (at: number) => `"${'0'.repeat(23)}${digits(at)}"`

/** How so many files are cut, as listFiles says it. */
export function cutOf(objects: number) {
  const lists = Math.ceil(objects / pieceLimits.objects)
  const listsPerBatch = Math.max(1, Math.ceil(lists / pieceLimits.batches))
  const batches = Math.ceil(lists / listsPerBatch)
  const kept = { preservedObjects: 0, preservedBytes: 0 }
  return { objects, bytes: objects * size, ...kept, lists, listsPerBatch, batches }
}

/** Answers listings below a prefix as a bucket does that holds so many files there. */
export function listingOf(objects: number, prefix: string): Fault {
  return ({ query }) => {
    if (!query.has('list-type') || query.get('prefix') !== prefix) return undefined
    const after = /story-(\d+)/.exec(query.get('start-after') ?? '')?.[1]
    const from = Number(query.get('continuation-token') ?? (after === undefined ? 0 : Number(after) + 1))
    const to = Math.min(from + perPage, objects)
    const contents = Array.from({ length: Math.max(0, to - from) }, (_, index) => {
      const at = from + index
      return `<Contents><Key>${prefix}${keyOf(at)}</Key><LastModified>2026-11-22T00:00:00.000Z</LastModified><ETag>${etagOf(at)}</ETag><Size>${size}</Size><StorageClass>STANDARD</StorageClass></Contents>`
    })
    const more = to < objects ? `<NextContinuationToken>${to}</NextContinuationToken>` : ''
    const body = `<?xml version="1.0"?><ListBucketResult><EncodingType>url</EncodingType><IsTruncated>${to < objects}</IsTruncated>${more}${contents.join('')}</ListBucketResult>`
    return { status: 200, headers: { 'content-type': 'application/xml' }, body }
  }
}

/** Takes the work lists of a listing and keeps none: ten million files are two gigabytes of them. */
export const dropLists: Fault = ({ method, key }) =>
  method === 'PUT' && /^\.taskmaster\/runs\/.*\/lists-.*\/files\/\d+\.jsonl$/.test(key)
    ? { status: 200, headers: { etag: '"dropped"' }, body: '' }
    : undefined

/** What the copying steps of a run leave when they have copied so many files, made when it is asked for. */
export function copiedBy(
  bucket: Bucket,
  run: { runId: string; attempt: number; tried: string },
  objects: number,
): Fault {
  const keys = workKeys(run)
  const { lists, listsPerBatch, batches } = cutOf(objects)
  const filesIn = (list: number, lists = 1) =>
    Math.min(lists * pieceLimits.objects, objects - list * pieceLimits.objects)
  const texts = new Map<string, () => string>()
  for (let batch = 0; batch < batches; batch++) {
    const copied = filesIn(batch * listsPerBatch, listsPerBatch)
    const result = { batch, objects: copied, bytes: copied * size, vanished: 0, changed: 0, warnings: [] }
    texts.set(keys.filesResult(batch), () => jsonOf(result))
  }
  const linesOf = (list: number, line: (at: number) => object) =>
    Array.from({ length: filesIn(list) }, (_, index) => jsonOf(line(list * pieceLimits.objects + index)))
  for (let list = 0; list < lists; list++) {
    texts.set(keys.filesList(list), () =>
      linesOf(list, (at) => ({
        ...{ key: keyOf(at), size, etag: etagOf(at), modified: '2026-11-22T00:00:00.000Z' },
      })).join(''),
    )
    texts.set(keys.filesCopied(list), () =>
      linesOf(list, (at) => ({ key: keyOf(at), size, etag: etagOf(at), copyEtag: etagOf(at) })).join(''),
    )
  }
  return ({ method, key }): S3Answer | undefined => {
    const text = method === 'GET' ? texts.get(key)?.() : undefined
    if (text === undefined) return undefined
    const headers = { 'content-type': 'application/json', etag: '"made"' }
    return {
      status: 200,
      headers: { ...headers, 'x-amz-meta-signature': signWork(bucket, key, text).signature },
      body: text,
    }
  }
}

/** Where the copies of a backup lie. */
export const copiesOf = (prefix: string, backupId: string) => backupKeys(prefix, backupId).file('')
