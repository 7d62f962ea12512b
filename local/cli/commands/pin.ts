import { pinBackup, unpinBackup } from '../../../lib/backup/retention/pin.ts'
import { refuseForeign } from '../../../lib/backup/trust.ts'
import { named } from '../../../lib/http/request/backup-name.ts'
import type { Answer } from '../answer.ts'
import { type Arguments, WrongUsage } from '../arguments.ts'
import type { Connected } from '../connect.ts'
import { requester } from '../request.ts'

const change = { pin: pinBackup, unpin: unpinBackup }

/** Commands "pin" and "unpin": whether a backup may be deleted. */
export async function setPin(
  { clients }: Connected,
  command: 'pin' | 'unpin',
  name: string | undefined,
  flags: Arguments['flags'],
): Promise<Answer> {
  if (name === undefined)
    throw new WrongUsage(`${command} needs the id of a backup; "backups" lists them`, command)
  const backupId = await named(clients, name)
  await refuseForeign(clients, backupId, { allowForeign: flags['allow-foreign'] })
  await change[command](clients.backups, clients.config.BACKUP_PREFIX, {
    backupId,
    by: requester(),
    at: clients.now(),
  })
  const pinned = command === 'pin'
  const text = pinned ? 'is pinned: it is not deleted until it is unpinned' : 'is not pinned'
  return { document: { backupId, pinned }, text: `${backupId} ${text}.\n`, code: 0 }
}
