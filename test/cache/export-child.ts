// Run by memory.trust.test.ts as a process of its own, like a Lambda: exports the cache, and tells its peak.
import { exportCache } from '../../lib/cache/export/export.ts'
import { bucketsOf, makeS3 } from '../../lib/clients.ts'
import type { Config } from '../../lib/config/variables.ts'
import { BinaryRedis } from '../../lib/redis/binary-redis.ts'
import { fenceOf } from '../support/fences.ts'
import { peakMiB } from '../support/peak-memory.ts'
import { signing } from '../support/signing.ts'

const [runId = '', backupId = '', s3Url = '', url = '', token = ''] = process.argv.slice(2)
const config = {
  CACHE_PREFIX: '*',
  BACKUP_BUCKET: 'backups',
  BACKUP_PREFIX: '.taskmaster/backups/',
  SIGNING_KEYS: [...signing],
  AWS_ENDPOINT_URL_S3: s3Url,
} as Config
const clients = { ...bucketsOf(config, makeS3(config)), cache: new BinaryRedis(url, token), config }
const run = { runId, attempt: 1 }
const { keys } = await exportCache(clients, { run, backupId, fence: fenceOf(1) }, async () => {})
console.log(JSON.stringify({ keys, peakMiB: peakMiB() }))
