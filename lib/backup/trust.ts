import type { Clients } from '../clients.ts'
import type { Config } from '../config/variables.ts'
import { BackupUnsigned, ForeignBackup } from '../errors.ts'
import { type Backup, findBackup, isAboutOne } from './read.ts'

/** What a request says that it means, though it looks like a mistake. */
export type Allowed = { allowForeign?: boolean | undefined; allowUnsigned?: boolean | undefined }

/**
 * Several environments may share a bucket; what one of them holds is not for the others.
 * @throws ForeignBackup for one of another environment, unless that is what was said
 */
export function checkOwn(
  { backupId, environment }: Pick<Backup, 'backupId' | 'environment'>,
  { ENVIRONMENT }: Pick<Config, 'ENVIRONMENT'>,
  { allowForeign }: Allowed,
): void {
  if (environment === ENVIRONMENT || allowForeign) return
  throw new ForeignBackup(
    `The backup ${backupId} is of the environment "${environment}", and this is "${ENVIRONMENT}". Nothing was touched; if that is what you want, say "allowForeign": true`,
  )
}

/**
 * Before rows of a backup come into a database: also into a scratch schema, where they meet its functions.
 * @throws BackupUnsigned for one that nobody known here signed, unless that is what was said
 */
export function checkSigned(
  { backupId, authentic, signature }: Pick<Backup, 'backupId' | 'authentic' | 'signature'>,
  { allowUnsigned }: Allowed,
): void {
  if (authentic === 'signed' || allowUnsigned) return
  const reason =
    authentic === 'unsigned'
      ? 'is not signed: it was made before backups were, or by somebody else'
      : `is signed with the key "${signature?.keyId}", which SIGNING_KEYS does not hold`
  throw new BackupUnsigned(
    `The backup ${backupId} ${reason}. Whoever can write to the bucket may have made or changed it. Nothing was touched; if you know where it comes from, say "allowUnsigned": true`,
  )
}

/** What is refused before a backup is verified; its rows meet the database only in a rehearsal. */
export function checkVerifiable(
  backup: Backup,
  config: Pick<Config, 'ENVIRONMENT'>,
  { rehearse, ...allowed }: Allowed & { rehearse: boolean },
): void {
  checkOwn(backup, config, allowed)
  if (rehearse && backup.database !== null) checkSigned(backup, allowed)
}

/**
 * As checkOwn, for what acts on a backup without reading it. One whose manifest cannot be understood is nobody's.
 * @throws ForeignBackup, StoreUnavailable
 */
export async function refuseForeign(
  { backups, config }: Pick<Clients, 'backups' | 'config'>,
  backupId: string,
  allowed: Allowed,
): Promise<void> {
  const backup = await findBackup(backups, config.BACKUP_PREFIX, backupId).catch((error: unknown) => {
    if (isAboutOne(error)) return null
    throw error
  })
  if (backup !== null) checkOwn(backup, config, allowed)
}
