import type { Warning } from '../../backup/manifest.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import { NotPermitted } from '../../errors.ts'
import { checkInvocation, type Speed } from '../../executions/invocation.ts'
import type { Connection } from '../../postgres/connection.ts'
import { isSame } from '../difference/matching.ts'
import { bytesHeld, lastSpeed, leastHeld } from '../locks/duration.ts'

/** Bytes of tables: all that the run acts on, of each batch of the export, and what a rehearsal may load, and loads at least. */
type Extent = { bytes: number; exported: readonly number[]; loaded: { most: number; least: number } }

const leaveOut = 'leave large tables out (EXCLUDE_TABLES)'

/**
 * Says before the tables are read what no invocation could do in its time.
 * @throws LimitExceeded
 * @see docs/decisions.md#what-one-invocation-cannot-do-is-refused-by-count
 */
export async function checkReading(
  connection: Connection,
  { bytes, exported, loaded }: Extent,
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
    ...checkComparing(loaded),
  ]
}

/**
 * The same of a comparison with a backup, which reads all rows at one moment, and finds those that differ in temporary tables.
 * @throws LimitExceeded, NotPermitted
 */
export async function checkLooking(connection: Connection, bytes: number): Promise<Warning[]> {
  await checkTemporary(connection)
  return checkInvocation({
    does: 'Comparing the live tables with the backup',
    amounts: [
      { amount: bytes, of: 'byte', speed: alongside(speeds.fingerprint, await readLanes(connection)) },
    ],
    instead: `${leaveOut}, or give the database more cores`,
  })
}

/**
 * The same of two backups: of tables that do not hold the same in both, the hashes of all rows come into temporary tables.
 * @throws LimitExceeded, NotPermitted
 */
export async function checkLookingHeld(
  connection: Connection,
  before: readonly BackedUpTable[],
  after: readonly BackedUpTable[],
): Promise<Warning[]> {
  const others = new Map(after.map((table) => [table.name, table]))
  const rows = before.reduce((sum, then) => {
    const now = others.get(then.name)
    return now === undefined || isSame(then, now) ? sum : sum + then.rows + now.rows
  }, 0)
  await checkTemporary(connection)
  return checkInvocation({
    does: 'Comparing the hashes of the rows in the two backups',
    amounts: [{ amount: rows, of: 'row', speed: speeds.hashes }],
    instead: 'compare each with what is there now',
  })
}

/** @throws NotPermitted */
async function checkTemporary(connection: Connection): Promise<void> {
  const { rows } = await connection.query(
    `SELECT pg_catalog.current_database() AS name, pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMP') AS may`,
  )
  if (!rows[0]?.may) {
    throw new NotPermitted(
      `The database role may make no temporary tables in the database ${rows[0]?.name}, in which the rows that differ are found. Nothing was touched; GRANT TEMPORARY ON DATABASE … TO it`,
    )
  }
}

/**
 * The same of a rehearsal alone, whose rows are all compared in one step.
 * @throws LimitExceeded
 */
export function checkComparing({ most, least }: Extent['loaded']): Warning[] {
  const { slow, fast } = speeds.compare
  return checkInvocation({
    does: 'Comparing what the rehearsal loaded',
    amounts: [{ amount: most, of: 'byte', speed: { slow, fast: fast * (most / Math.max(1, least)) } }],
    instead: `do not rehearse ("rehearse": false, or a lower REHEARSE_MAX_BYTES), or ${leaveOut}`,
  })
}

/** Of a backup the bytes of its JSON are known, and how many its tables have at least. */
export function checkComparingHeld(tables: readonly BackedUpTable[]): Warning[] {
  return checkComparing({ most: bytesHeld(tables), least: leastHeld(tables) })
}

/** Bytes of tables a second. Of what the server reads in parallel, for one of its processes. @see docs/scale.md */
const mb = 1_000_000
export const speeds = {
  fingerprint: { slow: 48 * mb, fast: 290 * mb },
  export: { slow: 18 * mb, fast: 120 * mb },
  compare: { slow: 40 * mb, fast: 160 * mb },
  /** Rows, of both backups: where each is another one, and where their hashes are only read. */
  hashes: { slow: 75_000, fast: 7_500_000 },
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
