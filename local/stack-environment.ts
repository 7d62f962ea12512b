import { randomBytes } from 'node:crypto'
import { REGION } from './machine/arn.ts'
import type { StackPlan } from './stack-plan.ts'

const FILES_BUCKET = 'taskmaster-files'
const BACKUP_BUCKET = 'taskmaster-backups'

/** Buckets, Region and credentials: what is given wins, the embedded S3 is content with any. */
export function filesEnvironment(plan: StackPlan['files'], given: NodeJS.ProcessEnv): Record<string, string> {
  const own = given.AWS_ACCESS_KEY_ID && given.AWS_SECRET_ACCESS_KEY
  return {
    FILES_BUCKET: given.FILES_BUCKET || FILES_BUCKET,
    FILES_PREFIX: given.FILES_PREFIX || 'generated_stories/',
    BACKUP_BUCKET: given.BACKUP_BUCKET || BACKUP_BUCKET,
    ...(plan.embedded || plan.endpoint ? { AWS_REGION: given.AWS_REGION || REGION } : {}),
    // The SDK would prefer a profile, and fail on one whose login has run out, for services that look at no credentials.
    ...(plan.embedded && given.AWS_PROFILE ? { AWS_PROFILE: '' } : {}),
    ...(plan.embedded && !own ? { AWS_ACCESS_KEY_ID: 'embedded', AWS_SECRET_ACCESS_KEY: 'embedded' } : {}),
  }
}

/** Backups in an embedded bucket go with it, and so may the key that signs them; for a bucket that stays, it is given. */
export function signingEnvironment(
  plan: StackPlan['files'],
  given: NodeJS.ProcessEnv,
): Record<string, string> {
  if (given.SIGNING_KEYS) return { SIGNING_KEYS: given.SIGNING_KEYS }
  if (!plan.embedded) return {}
  const secret = randomBytes(32).toString('base64')
  return { SIGNING_KEYS: JSON.stringify([{ id: 'embedded', secret }]) }
}

/** Puts the values into process.env, where the handlers look, and returns what puts back the ones that were there. */
export function borrowEnvironment(values: Record<string, string>): () => void {
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const)
  Object.assign(process.env, values)
  return () => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
}
