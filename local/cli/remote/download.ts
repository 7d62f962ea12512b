import { backupKeys } from '../../../lib/backup/layout.ts'
import { readBackup } from '../../../lib/backup/read.ts'
import { checkOwn, checkSigned } from '../../../lib/backup/trust.ts'
import { BackupDetails } from '../../../lib/http/answers/backup.ts'
import type { Answer } from '../answer.ts'
import type { Arguments } from '../arguments.ts'
import { bring, wantedOf } from '../commands/download.ts'
import { bucketOver } from './bucket.ts'
import { sessionOf } from './carry-out.ts'
import type { Api } from './client.ts'

/**
 * Command "download" over the API. Whose the backup is, and that it is signed, the API says, which has the keys; what is read
 * here is therefore of an unknown key, and the SQL that makes tables, which only a signature vouches for, is not written.
 */
export async function downloadOver(api: Api, args: Arguments): Promise<Answer> {
  const { name, ...wanted } = wantedOf(args)
  const { flags } = args
  const { environment, where } = await sessionOf(api)
  const details = await api.ask('GET', `/v1/backups/${encodeURIComponent(name)}`, BackupDetails)
  const { backupId, authentic } = details
  checkOwn(details, { ENVIRONMENT: environment }, { allowForeign: flags['allow-foreign'] })
  checkSigned({ backupId, authentic }, { allowUnsigned: flags['allow-unsigned'] })
  const [, bucket = '', prefix = ''] = /^s3:\/\/([^/]+)\/(.*)$/.exec(where.backups) ?? []
  const { root } = backupKeys(prefix, backupId)
  const documents = details.parts.filter(({ kind }) => kind === 'manifest').map(({ part }) => part)
  const objects = bucketOver(api, { bucket, root, backupId, documents })
  try {
    const backup = await readBackup(objects, prefix, backupId)
    return await bring({ bucket: objects, prefix, backup }, wanted)
  } finally {
    objects.s3.destroy()
  }
}
