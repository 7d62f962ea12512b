import { ListObjectsV2Command } from '@aws-sdk/client-s3'
import { InvalidRequest } from '../errors.ts'
import { type Storage, storageError } from './storage.ts'

/** The names of the folders right below `prefix`, sealed or not, as S3 lists them. */
export async function listFolders(storage: Storage, prefix: string): Promise<string[]> {
  const folders: string[] = []
  let token: string | undefined
  do {
    const page = new ListObjectsV2Command({
      Bucket: storage.bucket,
      Prefix: prefix,
      Delimiter: '/',
      ContinuationToken: token,
    })
    const answer = await storage.s3.send(page).catch((cause: unknown) => {
      throw storageError(storage, 'list', prefix, cause)
    })
    for (const { Prefix } of answer.CommonPrefixes ?? []) {
      if (Prefix !== undefined) folders.push(Prefix.slice(prefix.length, -1))
    }
    token = answer.NextContinuationToken
  } while (token !== undefined)
  return folders
}

/** Whether a text can be the name of a backup: it becomes part of keys, so nothing may lead out of its folder. */
export function isBackupId(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(text) && !text.includes('..')
}

/** @throws InvalidRequest when the text cannot be the name of a backup */
export function checkBackupId(backupId: string): void {
  if (isBackupId(backupId)) return
  throw new InvalidRequest(
    `${JSON.stringify(backupId).slice(0, 120)} is not the id of a backup. An id looks like 2026-11-22T19-05-33Z-3f9a2c; list the backups to see theirs`,
  )
}
