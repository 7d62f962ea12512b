import * as z from 'zod'
import { lately } from '../../backup/lately.ts'
import { listBackups } from '../../backup/list.ts'
import { namesOf } from '../../backup/naming/names.ts'
import { reasonsToKeep } from '../../backup/retention/kept.ts'
import { SealedBackup } from '../../backup/sealed-backup.ts'
import type { Clients } from '../../clients.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { dueOf } from './due.ts'
import { nightsOf } from './nights.ts'

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
        "The newest backup of this environment that a key of it signed: all of it was read back, and loaded where `rehearsedAt` says so. Of the schedule's strategy, or full; of any where there is no schedule",
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
  backups: z
    .strictObject({ count, bytes: count })
    .meta({ description: 'All that can be read, of every environment' }),
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
  storage: z
    .array(z.strictObject({ day, bytes: count }))
    .meta({ description: 'Bytes of the backups that are there, by the day on which they were taken' }),
})
export type Status = z.output<typeof Status>

const [dayMs, days] = [86_400_000, 30]
const status = lately(look)

/** @throws StoreUnavailable when the bucket or the ledger does not answer */
export const statusOf = status.of

/** What is remembered of backups is looked at again: a label or a pin has moved. */
export function forgetStatus(clients: Clients): void {
  status.forget(clients)
  reasonsToKeep.forget(clients)
}

async function look(clients: Clients, now: number): Promise<Status> {
  const lastDays = Array.from({ length: days }, (_, ago) => dayOf(now - (days - 1 - ago) * dayMs))
  const { backups } = await listBackups(clients.backups, clients.config.BACKUP_PREFIX)
  const ids = backups.map(({ backupId }) => backupId)
  const [nights, names] = await withConnection(clients, async (connection) => [
    await nightsOf(connection, lastDays),
    await namesOf(connection, ids),
  ])
  const { everyHours, next, strategies } = dueOf(clients.config, new Date(now))
  const counted = backups.filter(({ strategy }) => strategies?.has(strategy) ?? true)
  const byDay = Map.groupBy(backups, ({ startedAt }) => startedAt.slice(0, '2026-11-22'.length))
  return {
    lastProved: newestProved(counted, clients),
    dueEveryHours: everyHours,
    next,
    labelled: backups.flatMap((backup) =>
      (names.get(backup.backupId)?.labels ?? []).map((label) => ({ label, ...backup })),
    ),
    backups: { count: backups.length, bytes: sumOf(backups) },
    nights,
    storage: lastDays.map((day) => ({ day, bytes: sumOf(byDay.get(day) ?? []) })),
  }
}

/** What somebody else may have put there proves nothing, and what was uploaded nothing of what was here then. */
function newestProved(backups: readonly SealedBackup[], { config }: Clients): Status['lastProved'] {
  const own = backups.find(
    ({ environment, authentic, imported }) =>
      environment === config.ENVIRONMENT && authentic === 'signed' && imported === undefined,
  )
  if (own === undefined) return null
  const { backupId, strategy, startedAt, rehearsedAt } = own
  return { backupId, strategy, startedAt, rehearsedAt }
}

function sumOf(backups: readonly SealedBackup[]): number {
  return backups.reduce((sum, { bytes }) => sum + bytes, 0)
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, '2026-11-22'.length)
}
