import type { Warning } from '../../backup/manifest.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import { LimitExceeded } from '../../errors.ts'
import { invocationMs } from '../../executions/invocation.ts'
import type { Connection } from '../../postgres/connection.ts'

/** What is done while the tables are locked: rows proved and removed, or proved, removed and put back. */
export type LockedWork = 'wipe' | 'restore'

const giB = 2 ** 30

/**
 * Bytes a second, as slow and as fast as it was measured on one core of PostgreSQL 15 to 18: in the 900 s of an invocation a wipe
 * proved 40 to 80 GiB, and a restore replaced 15 GiB, twice that with fast storage and few indexes.
 */
const speeds: Record<LockedWork, { slow: number; fast: number }> = {
  wipe: { slow: (40 * giB) / 900, fast: (80 * giB) / 900 },
  restore: { slow: (15 * giB) / 900, fast: (30 * giB) / 900 },
}

/** Less than this tells nothing of the speed with much: it is round trips. */
const tellingBytes = 64 * 2 ** 20

type LockEstimate = { milliseconds: number; verdict: 'fits' | 'may not fit' | 'does not fit'; limit: number }

/**
 * How long the tables would stay locked, and whether that fits into LOCK_BUDGET_MS and one invocation. By the speed of
 * the last run that is known it fits or does not; by what was measured elsewhere, it may not.
 * @param least bytes that there are in any case: absent, they are known
 * @param bytesPerSecond of the last run that did the same here; null: not known
 */
export function estimateLocked(
  {
    work,
    bytes,
    least = bytes,
    bytesPerSecond,
  }: { work: LockedWork; bytes: number; least?: number; bytesPerSecond: number | null },
  { LOCK_BUDGET_MS }: { LOCK_BUDGET_MS: number },
): LockEstimate {
  const limit = Math.min(LOCK_BUDGET_MS, invocationMs)
  const at = (amount: number, speed: number) => Math.ceil((1000 * amount) / speed)
  // What the last run's bytes were, these are as well.
  const slow = at(bytes, bytesPerSecond ?? speeds[work].slow)
  const fast = bytesPerSecond === null ? at(least, speeds[work].fast) : slow
  const verdict = fast > limit ? 'does not fit' : slow > limit ? 'may not fit' : 'fits'
  return { milliseconds: slow, verdict, limit }
}

/** The same, by the speed of the last run of this database that tells. */
export async function estimateHere(
  connection: Connection,
  config: { LOCK_BUDGET_MS: number },
  asked: { work: LockedWork; bytes: number; least?: number },
): Promise<LockEstimate> {
  return estimateLocked({ ...asked, bytesPerSecond: await lastSpeed(connection, asked.work) }, config)
}

/** Bytes of rows' JSON that a restore puts back. A backup of the first version tells them only compressed. */
export function bytesHeld(tables: readonly Pick<BackedUpTable, 'parts'>[]): number {
  return tables.flatMap(({ parts }) => parts).reduce((sum, { bytes, plain }) => sum + (plain ?? bytes), 0)
}

/**
 * Bytes that their tables have at least. JSON repeats the names of columns, and tells compressed values in full: it is four times as
 * much for eight short columns, and any number of times for long texts. Compressed it may still be more than what it makes: a
 * value's name takes up to three bytes, which a smallint, a bool or a NULL does not have, and digits take up to twice the number.
 */
export function leastHeld(tables: readonly BackedUpTable[]): number {
  return tables.reduce((sum, { rows, columns, parts }) => {
    const compressed = parts.reduce((bytes, part) => bytes + part.bytes, 0)
    const values = Math.max(0, compressed - rows * columns.length * nameCompressed) / 2
    return sum + Math.min(bytesHeld([{ parts }]), rows * rowHeader + Math.floor(values))
  }, 0)
}

const nameCompressed = 3

/** Of each row, with the pointer to it. */
const rowHeader = 28

/**
 * Says before any lock what would take too long under it.
 * @param work each with the bytes it is about; one that is `later` can only be warned of
 * @throws LimitExceeded when it cannot be done in time
 */
export async function checkLockedTime(
  connection: Connection,
  config: { LOCK_BUDGET_MS: number },
  works: readonly { work: LockedWork; bytes: number; least?: number; later: boolean }[],
): Promise<Warning[]> {
  const warnings: Warning[] = []
  for (const { later, ...asked } of works) {
    const { work, bytes } = asked
    const bytesPerSecond = await lastSpeed(connection, work)
    const { milliseconds, verdict, limit } = estimateLocked({ ...asked, bytesPerSecond }, config)
    if (verdict === 'fits') continue
    const basis = bytesPerSecond === null ? 'as measured elsewhere' : 'at the speed of the last run here'
    const what = later ? 'Restoring the backup' : `The ${work}`
    const sentence = `${what} would keep the tables locked for about ${Math.round(milliseconds / 1000)} s (${bytes} bytes, ${basis}), and it has ${Math.round(limit / 1000)} s (LOCK_BUDGET_MS, and what one invocation has)`
    if (verdict === 'does not fit' && !later) {
      throw new LimitExceeded(
        `${sentence}. Nothing was touched; leave large tables out (EXCLUDE_TABLES, PRESERVE_TABLES)${limit < invocationMs ? ', or raise LOCK_BUDGET_MS' : ', or give the database more cores'}`,
      )
    }
    const certainty = verdict === 'may not fit' ? ': it may be given up then, with nothing changed' : ''
    warnings.push({ code: 'MayTakeTooLong', message: `${sentence}${certainty}` })
  }
  return warnings
}

/** Bytes a second of the last run that did the same with enough rows to tell; null: there is none. */
export async function lastSpeed(connection: Connection, work: LockedWork): Promise<number | null> {
  const done = work === 'wipe' ? 'wiped' : 'restored'
  const found = await connection.query(
    `SELECT (locked->>'bytes')::float8 * 1000 / greatest((locked->>'milliseconds')::float8, 1) AS speed
     FROM taskmaster_reset.runs WHERE ${done} IS NOT NULL AND (locked->>'bytes')::float8 >= $1
     ORDER BY started_at DESC LIMIT 1`,
    [tellingBytes],
  )
  return found.rows[0]?.speed ?? null
}
