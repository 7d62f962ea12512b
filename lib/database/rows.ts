import { qualified } from './identifiers.ts'

type Relation = { schema: string; table: string }

/** A page range of one table: from page `from` (inclusive) to `to` (exclusive); null is open-ended. */
export type PageRange = { from: number; to: number | null }

/**
 * The one place that says how a row becomes text. Backup, fingerprint and comparison must use the same: `r.*` and not
 * `r`, which a column named r would shadow; ONLY, because each child table is a table of its own.
 */
const rowText = 'row_to_json(r.*)::text'

/** `FROM ONLY … AS r WHERE …` for the rows of a page range. */
export function rowsOf(relation: Relation, range?: PageRange): string {
  const conditions: string[] = []
  if (range !== undefined && range.from > 0) conditions.push(`r.ctid >= '(${range.from},0)'::tid`)
  if (range !== undefined && range.to !== null) conditions.push(`r.ctid < '(${range.to},0)'::tid`)
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`
  return `FROM ONLY ${qualified(relation)} AS r${where}`
}

/** A subquery with `tid` and `line` per row. OFFSET 0 keeps the planner from computing the text once per use. */
export function linesOf(from: string): string {
  return `(SELECT r.ctid AS tid, ${rowText} AS line ${from} OFFSET 0) AS lines`
}

/**
 * Count and fingerprint of rows: `sum(hashtextextended(row text, 0))`, which does not depend on the order and adds up
 * over page ranges. Without OFFSET 0, so that the server may use parallel workers.
 */
export function fingerprintOf(from: string): string {
  return `SELECT count(*)::text AS rows, coalesce(sum(hashtextextended(${rowText}, 0)), 0)::text AS fingerprint ${from}`
}

/**
 * One row, one line: raw line ends, which only stand between the tokens of a `json` value, are written as white space
 * that JSON allows there, and that decodes to exactly what it was. CR becomes CR SPACE, LF becomes CR TAB.
 */
export function encodeLineEnds(expression: string): string {
  return `replace(replace(${expression}, E'\\r', E'\\r '), E'\\n', E'\\r\\t')`
}

/** The opposite of encodeLineEnds. */
export function decodeLineEnds(expression: string): string {
  return `replace(replace(${expression}, E'\\r\\t', E'\\n'), E'\\r ', E'\\r')`
}

/** Adds fingerprints, which are decimal integers that may exceed 64 bits. */
export function addFingerprints(fingerprints: readonly string[]): string {
  return fingerprints.reduce((sum, fingerprint) => sum + BigInt(fingerprint), 0n).toString()
}
