import * as z from 'zod'
import { timeToLook } from '../../backup/documents/in-time.ts'
import { lately } from '../../backup/lately.ts'
import { backupsOf, newestBackups, type Unpinned } from '../../backup/list.ts'
import { reasonsToKeep } from '../../backup/retention/kept.ts'
import { SealedBackup } from '../../backup/sealed-backup.ts'
import type { Clients } from '../../clients.ts'
import { readLabels } from '../../ledger/labels/labels.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { dueOf } from './due.ts'
import { lastTaken, nightsOf } from './nights.ts'

const count = z.int().nonnegative()
const day = z.iso.date().meta({ description: 'In UTC' })

/** Whether one can sleep: how old the newest backup is, what comes next, and how the last thirty nights ended. */
export const Status = z.strictObject({
  lastProved: z
    .strictObject({
      backupId: z.string(),
      strategy: z.string(),
      startedAt: z.iso.datetime(),
      rehearsedAt: z.iso.datetime().nullable(),
    })
    .nullable()
    .meta({
      description:
        "The newest backup of this environment that a key of it signed: all of it was read back, and loaded where `rehearsedAt` says so. Of the schedule's strategy, or full; of any where there is no schedule. null with `backups.older`: none of those that were looked at",
    }),
  dueEveryHours: z
    .number()
    .positive()
    .nullable()
    .meta({ description: 'How often the schedule takes such a backup; null: there is no schedule' }),
  next: z
    .strictObject({
      name: z.string(),
      at: z.iso.datetime(),
      operation: z.string(),
      strategy: z.string(),
      to: z.string().nullable(),
    })
    .nullable()
    .meta({ description: 'What the schedule starts next' }),
  labelled: z
    .array(z.strictObject({ label: z.string(), ...SealedBackup.shape }))
    .meta({ description: 'The backups with a label, by which a reset can go back to one' }),
  unseenLabels: z.array(z.string()).meta({
    description: 'Labels of backups which were not looked at, because eight seconds were over',
  }),
  backups: z.strictObject({ count, bytes: count, older: count }).meta({
    description:
      'Those that can be read, of every environment: of a thousand folders at most, the newest, and of as many as eight seconds are enough for. `older`: folders behind these, which were not looked at',
  }),
  nights: z
    .array(
      z.strictObject({
        day,
        runId: z.string().nullable(),
        operation: z.string().nullable(),
        status: z.string().nullable(),
      }),
    )
    .meta({
      description:
        'Of each of the last thirty days the run that counts: the last that the schedule started, else the last that was no dry run; null: none',
    }),
  storage: z.array(z.strictObject({ day, bytes: count.nullable() })).meta({
    description:
      'Bytes of the backups that are there, by the day on which they were taken; null: not all of them were looked at',
  }),
})
export type Status = z.output<typeof Status>

const [dayMs, days] = [86_400_000, 30]
/** Folders that are looked at. */
const lookedAt = 1000
const status = lately(look)

/** @throws StoreUnavailable when the bucket or the ledger does not answer */
export const statusOf = status.of

/** What is remembered of backups is looked at again: a label or a pin has moved. */
export function forgetStatus(clients: Clients): void {
  status.forget(clients)
  reasonsToKeep.forget(clients)
}

async function look(clients: Clients, now: number): Promise<Status> {
  const { backups: bucket, config } = clients
  const prefix = config.BACKUP_PREFIX
  const lastDays = Array.from({ length: days }, (_, ago) => dayOf(now - (days - 1 - ago) * dayMs))
  const hasTime = timeToLook(clients)
  const { backups, older } = await newestBackups(bucket, prefix, { limit: lookedAt, hasTime })
  const { everyHours, next, strategies } = dueOf(config, new Date(now))
  const isCounted = ({ strategy }: Unpinned) => strategies?.has(strategy) ?? true
  const newest = backups.find((backup) => isCounted(backup) && isProof(backup, clients))
  const told = await withConnection(clients, async (connection) => ({
    nights: await nightsOf(connection, lastDays),
    labels: await readLabels(connection),
    taken: newest === undefined && older.length > 0 ? await lastTaken(connection, strategies) : [],
  }))
  const ids = [...new Set([...told.taken, ...told.labels.values()])]
  const named = await backupsOf(bucket, prefix, { ids, hasTime: timeToLook(clients) })
  const taken = named.backups.filter(({ backupId }) => told.taken.includes(backupId))
  const byDay = Map.groupBy(backups, ({ startedAt }) => startedAt.slice(0, '2026-11-22'.length))
  const [unseen] = older
  return {
    lastProved: proofOf(newest ?? taken.find((backup) => isCounted(backup) && isProof(backup, clients))),
    dueEveryHours: everyHours,
    next,
    labelled: named.backups.flatMap((backup) =>
      [...told.labels].flatMap(([label, id]) => (id === backup.backupId ? [{ label, ...backup }] : [])),
    ),
    unseenLabels: [...told.labels].flatMap(([label, id]) => (named.unseen.includes(id) ? [label] : [])),
    backups: { count: backups.length, bytes: sumOf(backups), older: older.length },
    nights: told.nights,
    // Ids begin with the day, and of the day of the first that was not looked at some may have been.
    storage: lastDays.map((day) => ({
      day,
      bytes: unseen !== undefined && day <= unseen ? null : sumOf(byDay.get(day) ?? []),
    })),
  }
}

/** What somebody else may have put there proves nothing, and what was uploaded nothing of what was here then. */
function isProof({ environment, authentic, imported }: Unpinned, { config }: Clients): boolean {
  return environment === config.ENVIRONMENT && authentic === 'signed' && imported === undefined
}

function proofOf(backup: Unpinned | undefined): Status['lastProved'] {
  if (backup === undefined) return null
  const { backupId, strategy, startedAt, rehearsedAt } = backup
  return { backupId, strategy, startedAt, rehearsedAt }
}

function sumOf(backups: readonly Unpinned[]): number {
  return backups.reduce((sum, { bytes }) => sum + bytes, 0)
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, '2026-11-22'.length)
}
