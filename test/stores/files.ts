import {
  DeleteObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { handler as copy } from '../../functions/copy.ts'
import { handler as putback } from '../../functions/putback.ts'
import { handler as wipe } from '../../functions/wipe.ts'
import { filesKeys } from '../../lib/backup/layout.ts'
import type { FreshStack } from '../support/stack.ts'
import type { Conforming, Started } from './conform.ts'

const prefix = 'generated_stories/'
const later = `${prefix}later.txt`

/** Objects with their properties, of which some lie below a preserved prefix, and one outside of FILES_PREFIX. */
export function filesOf(stack: () => FreshStack): Conforming<'files'> {
  const target = 'files'
  const Bucket = 'taskmaster-files'
  const put = (Key: string, Body: string) =>
    stack().s3.send(
      new PutObjectCommand({ Bucket, Key, Body, ContentType: 'text/x-story', Metadata: { by: Body } }),
    )
  const remove = (Key: string) => stack().s3.send(new DeleteObjectCommand({ Bucket, Key }))

  async function objects(isWanted: (key: string) => boolean): Promise<Map<string, string>> {
    const { Contents = [] } = await stack().s3.send(new ListObjectsV2Command({ Bucket }))
    const wanted = Contents.map(({ Key = '', ETag = '' }): [string, string] => [Key, ETag]).filter(
      ([key]) => !key.startsWith(filesKeys.own) && isWanted(key),
    )
    return new Map(wanted)
  }

  const isManaged = (key: string) => key.startsWith(prefix)

  const batchesOf = (
    { runId, attempt, batches }: Started,
    handler: typeof wipe,
    of: 'files' | 'restoreFiles',
  ) => batches[of].map((batch) => ({ handler, input: { runId, attempt, target, batch } }))
  return {
    name: target,
    async fill() {
      for (const key of (await objects(() => true)).keys()) await remove(key)
      for (const path of ['one.txt', 'deep/two words.txt', 'pinned/three.txt'])
        await put(`${prefix}${path}`, `Of ${path}`)
      await put('other/not-ours.txt', 'outside of the prefix')
    },
    async empty() {
      for (const key of (await objects(isManaged)).keys()) await remove(key)
    },
    async add() {
      await put(later, 'later')
      return later
    },
    things: () => objects(isManaged),
    async besides() {
      const properties: [string, unknown, unknown][] = []
      for (const Key of (await objects((key) => isManaged(key) && key !== later)).keys()) {
        const { ContentType, Metadata } = await stack().s3.send(new HeadObjectCommand({ Bucket, Key }))
        properties.push([Key, ContentType, Metadata])
      }
      return properties
    },
    outside: () => objects((key) => !isManaged(key)),
    preserve: { tables: [], files: ['pinned/'], keys: [] },
    isPreserved: (name) => name.startsWith(`${prefix}pinned/`),
    async remark(name) {
      const Body = JSON.stringify({ environment: name, claimedAt: new Date(0).toISOString() })
      if (name === null) await remove(filesKeys.mark)
      else await stack().s3.send(new PutObjectCommand({ Bucket, Key: filesKeys.mark, Body }))
    },
    keepsLater: true,
    found: ({ objects, preservedObjects }) => ({ all: objects, preserved: preservedObjects }),
    counted: ({ objects }) => objects,
    steps: {
      backUp: ({ runId, attempt, batches }) =>
        batches.files.map((batch) => ({ handler: copy, input: { runId, attempt, batch } })),
      wipe: (run) => batchesOf(run, wipe, 'files'),
      restore: (run) => batchesOf(run, putback, 'restoreFiles'),
    },
  }
}
