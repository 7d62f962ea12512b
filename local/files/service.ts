import { hostOf } from '../address.ts'
import type { Started, Starting } from '../store.ts'
import { bucketEnvironment, signingEnvironment } from './environment.ts'
import { startS3 } from './s3.ts'
import type { FilesShape } from './store.ts'

/** An S3 with the buckets of the files and of the backups. */
export async function startFiles(
  plan: FilesShape['plan'],
  { environment, onEnd }: Starting,
): Promise<Started> {
  const buckets = bucketEnvironment(plan, environment)
  const env = { ...buckets, ...signingEnvironment(plan, environment) }
  if (!plan.embedded) {
    const description = plan.endpoint
      ? `S3 at ${hostOf(plan.endpoint)}`
      : `Amazon S3, bucket ${environment.FILES_BUCKET}`
    return {
      service: { name: 'files', embedded: false, description, real: [description], imitated: [] },
      env: { ...env, ...(plan.endpoint ? { AWS_ENDPOINT_URL_S3: plan.endpoint } : {}) },
    }
  }
  const s3 = await startS3([buckets.FILES_BUCKET, buckets.BACKUP_BUCKET])
  onEnd(s3.stop)
  const description = `fauxqs (S3, in memory only) on ${hostOf(s3.url)}`
  const imitated = ['Amazon S3 (fauxqs, in memory)']
  return {
    service: { name: 'files', embedded: true, description, real: [], imitated },
    env: { ...env, AWS_ENDPOINT_URL_S3: s3.url },
  }
}
