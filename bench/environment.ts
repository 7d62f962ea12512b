import { createHash, randomBytes } from 'node:crypto'
import { MACHINE_ARN, REGION } from '../local/machine/arn.ts'
import { keyPrefix } from './data/keys.ts'

export const environment = 'bench'
export const buckets = {
  files: 'taskmaster-files',
  backups: 'taskmaster-backups',
  prefix: 'generated_stories/',
}
/** Of this process alone. */
export const apiToken = randomBytes(24).toString('base64url')

/** What the functions run in: the addresses that are given, and for everything else the same in each world. */
export function environmentOf(addresses: Record<string, string>): Record<string, string> {
  const sha256 = createHash('sha256').update(apiToken).digest('hex')
  return {
    PATH: process.env.PATH ?? '',
    ENVIRONMENT: environment,
    LOG_LEVEL: 'SILENT',
    FILES_BUCKET: buckets.files,
    FILES_PREFIX: buckets.prefix,
    BACKUP_BUCKET: buckets.backups,
    CACHE_PREFIX: keyPrefix,
    SIGNING_KEYS: JSON.stringify([{ id: 'bench', secret: randomBytes(32).toString('base64') }]),
    API_TOKENS: JSON.stringify([{ name: 'bench', sha256, scopes: ['read'] }]),
    STATE_MACHINE_ARN: MACHINE_ARN,
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: 'bench',
    AWS_SECRET_ACCESS_KEY: 'bench',
    // Above every scale: a run of this size is not to be refused, nor its rehearsal to be left out.
    REHEARSE_MAX_BYTES: String(2 ** 40),
    ...addresses,
  }
}
