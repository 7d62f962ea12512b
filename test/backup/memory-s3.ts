import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  NotFound,
  type S3Client,
} from '@aws-sdk/client-s3'
import type { Storage } from '../../lib/backup/storage.ts'
import type { Objects } from './real-backups.ts'

export const bucket = 'taskmaster-backups'

const metadata = (httpStatusCode: number) => ({ $metadata: { httpStatusCode }, message: 'in memory' })

/**
 * An S3 client that answers from the objects it is given, without a request: damage costs nothing, so thousands of
 * damaged backups can be read. It knows what reading a backup takes and throws at all else. The tests run a sample of
 * what they ask of it against the embedded S3 as well.
 */
export function memoryS3(objects: Objects = new Map()) {
  const memory = {
    objects,
    /** More of a key's answer, or what replaces it. */
    answers: new Map<string, (answer: GetObjectCommandOutput) => GetObjectCommandOutput>(),
    /** ETags that are not the MD5 of the bytes. */
    etags: new Map<string, string>(),
    seen: [] as string[],
    storage: { bucket, s3: { send } as unknown as S3Client } satisfies Storage,
  }
  return memory

  async function send(command: unknown): Promise<unknown> {
    if (command instanceof ListObjectsV2Command) return list(command.input)
    if (command instanceof GetObjectCommand) return get(command.input.Key ?? '')
    if (command instanceof HeadObjectCommand) {
      if (!memory.objects.has(command.input.Key ?? '')) throw new NotFound(metadata(404))
      return {}
    }
    throw new Error(`The S3 in memory does not know ${(command as object).constructor.name}.`)
  }

  function get(key: string): GetObjectCommandOutput {
    memory.seen.push(key)
    const body = memory.objects.get(key)
    if (body === undefined) throw new NoSuchKey(metadata(404))
    const stream = Object.assign(Readable.from([body], { objectMode: false }), {
      transformToString: async () => body.toString('utf8'),
    })
    const answer = {
      Body: stream,
      ETag: etagOf(key, body),
      $metadata: {},
    } as unknown as GetObjectCommandOutput
    return memory.answers.get(key)?.(answer) ?? answer
  }

  function list({ Prefix = '', Delimiter, StartAfter, ContinuationToken }: ListObjectsV2Command['input']) {
    const after = Buffer.from(ContinuationToken ?? StartAfter ?? '')
    const keys = [...memory.objects.keys()]
      .filter((key) => key.startsWith(Prefix) && Buffer.compare(Buffer.from(key), after) > 0)
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    const groups = new Set<string>()
    const Contents: { Key: string; Size: number; ETag: string; LastModified: Date }[] = []
    for (const key of keys.slice(0, 1000)) {
      const end = Delimiter === undefined ? -1 : key.indexOf(Delimiter, Prefix.length)
      const body = memory.objects.get(key) as Buffer
      if (end >= 0) groups.add(key.slice(0, end + 1))
      else Contents.push({ Key: key, Size: body.length, ETag: etagOf(key, body), LastModified: new Date(0) })
    }
    const more = keys.length > 1000 ? { IsTruncated: true, NextContinuationToken: keys[999] } : {}
    return { Contents, CommonPrefixes: [...groups].map((group) => ({ Prefix: group })), ...more }
  }

  function etagOf(key: string, body: Buffer): string {
    return memory.etags.get(key) ?? `"${createHash('md5').update(body).digest('hex')}"`
  }
}
