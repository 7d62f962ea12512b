import * as z from 'zod'
import { findJsonLines } from '../../backup/documents/read.ts'
import { putLinesOnce } from '../../backup/documents/write-once.ts'
import { rowsKeyOf } from '../../backup/layout.ts'
import type { Backup } from '../../backup/read.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import type { Clients } from '../../clients.ts'
import { tablesNamed } from '../../database/catalog/named.ts'
import { readTables } from '../../database/catalog/tables.ts'
import type { FoundRows } from '../../database/difference/differing-rows.ts'
import { obstacleBetween, obstacleOf } from '../../database/difference/obstacle.ts'
import type { DatabaseDifference } from '../../database/schema/difference.ts'
import { DifferingRow, type ToldRows, ToldTable } from '../../database/schema/differing-rows.ts'
import { InvalidRequest, NotComparable, NotFound } from '../../errors.ts'
import { findRun, type RunRow } from '../../ledger/runs.ts'
import type { Connection } from '../../postgres/connection.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { sizeOf } from '../../visible.ts'
import type { MaintenancePlan } from '../planning/plan.ts'
import { PlanSummary } from '../planning/plan-summary.ts'
import type { RequestTo } from './operation.ts'

type WantedTable = NonNullable<MaintenancePlan['rows']>

/** Bytes of the rows of each kind: as a text within the JSON of an answer, so that quotation marks count as they do there. */
const bytesOfKind = 2 ** 20

/**
 * The table of which rows are wanted, by its name in the backup.
 * @param asked.other the backup that it is compared with; null: what is there now
 * @throws InvalidRequest when the backups do not hold it; NotComparable when its rows cannot be compared, or it is not there now
 */
export async function tableToTell(
  { config }: Pick<Clients, 'config'>,
  connection: Connection,
  {
    rows,
    backup,
    other,
  }: { rows: NonNullable<RequestTo<'diff'>['rows']>; backup: Backup; other: Backup | null },
): Promise<WantedTable> {
  const table = tableIn(backup, rows.table)
  const { tables } = await readTables(connection, config.DATABASE_SCHEMAS)
  const live = tables.find(({ name }) => name === table.name)
  const obstacle =
    (other && obstacleBetween(table, tableIn(other, table.name))) ??
    (live === undefined
      ? 'it is not there now, and its rows are read into a copy of it'
      : obstacleOf(table, live))
  if (obstacle === undefined) return { table: table.name, limit: rows.limit }
  throw new NotComparable(
    `Rows of ${table.name} cannot be told: ${obstacle}. Nothing was read; start the diff without "rows.table"`,
  )
}

function tableIn({ backupId, database }: Backup, name: string): BackedUpTable {
  const called = [...tablesNamed(database?.tables ?? [], [name])]
  const [table, another] = called
  if (table !== undefined && another === undefined) return table
  throw new InvalidRequest(
    another === undefined
      ? `The backup ${backupId} does not hold the table ${name}, so none of its rows can be told. Correct "rows.table", as schema.table; a diff without it lists the tables that differ`
      : `The backup ${backupId} holds several tables ${name}: ${called.map((one) => one.name).join(', ')}. Say which with "rows.table", as schema.table`,
  )
}

/**
 * Keeps the rows of the table that was asked for, where those find them who may restore: in the work of the run, which expires. They stand nowhere else.
 * @param found undefined: none differ
 * @see docs/decisions.md#rows-that-differ-are-told-to-who-may-restore
 */
export async function keepRows(
  { backups }: Pick<Clients, 'backups'>,
  {
    plan,
    held,
    difference,
  }: { plan: MaintenancePlan; held: readonly BackedUpTable[]; difference: DatabaseDifference },
  found: FoundRows | undefined,
): Promise<void> {
  const table = held.find(({ name }) => name === plan.rows?.table)
  if (table === undefined || plan.rows === undefined) return
  const same = { name: table.name, before: table.rows, now: table.rows, extra: 0, missing: 0, changed: 0 }
  const all = found?.rows ?? []
  const rows = fitting(all)
  const told: ToldTable = {
    ...(difference.tables.find(({ name }) => name === table.name) ?? same),
    columns: table.columns.map(({ name }) => name),
    key: [...(found?.key ?? [])],
    limit: plan.rows.limit,
    leftOut: all.length - rows.length,
  }
  await putLinesOnce(backups, rowsKeyOf(plan), [told, ...rows])
}

/** The first of each kind that fit. */
function fitting(rows: readonly DifferingRow[]): DifferingRow[] {
  const bytes = { extra: 0, missing: 0, changed: 0 }
  return rows.filter((row) => {
    bytes[row.kind] += sizeOf(JSON.stringify(row))
    return bytes[row.kind] <= bytesOfKind
  })
}

/**
 * The rows that a diff found. For those alone who may restore.
 * @throws NotFound when there is no such run, it was not asked for rows or found none yet, or they have expired
 */
export async function readToldRows(clients: Clients, runId: string): Promise<ToldRows> {
  const row = await withConnection(clients, (connection) => findRun(connection, runId))
  if (row === undefined) throw new NotFound(`There is no run ${runId}. List the runs to see their ids`)
  const asked = row.plan === null ? undefined : PlanSummary.parse(row.plan).subject?.rows
  if (asked === undefined)
    throw new NotFound(`Run ${runId} was not asked for rows. Start a diff with "rows.table"`)
  const lines = z.union([ToldTable, DifferingRow])
  const found = await findJsonLines(clients.backups, rowsKeyOf(row), lines)
  const [told, ...rows] = found ?? []
  if (told === undefined || 'kind' in told)
    throw new NotFound(`The rows of ${asked} that run ${runId} was asked for ${whyNone(row)}`)
  return { ...told, rows: rows.filter((line) => 'kind' in line) }
}

function whyNone({ status }: RunRow): string {
  if (status === 'running') return 'are not there yet: it is under way. Ask again when it has ended'
  return status.startsWith('succeeded')
    ? 'are no longer there: what a run leaves for its steps is deleted after some days. Start the diff again'
    : 'are not there: it did not come to its end. Start the diff again'
}
