import type { FingerprintFormat } from '../backup/sections/fingerprint.ts'
import type { Connection } from '../postgres/connection.ts'
import { dependsOnPath, fingerprintOf, type PageRange, queryRows, type Rows, rowsOf } from './rows.ts'

/** Rows of which count and fingerprint are wanted, all of a table or those of some pages; about how many they are. */
type Asked = { of: Rows; pages?: PageRange; expected: number }

/** From so many rows on a table is worth workers of its own. */
const large = 10_000
/** Ranges and small tables that share a statement. */
const together = 64

/**
 * Count and fingerprint of each, in their order. The server's workers read the ranges of a statement side by side, and
 * a large table together when nothing else is in the statement.
 * @see docs/decisions.md#ranges-are-compared-in-statements-that-workers-share
 */
export async function readFingerprints(
  connection: Connection,
  asked: readonly Asked[],
  format: FingerprintFormat,
): Promise<{ rows: number; fingerprint: string }[]> {
  const found: { rows: number; fingerprint: string }[] = []
  for (const some of statementsFor(asked)) {
    const answers = await queryRows(
      connection,
      some.map(({ of }) => of),
      textOf(some, format),
    )
    const inOrder = answers.sort((one, other) => one.at - other.at)
    found.push(...inOrder.map(({ rows, fingerprint }) => ({ rows: Number(rows), fingerprint })))
  }
  return found
}

/** The statement that reads them, which gives a row for each with its place as `at`. */
export function textOf(asked: readonly Asked[], format: FingerprintFormat): string {
  const selects = asked.map(
    ({ of, pages }, at) =>
      `SELECT ${at} AS at, f.* FROM (${fingerprintOf(rowsOf(of, format, pages), format)}) AS f`,
  )
  return selects.join('\nUNION ALL ')
}

function statementsFor(asked: readonly Asked[]): Asked[][] {
  const statements: Asked[][] = []
  for (const one of asked) {
    const last = statements.at(-1)
    if (last !== undefined && last.length < together && goWellTogether(last[0] as Asked, one)) last.push(one)
    else statements.push([one])
  }
  return statements
}

/** What depends on the search path is read without workers, and would keep them from the others. */
function goWellTogether(one: Asked, other: Asked): boolean {
  return !isLarge(one) && !isLarge(other) && dependsOnPath(one.of) === dependsOnPath(other.of)
}

function isLarge({ pages, expected }: Asked): boolean {
  return expected >= large && (pages === undefined || (pages.from === 0 && pages.to === null))
}
