import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import pMap from 'p-map'
import type { Reached } from '../store.ts'
import type { FilesShape } from './store.ts'

const sentences = [
  'The lanterns of Ashfall went out one by one.',
  'Nobody in Dunmere remembered who had built the bridge.',
  '"We leave at dawn," said Runa, and nobody asked where to.',
  'Far below, the sea kept its own calendar.',
  'Es war einmal – und ist noch immer – ein Turm ohne Tür.',
]

/** Writes `120 * scale` generated stories below FILES_PREFIX, four of them pinned. */
export async function fillFiles({ env }: Reached, scale: number): Promise<FilesShape['filled']> {
  const s3 = new S3Client({ forcePathStyle: env.AWS_ENDPOINT_URL_S3 !== undefined })
  try {
    return await putStories(s3, { bucket: env.FILES_BUCKET ?? '', prefix: env.FILES_PREFIX ?? '' }, scale)
  } finally {
    s3.destroy()
  }
}

async function putStories(
  s3: S3Client,
  { bucket, prefix }: { bucket: string; prefix: string },
  scale: number,
): Promise<FilesShape['filled']> {
  const keys = Array.from({ length: Math.max(1, Math.round(120 * scale)) }, (_, number) => number)
  const sizes = await pMap(
    keys,
    async (number) => {
      const body = Buffer.from(story(number))
      const name = `session-${(number + 1) * 2}.md`
      const key = prefix + (number % 30 === 29 ? `pinned/${name}` : name)
      await s3.send(
        new PutObjectCommand({
          Bucket: bucket,
          Key: key,
          Body: body,
          ContentType: 'text/markdown; charset=utf-8',
        }),
      )
      return body.length
    },
    { concurrency: 32 },
  )
  return { objects: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) }
}

function story(number: number): string {
  const paragraphs = Array.from({ length: 3 + (number % 20) }, (_, paragraph) =>
    sentences.map((_, at) => sentences[(number * 7 + paragraph * 3 + at) % sentences.length]).join(' '),
  )
  return `# Story ${(number + 1) * 2}\n\n${paragraphs.join('\n\n')}\n`
}
