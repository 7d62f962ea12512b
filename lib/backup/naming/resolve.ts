import type { Clients } from '../../clients.ts'
import { AmbiguousBackup, UnknownBackup } from '../../errors.ts'
import { readLabels } from '../../ledger/labels/labels.ts'
import type { Connection } from '../../postgres/connection.ts'
import { listFolders } from '../../s3/list.ts'
import { checkBackupId, isBackupId } from '../backup-id.ts'
import { type HasTime, readInTime, timeToLook } from '../documents/in-time.ts'
import { type Backup, findBackup, isAboutOne, isSealed } from '../read.ts'

type Where = Pick<Clients, 'backups' | 'config' | 'now'>

/** Characters of an id that may stand for it. */
const prefixMin = 4

/** Of an id: the second in which its run began. */
const secondLength = '2026-11-22T19-05-33Z'.length

/** Backups that are looked at together. */
const concurrency = 16

/**
 * The id of the backup that a name means: its id, the beginning of one, a label, `latest` (the newest signed one of this
 * environment) or `latest-rehearsed` (the newest of those that was loaded and compared); neither is ever one that was uploaded. Whether a whole id is there, is
 * not looked at. A label goes before a folder that is called like it: into the bucket others may write.
 * @throws InvalidRequest when the text cannot be a name, UnknownBackup, AmbiguousBackup, StoreUnavailable, NotPermitted
 */
export async function resolveBackup(clients: Where, connection: Connection, name: string): Promise<string> {
  checkBackupId(name)
  if (isWholeId(name)) return name
  if (name === 'latest' || name === 'latest-rehearsed') return newest(clients, name)
  if (isLabelLike(name)) {
    const labels = await readLabels(connection)
    const labelled = labels.get(name)
    if (labelled !== undefined) return labelled
    return beginningWith(
      clients,
      name,
      labels.size === 0 ? '' : `; the labels are ${[...labels.keys()].join(', ')}`,
    )
  }
  return beginningWith(clients, name)
}

/** The id that a label means, and no other name. @throws UnknownBackup */
export async function resolveLabel(connection: Connection, label: string): Promise<string> {
  const labels = await readLabels(connection)
  const labelled = labels.get(label)
  if (labelled !== undefined) return labelled
  const there = labels.size === 0 ? 'there is none' : `there are ${[...labels.keys()].join(', ')}`
  throw new UnknownBackup(
    `No backup has the label ${label}: ${there}. Nothing was touched; give the label to a backup, or correct it`,
  )
}

/** As layout.ts makes them. */
function isWholeId(name: string): boolean {
  return /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ-[0-9a-f]{6}$/.test(name)
}

/** Ids that we make begin with a digit, so what begins with a letter is a label, and asks for less. */
export function isLabelLike(name: string): boolean {
  return /^[a-z]/.test(name) && name !== 'latest' && name !== 'latest-rehearsed'
}

async function newest(clients: Where, name: 'latest' | 'latest-rehearsed'): Promise<string> {
  const { backups: bucket, config } = clients
  const prefix = config.BACKUP_PREFIX
  const fits = (backup: Backup | null) =>
    backup?.environment === config.ENVIRONMENT &&
    backup.authentic === 'signed' &&
    backup.imported === undefined &&
    (name === 'latest' || backup.rehearsedAt !== null)
  const ids = (await listFolders(bucket, prefix)).filter(isBackupId).sort().reverse() // ids begin with their time
  const sealedAt = new Map<string, number>()
  const look = async (backupId: string, hasTime: HasTime) => {
    try {
      const backup = await findBackup(bucket, prefix, backupId, { hasTime })
      if (backup !== null) sealedAt.set(backupId, Date.parse(backup.sealedAt))
      return fits(backup)
    } catch (error) {
      if (isAboutOne(error)) return false // it must not hide the others
      throw error
    }
  }
  const [found] = await firstOf(clients, { name, ids, many: 1 }, look)
  if (found !== undefined) {
    // All attempts of a run begin with its second, and the last one has what was written since the others.
    const alike = ids.filter((id) => id.slice(0, secondLength) === found.slice(0, secondLength))
    const fitting = await firstOf(clients, { name, ids: alike, many: alike.length }, look)
    const timeOf = (id: string) => sealedAt.get(id) ?? 0
    return fitting.reduce((last, id) => (timeOf(id) > timeOf(last) ? id : last), found)
  }
  throw new UnknownBackup(
    `${name} means no backup: none below s3://${bucket.name}/${prefix} is signed, of the environment "${config.ENVIRONMENT}"${name === 'latest' ? '' : ', and was loaded and compared'}. Nothing was touched; take a backup`,
  )
}

/** Only sealed ones count: what has no manifest is no backup. */
async function beginningWith(clients: Where, name: string, also = ''): Promise<string> {
  const { backups: bucket, config } = clients
  const prefix = config.BACKUP_PREFIX
  if (await isSealed(bucket, prefix, name)) return name
  if (name.length < prefixMin) {
    throw new UnknownBackup(
      `There is no backup ${name}, and as the beginning of an id it is too short: say ${prefixMin} characters at least${also}. Nothing was touched; list the backups to see their ids and labels`,
    )
  }
  const ids = (await listFolders(bucket, prefix)).filter((id) => isBackupId(id) && id.startsWith(name)).sort()
  const found = await firstOf(clients, { name, ids, many: 2 }, (id) => isSealed(bucket, prefix, id))
  const [only, another] = found
  if (only === undefined) {
    throw new UnknownBackup(
      `There is no sealed backup below s3://${bucket.name}/${prefix} that ${name} could mean: no id begins so, and it is no label${also}. Nothing was touched; list the backups to see their ids and labels`,
    )
  }
  if (another === undefined) return only
  throw new AmbiguousBackup(
    `${name} could mean ${found.slice(0, 5).join(', ')}${ids.length > found.length ? ' or others' : ''}. Nothing was touched; say more of the id`,
  )
}

/** The first of these that fit, in their order; as many as that, or some more. @throws UnknownBackup when there is no time for all others */
async function firstOf(
  clients: Where,
  { name, ids, many }: { name: string; ids: readonly string[]; many: number },
  fits: (backupId: string, hasTime: HasTime) => Promise<boolean>,
): Promise<string[]> {
  const hasTime = timeToLook(clients)
  const found: string[] = []
  let looked = 0
  while (looked < ids.length && found.length < many) {
    const round = ids.slice(looked, looked + concurrency)
    const looks = hasTime() ? await readInTime(round, { hasTime, concurrency }, fits) : []
    found.push(...round.filter((_, at) => looks[at]))
    looked += looks.length
    if (looks.length < round.length && found.length < many)
      throw noTimeFor(clients, { name, looked, of: ids.length })
  }
  return found
}

function noTimeFor(
  { backups: bucket, config }: Where,
  { name, looked, of }: { name: string; looked: number; of: number },
): UnknownBackup {
  return new UnknownBackup(
    `There was no time to find what ${name} means: of ${of} folders below s3://${bucket.name}/${config.BACKUP_PREFIX} that it could, ${looked} were looked at. Nothing was touched; say the whole id, or a label, and see who puts folders there that are no backups`,
  )
}
