import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  NotFound,
  PutObjectCommand,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import type { Bucket } from '../../lib/s3/bucket.ts'
import { compareKeys } from '../../lib/s3/key-order.ts'
import { signing } from '../support/signing.ts'
import type { Objects } from './real-backups.ts'

const bucket = 'taskmaster-backups'

const metadata = (httpStatusCode: number) => ({ $metadata: { httpStatusCode }, message: 'in memory' })

/**
 * An S3 client that answers from the objects it is given, without a request: damage costs nothing, so thousands of
 * damaged backups can be read. It knows what reading and pruning a backup takes and throws at all else. The tests run a
 * sample of what they ask of it against the embedded S3 as well.
 */
export function memoryS3(objects: Objects = new Map()) {
  const memory = {
    objects,
    /** More of a key's answer, or what replaces it. */
    answers: new Map<string, (answer: GetObjectCommandOutput) => GetObjectCommandOutput>(),
    /** ETags that are not the MD5 of the bytes. */
    etags: new Map<string, string>(),
    seen: [] as string[],
    metadata: new Map<string, Record<string, string> | undefined>(),
    storage: { name: bucket, signing, s3: { send } as unknown as S3Client } satisfies Bucket,
  }
  return memory

  async function send(command: unknown): Promise<unknown> {
    if (command instanceof ListObjectsV2Command) return list(command.input)
    if (command instanceof GetObjectCommand) return get(command.input.Key ?? '', command.input.Range)
    if (command instanceof HeadObjectCommand) {
      if (!memory.objects.has(command.input.Key ?? '')) throw new NotFound(metadata(404))
      return {}
    }
    if (command instanceof PutObjectCommand) return put(command.input)
    if (command instanceof DeleteObjectCommand) return remove(command.input.Key ?? '', command.input.IfMatch)
    if (command instanceof DeleteObjectsCommand) return removeAll(command.input.Delete?.Objects ?? [])
    throw new Error(`The S3 in memory does not know ${(command as object).constructor.name}.`)
  }

  function put({ Key = '', Body, IfNoneMatch, Metadata }: PutObjectCommand['input']) {
    if (IfNoneMatch === '*' && memory.objects.has(Key)) throw refusal('PreconditionFailed')
    memory.objects.set(Key, Buffer.from(Body as string))
    memory.metadata.set(Key, Metadata)
    return {}
  }

  function remove(key: string, etag?: string) {
    const body = memory.objects.get(key)
    if (body !== undefined && etag !== undefined && etagOf(key, body) !== etag)
      throw refusal('PreconditionFailed')
    memory.objects.delete(key)
    return {}
  }

  /** As S3 does it: success, with an error in it for each key that was not deleted. */
  function removeAll(versions: readonly { Key?: string | undefined; ETag?: string | undefined }[]) {
    if (versions.length > 1_000) throw refusal('MalformedXML')
    const Errors = versions.flatMap(({ Key = '', ETag }) => {
      try {
        remove(Key, ETag)
        return []
      } catch {
        return [{ Key, Code: 'PreconditionFailed' }]
      }
    })
    return { Errors }
  }

  function get(key: string, range?: string): GetObjectCommandOutput {
    memory.seen.push(key)
    const whole = memory.objects.get(key)
    if (whole === undefined) throw new NoSuchKey(metadata(404))
    const [from = 0, to = whole.length - 1] = range?.match(/\d+/g)?.map(Number) ?? []
    if (range !== undefined && from >= whole.length) throw refusal('InvalidRange', 416)
    const body = whole.subarray(from, to + 1)
    const stream = Object.assign(Readable.from([body], { objectMode: false }), {
      transformToString: async () => body.toString('utf8'),
    })
    const answer = {
      Body: stream,
      ETag: etagOf(key, whole),
      ContentLength: body.length,
      Metadata: memory.metadata.get(key),
      $metadata: {},
    } as unknown as GetObjectCommandOutput
    return memory.answers.get(key)?.(answer) ?? answer
  }

  function list({ Prefix = '', Delimiter, StartAfter, ContinuationToken }: ListObjectsV2Command['input']) {
    const after = ContinuationToken ?? StartAfter ?? ''
    const groupOf = (key: string) => {
      const end = Delimiter === undefined ? -1 : key.indexOf(Delimiter, Prefix.length)
      return end < 0 ? null : key.slice(0, end + 1)
    }
    const keys = [...memory.objects.keys()]
      .filter((key) => key.startsWith(Prefix) && compareKeys(groupOf(key) ?? key, after) > 0)
      .sort(compareKeys)
    const items = [...new Set(keys.map((key) => groupOf(key) ?? key))]
    const page = items.slice(0, 1_000)
    const Contents = page.flatMap((Key) => {
      const body = memory.objects.get(Key)
      const ETag = body && etagOf(Key, body)
      return body ? [{ Key, Size: body.length, ETag, LastModified: new Date(0) }] : []
    })
    const CommonPrefixes = page.filter((item) => groupOf(item) !== null).map((group) => ({ Prefix: group }))
    const more =
      items.length > 1_000
        ? { IsTruncated: true, NextContinuationToken: page.at(-1) }
        : { IsTruncated: false }
    return { Contents: Contents.filter(({ Key }) => groupOf(Key) === null), CommonPrefixes, ...more }
  }

  function etagOf(key: string, body: Buffer): string {
    return memory.etags.get(key) ?? `"${createHash('md5').update(body).digest('hex')}"`
  }
}

function refusal(name: string, httpStatusCode = 412): S3ServiceException {
  return new S3ServiceException({ name, $fault: 'client', message: name, $metadata: { httpStatusCode } })
}
