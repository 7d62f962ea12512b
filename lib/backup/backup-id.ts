import { InvalidRequest } from '../errors.ts'

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
