import { S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeEach } from 'vitest'
import { startS3 } from '../../local/files/s3.ts'
import { startFront } from '../files/s3-front.ts'

/** A bucket in an S3 of its own, for the tests of one file: behind a front that puts in faults, with a client that tries once. */
export async function startFrontedBucket() {
  const s3 = await startS3(['backups'])
  const front = await startFront(s3.url)
  const client = new S3Client({
    endpoint: front.url,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    forcePathStyle: true,
    maxAttempts: 1,
  })
  beforeEach(() => {
    front.faults = []
    front.conditions = true
  })
  afterAll(async () => {
    client.destroy()
    await front.stop()
    await s3.stop()
  })
  return { front, bucket: { s3: client, name: 'backups' } }
}
