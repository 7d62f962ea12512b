import { bytes, counted, utc } from '../../../lib/amounts.ts'
import { listBackups } from '../../../lib/backup/list.ts'
import type { SealedBackup } from '../../../lib/backup/sealed-backup.ts'
import { namesFor } from '../../../lib/http/request/backup-name.ts'
import { heldBy, isWritten, storesIn } from '../../../lib/run/words/held.ts'
import { type Target, targets } from '../../../lib/store.ts'
import { words } from '../../../lib/stores/words.ts'
import type { Answer } from '../answer.ts'
import type { Connected } from '../connect.ts'
import { ageOf, list } from '../show/table.ts'

function proofOf({ rehearsedAt, lateAttempts, imported, ...held }: SealedBackup): string {
  const from = imported === undefined ? '' : `, imported from ${imported.from}`
  if (rehearsedAt === null) {
    return `sealed, ${isWritten(storesIn(heldBy(held))) ? 'read back' : 'copies found'}${from}`
  }
  return `rehearsed ${utc(rehearsedAt)}${lateAttempts > 0 ? ', later rows read back' : ''}${from}`
}

export const heading = [
  'backup',
  'environment',
  'strategy',
  ...targets,
  'size',
  'age',
  'proof',
  '',
  '',
  'label',
  'note',
]

/** A backup in the list: what it holds, how old it is, how it is proved, and what is to be known before it is loaded. */
export function backupLine(
  backup: SealedBackup,
  now: Date,
  names: { labels: string[] | null; note: string | null },
): string[] {
  const held = heldBy(backup)
  const amountOf = (target: Target) => {
    const value = held[target]
    return value === null ? '' : counted(value, words[target].unit)
  }
  return [
    backup.backupId,
    backup.environment,
    backup.strategy,
    ...targets.map(amountOf),
    bytes(backup.bytes),
    ageOf(now, backup.startedAt),
    proofOf(backup),
    backup.authentic === 'signed' ? '' : backup.authentic.toUpperCase(),
    backup.pinned ? 'pinned' : '',
    names.labels?.join(', ') ?? '',
    names.note ?? '',
  ]
}

/** Command "backups": the sealed backups. */
export async function showBackups({ clients }: Connected): Promise<Answer> {
  const { BACKUP_BUCKET: bucket, BACKUP_PREFIX: prefix } = clients.config
  const found = await listBackups(clients.backups, prefix)
  const names = await namesFor(
    clients,
    found.backups.map(({ backupId }) => backupId),
  )
  const now = clients.now()
  const broken = found.unreadable
    .map(({ backupId, reason }) => `${backupId}  UNREADABLE: ${reason}\n`)
    .join('')
  const text =
    list(
      heading,
      found.backups.map((backup) => backupLine(backup, now, names(backup.backupId))),
    ) + broken
  return {
    document: {
      ...found,
      backups: found.backups.map((backup) => ({ ...backup, ...names(backup.backupId) })),
    },
    text: text === '' ? `No backup below s3://${bucket}/${prefix}.\n` : text,
    code: 0,
  }
}
