import type { Warning } from '../../backup/manifest.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import { checkInvocation, type Speed } from '../../executions/invocation.ts'
import type { Connection } from '../../postgres/connection.ts'
import { bytesHeld, lastSpeed, leastHeld } from '../locks/duration.ts'

/** Bytes of tables: all that the run acts on, and of each batch of the export. */
type Extent = { bytes: number; exported: readonly number[]; rehearses: boolean }

const leaveOut = 'leave large tables out (EXCLUDE_TABLES)'

/**
 * Says before the tables are read what no invocation could do in its time.
 * @throws LimitExceeded
 * @see docs/decisions.md#what-one-invocation-cannot-do-is-refused-by-count
 */
export async function checkReading(
  connection: Connection,
  { bytes, exported, rehearses }: Extent,
): Promise<Warning[]> {
  const lanes = await readLanes(connection)
  const ofTables = (amount: number, speed: Speed) => ({ amount, of: 'byte', speed }) as const
  const proving = withLast(alongside(speeds.fingerprint, lanes), await lastSpeed(connection, 'wipe'))
  return [
    ...checkInvocation({
      does: 'Exporting the largest batch of tables',
      amounts: [ofTables(Math.max(0, ...exported), speeds.export)],
      instead: `lower EXPORT_BATCH_BYTES, or ${leaveOut}`,
    }),
    ...checkInvocation({
      does: 'Comparing the batches of the export with one snapshot',
      amounts: [ofTables(exported.length > 1 ? bytes : 0, proving)],
      instead: `${leaveOut}, or give the database more cores`,
    }),
    ...checkComparing(rehearses ? bytes : 0),
  ]
}

/**
 * The same of a rehearsal alone, whose rows are all compared in one step.
 * @param speed of other bytes than those of tables
 * @throws LimitExceeded
 */
export function checkComparing(bytes: number, speed: Speed = speeds.compare): Warning[] {
  return checkInvocation({
    does: 'Comparing what the rehearsal loaded',
    amounts: [{ amount: bytes, of: 'byte', speed }],
    instead: `do not rehearse ("rehearse": false, or a lower REHEARSE_MAX_BYTES), or ${leaveOut}`,
  })
}

/** Of a backup the bytes of its JSON are known, and how many its tables have at least. */
export function checkComparingHeld(tables: readonly BackedUpTable[]): Warning[] {
  const [bytes, least] = [bytesHeld(tables), leastHeld(tables)]
  const { slow, fast } = speeds.compare
  return checkComparing(bytes, { slow, fast: fast * (bytes / Math.max(1, least)) })
}

/** Bytes of tables a second. Of what the server reads in parallel, for one of its processes. @see docs/scale.md */
const mb = 1_000_000
export const speeds = {
  fingerprint: { slow: 48 * mb, fast: 290 * mb },
  export: { slow: 18 * mb, fast: 80 * mb },
  compare: { slow: 40 * mb, fast: 160 * mb },
} satisfies Record<string, Speed>

/** The last wipe read rows as well, but it may have waited, or exported late ones, or the database may have grown since. */
function withLast({ slow, fast }: Speed, last: number | null): Speed {
  return last === null ? { slow, fast } : { slow: last, fast: Math.max(last, fast) }
}

/** At best all processes that the server gives to one scan have a core each. */
function alongside({ slow, fast }: Speed, lanes: number): Speed {
  return { slow, fast: fast * lanes }
}

async function readLanes(connection: Connection): Promise<number> {
  const answer = await connection.query(
    `SELECT 1 + least(current_setting('max_parallel_workers_per_gather')::int, current_setting('max_parallel_workers')::int) AS lanes`,
  )
  return answer.rows[0]?.lanes
}
