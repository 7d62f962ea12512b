import { randomBytes } from 'node:crypto'
import { REGION } from '../machine/arn.ts'
import type { FilesShape } from './store.ts'

/** Buckets, Region and credentials: what is given wins, the embedded S3 is content with any. */
export function bucketEnvironment(plan: FilesShape['plan'], given: NodeJS.ProcessEnv) {
  const own = given.AWS_ACCESS_KEY_ID && given.AWS_SECRET_ACCESS_KEY
  return {
    FILES_BUCKET: given.FILES_BUCKET || 'taskmaster-files',
    FILES_PREFIX: given.FILES_PREFIX || 'generated_stories/',
    BACKUP_BUCKET: given.BACKUP_BUCKET || 'taskmaster-backups',
    ...(plan.embedded || plan.endpoint ? { AWS_REGION: given.AWS_REGION || REGION } : {}),
    // The SDK would prefer a profile, and fail on one whose login has run out, for services that look at no credentials.
    ...(plan.embedded && given.AWS_PROFILE ? { AWS_PROFILE: '' } : {}),
    ...(plan.embedded && !own ? { AWS_ACCESS_KEY_ID: 'embedded', AWS_SECRET_ACCESS_KEY: 'embedded' } : {}),
  }
}

/** Backups in an embedded bucket go with it, and so may the key that signs them; for a bucket that stays, it is given. */
export function signingEnvironment(
  plan: FilesShape['plan'],
  given: NodeJS.ProcessEnv,
): Record<string, string> {
  if (given.SIGNING_KEYS) return { SIGNING_KEYS: given.SIGNING_KEYS }
  if (!plan.embedded) return {}
  const secret = randomBytes(32).toString('base64')
  return { SIGNING_KEYS: JSON.stringify([{ id: 'embedded', secret }]) }
}
