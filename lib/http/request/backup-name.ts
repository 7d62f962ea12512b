import * as z from 'zod'
import { type Names, namesOf } from '../../backup/naming/names.ts'
import { resolveBackup } from '../../backup/naming/resolve.ts'
import { type Backup, readBackup } from '../../backup/read.ts'
import { reasonsToKeep } from '../../backup/retention/kept.ts'
import type { Clients } from '../../clients.ts'
import { messageOf } from '../../errors.ts'
import { readLateNoted } from '../../ledger/documents.ts'
import { logger } from '../../log.ts'
import { withConnection } from '../../postgres/with-connection.ts'

export const backupParams = z.object({
  backupId: z.string().min(1).max(100).meta({
    description: 'Its id, the beginning of it, its label, `latest` or `latest-rehearsed`',
    example: '2026-11-22T19-05-33Z-3f9a2c',
  }),
})

/** As every run makes them. */
const wholeId = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ-[0-9a-f]{6}$/

/** The id that a path means. What is an id already is looked up nowhere: it can be read while the database is down. */
export async function named(clients: Clients, name: string): Promise<string> {
  if (wholeId.test(name)) return name
  return withConnection(clients, (connection) => resolveBackup(clients, connection, name))
}

/**
 * A backup as a restore would take it: where it has late files, that one counts which the ledger noted. While the ledger does not
 * answer, or does not know, it is the highest.
 * @throws NotFound, BackupDamaged, BackupTooNew
 * @see docs/decisions.md#without-the-ledger-the-highest-late-file-counts
 */
export async function backupAsNoted(clients: Clients, backupId: string): Promise<Backup> {
  const { backups: bucket, config } = clients
  const highest = await readBackup(bucket, config.BACKUP_PREFIX, backupId)
  if (highest.late === null) return highest
  const asked = withConnection(clients, (connection) => readLateNoted(connection, backupId))
  const late = await ifTold('which late file counts', asked, patienceMs)
  const isHighest = late?.attempt === highest.late && late.sha256 === highest.seen.late?.sha256
  return late === undefined || isHighest
    ? highest
    : readBackup(bucket, config.BACKUP_PREFIX, backupId, { late })
}

/** Milliseconds that the names of backups are waited for: a backup can be looked at without them. */
const patienceMs = 2_000

type Told = Omit<Names, 'labels'> & { labels: string[] | null }
const unknown: Told = { labels: null, note: null, run: null }

/**
 * What backups are called and which runs took them; a ledger that does not answer keeps nobody from looking at backups.
 * @see docs/decisions.md#names-of-backups-do-not-keep-anybody-from-looking-at-them
 */
export async function namesFor(
  clients: Clients,
  ids: readonly string[],
): Promise<(backupId: string) => Told> {
  const asked = withConnection(clients, (connection) => namesOf(connection, ids))
  const names = await ifTold('the names of backups', asked, patienceMs)
  return (backupId) => (names === undefined ? unknown : (names.get(backupId) ?? { ...unknown, labels: [] }))
}

/** Milliseconds that the reasons are waited for: of thousands of backups they take longer than a gateway waits. */
const patienceForReasonsMs = 8_000

/** Why the retention keeps each backup; undefined: it cannot be told now. */
export async function reasonsFor(clients: Clients): Promise<Map<string, string[]> | undefined> {
  return ifTold('why backups are kept', reasonsToKeep.of(clients), patienceForReasonsMs)
}

/** What is told beside something else, and must not keep that from being told. @returns undefined when it fails, or takes too long */
async function ifTold<Answer>(
  what: string,
  asked: Promise<Answer>,
  waitMs: number,
): Promise<Answer | undefined> {
  const { promise: patience, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => {
    logger.warn(`${what} could not be read in time`)
    resolve(undefined)
  }, waitMs)
  const answer = asked.catch((error: unknown) => {
    logger.warn(`${what} could not be read`, { reason: messageOf(error) })
    return undefined
  })
  try {
    return await Promise.race([answer, patience])
  } finally {
    clearTimeout(timer)
  }
}
