import { ListObjectsV2Command, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { bytes, counted } from '../../lib/amounts.ts'
import { same } from '../demo/same.ts'
import type { Demonstration } from '../store.ts'
import type { FilesShape } from './store.ts'

type Objects = FilesShape['count']

export const objects: Demonstration<Objects> = {
  count: ({ env, s3 }) => countObjects(s3, env.FILES_BUCKET ?? '', env.FILES_PREFIX ?? ''),
  words: (count) => `${counted(count.objects, 'file')} (${bytes(count.bytes)})`,
  summary: ({ before, backup: { files }, outcome }) => [
    sized(before),
    sized(files ?? { objects: 0, bytes: 0 }),
    sized(outcome.targets.files),
    "the environment's mark",
  ],
  async proveWiped({ before, after, outcome, backup }, { env, s3 }) {
    const { objects, bytes } = outcome.targets.files
    same('files left', after.objects, 0)
    same('files wiped', { objects, bytes }, before)
    same(
      'copies of files in the backup',
      await countObjects(s3, backup.bucket, `${backup.prefix}files/`),
      before,
    )
    return `ListObjectsV2 below ${env.FILES_PREFIX}: ${counted(before.objects, 'file')} before, 0 after`
  },
  async use({ env, s3 }) {
    const Key = `${env.FILES_PREFIX}guest.md`
    await s3.send(new PutObjectCommand({ Bucket: env.FILES_BUCKET, Key, Body: '# A story of a guest' }))
    return '1 story'
  },
  proveRestored({ before, after }, { env }) {
    same('files', after, before)
    return `ListObjectsV2 below ${env.FILES_PREFIX}: ${sized(after)}, as in the beginning`
  },
}

export async function countObjects(s3: S3Client, Bucket: string, Prefix: string): Promise<Objects> {
  const total = { objects: 0, bytes: 0 }
  let ContinuationToken: string | undefined
  do {
    const page = await s3.send(new ListObjectsV2Command({ Bucket, Prefix, ContinuationToken }))
    for (const { Size = 0 } of page.Contents ?? []) {
      total.objects++
      total.bytes += Size
    }
    ContinuationToken = page.NextContinuationToken
  } while (ContinuationToken !== undefined)
  return total
}

function sized(objects: Objects): string {
  return `${counted(objects.objects, 'file')}, ${bytes(objects.bytes)}`
}
