import { eq, sql } from 'drizzle-orm'
import { LabelRefused } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { labels } from '../schema.ts'
import { ledger } from '../tables.ts'

/** So many labels an environment has at most: each is looked after at every backup. */
const labelsMax = 20

/** Which backup each label means; also of a ledger that has no labels yet, or of none. */
export async function readLabels(connection: Connection): Promise<Map<string, string>> {
  if (!(await hasNames(connection))) return new Map()
  const rows = await ledger(connection).select().from(labels).orderBy(labels.label)
  return new Map(rows.map(({ label, backupId }) => [label, backupId]))
}

/** The labels of each backup that has some. */
export function labelsByBackup(labels: ReadonlyMap<string, string>): Map<string, string[]> {
  const byBackup = new Map<string, string[]>()
  for (const [label, backupId] of labels) byBackup.set(backupId, [...(byBackup.get(backupId) ?? []), label])
  return byBackup
}

/** Moves the label to the backup. Whether there is room for another one is asked before, in the same transaction. */
export async function setLabel(
  connection: Connection,
  { label, backupId, by }: { label: string; backupId: string; by: string | null },
): Promise<void> {
  const to = { backupId, setBy: by, setAt: sql`now()` }
  await ledger(connection)
    .insert(labels)
    .values({ label, ...to })
    .onConflictDoUpdate({ target: labels.label, set: to })
}

/** @throws LabelRefused when there are as many others as there may be */
export async function checkLabelsLeft(connection: Connection, label: string): Promise<void> {
  const known = await readLabels(connection)
  if (known.has(label) || known.size < labelsMax) return
  throw new LabelRefused(
    `There are ${known.size} labels, and more than ${labelsMax} are not kept. They are what they were; move one of them to the backup, or remove one that nobody uses: ${[...known.keys()].join(', ')}`,
  )
}

/**
 * The same for who gives it in this transaction: two that each give the last label that is left would make one too many.
 * @throws LabelRefused
 */
export async function keepRoomFor(connection: Connection, label: string): Promise<void> {
  await connection.query('LOCK TABLE taskmaster_reset.labels IN SHARE ROW EXCLUSIVE MODE')
  await checkLabelsLeft(connection, label)
}

/** Takes the backup's labels away. */
export async function removeLabels(connection: Connection, backupId: string): Promise<void> {
  await ledger(connection).delete(labels).where(eq(labels.backupId, backupId))
}

/** Whether the ledger has tables for labels and notes: one of an earlier version has none. */
export async function hasNames(connection: Connection): Promise<boolean> {
  const { rows } = await connection.query(`SELECT to_regclass('taskmaster_reset.labels') IS NOT NULL
    AND to_regclass('taskmaster_reset.notes') IS NOT NULL AS has`)
  return rows[0]?.has === true
}
