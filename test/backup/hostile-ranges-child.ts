import { S3Client } from '@aws-sdk/client-s3'
import { peakMiB } from '../support/peak-memory.ts'
import { verifyBackup } from './verify-whole.ts'

/** Verifies a backup, and tells what was found and how much memory that took, in MiB. */
const [endpoint = '', backupId = ''] = process.argv.slice(2)
const s3 = new S3Client({
  endpoint,
  region: 'eu-central-1',
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  forcePathStyle: true,
})
const { ok, problems } = await verifyBackup({ s3, name: 'backups' }, '.taskmaster/backups/', backupId)
s3.destroy()
process.stdout.write(
  JSON.stringify({ ok, problems: problems.length, first: problems[0]?.detail, megabytes: peakMiB() }),
)
