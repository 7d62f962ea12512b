import type { QueryResult } from '@neondatabase/serverless'
import { pagesInRange } from '../backup/ranges/range.ts'
import type { FingerprintFormat } from '../backup/sections/fingerprint.ts'
import type { Connection } from '../postgres/connection.ts'
import { qualified, type Relation } from '../postgres/identifiers.ts'
import { ownSearchPath } from '../postgres/search-path.ts'
import { shareOut } from '../postgres/share-out.ts'
import { dependsOnPath, type PageRange, type Rows, rangesOf, rowsOf } from './rows.ts'

/** Count and fingerprint of each range of a table that has rows, in order, by its number: page / pagesInRange. */
export type TableRanges = { range: number; rows: number; fingerprint: string }[]

/** A table, or a stretch of its pages that begins where a range does. */
type Asked = { of: Rows; pages?: PageRange }

/** From `from` (inclusive) to `to` (exclusive). */
type Pages = { from: number; to: number }

/** What a worker of the server reads at a time, with its place in what was asked. */
type Piece = { of: Rows; pages: Pages; at: number }

/** With TOAST. Small enough that no worker is at work long after the others. */
const pieceBytes = 32 * 2 ** 20
/** Pieces that share a statement: their groups, 128 bytes each, stay in the server's memory. */
const together = 64

/**
 * Rows are grouped by hashing as they are read: the planner takes every row for a range of its own, so it would sort all of
 * them, and let no worker begin.
 * @see docs/decisions.md#ranges-are-compared-in-statements-that-workers-share
 */
export const settings =
  'SET LOCAL enable_sort = off; SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0'
const settingsBack = settings.replace(/= \w+/g, 'TO DEFAULT')

/**
 * The ranges of each that is asked for, in their order. Memory: some 200 bytes for each range, 1.6 MB for a GiB of a table.
 * @param connections share the work; each is in a transaction that has the own search path, and all see the same rows
 * @param signal ends it before the next statement
 */
export async function readRanges(
  connections: readonly Connection[],
  asked: readonly Asked[],
  format: FingerprintFormat,
  signal?: AbortSignal,
): Promise<TableRanges[]> {
  const sizes = await readSizes(
    connections[0] as Connection,
    asked.map(({ of }) => of),
  )
  const pieces = asked.flatMap(({ of, pages }, at) =>
    cut(pages ?? { from: 0, to: null }, sizes[at] as Size).map((piece) => ({ of, pages: piece, at })),
  )
  const found: TableRanges[] = asked.map(() => [])
  await shareOut(connections, statementsFor(pieces), async (connection, some) => {
    signal?.throwIfAborted()
    const after = some.some(({ of }) => dependsOnPath(of)) ? `; ${ownSearchPath}` : ''
    const answers: unknown = await connection.query(
      `${settings}; ${textOf(some, format)}; ${settingsBack}${after}`,
    )
    const answer = (answers as QueryResult[]).find(({ command }) => command === 'SELECT')
    for (const { at, range, rows, fingerprint } of answer?.rows ?? [])
      found[at]?.push({ range, rows: Number(rows), fingerprint })
  })
  for (const ranges of found) ranges.sort((one, other) => one.range - other.range)
  return found
}

/** The statement that reads them, which gives a row for each range with the place of its table as `at`. */
export function textOf(pieces: readonly Piece[], format: FingerprintFormat): string {
  const selects = pieces.map(
    ({ of, pages, at }) =>
      `SELECT ${at} AS at, f.* FROM (${rangesOf(rowsOf(of, format, pages), format, pagesInRange)}) AS f`,
  )
  return selects.join('\nUNION ALL ')
}

/** What depends on the search path is read without workers, and would keep them from the others. */
function statementsFor(pieces: readonly Piece[]): Piece[][] {
  const statements: Piece[][] = []
  for (const alone of [false, true]) {
    const some = pieces.filter(({ of }) => dependsOnPath(of) === alone)
    for (let at = 0; at < some.length; at += together) statements.push(some.slice(at, at + together))
  }
  return statements
}

/**
 * Cuts where ranges begin, up to the table's last page. A table of one piece is bounded as well: of one that is not, workers
 * would send the rows to the leader, which would make all the hashes.
 */
export function cut({ from, to }: PageRange, { pages, bytes }: Size): Pages[] {
  const perPage = Math.max(1, bytes / Math.max(1, pages))
  const step = pagesInRange * Math.max(1, Math.floor(pieceBytes / perPage / pagesInRange))
  const end = Math.min(to ?? pages, pages)
  const pieces: Pages[] = []
  for (let at = from; at < end; at = pieces.at(-1)?.to ?? end)
    pieces.push({ from: at, to: Math.min((Math.floor(at / step) + 1) * step, end) })
  return pieces
}

/** Pages of a table, and its bytes with TOAST. */
type Size = { pages: number; bytes: number }

/** How many pages each table has now; an open-ended shard ends there. To be asked after the snapshot was taken. */
export async function readEndPages(
  connection: Connection,
  tables: readonly (Relation & { name: string })[],
): Promise<Map<string, number>> {
  const sizes = await readSizes(connection, tables)
  return new Map(tables.map(({ name }, at) => [name, sizes[at]?.pages ?? 0]))
}

async function readSizes(connection: Connection, tables: readonly Relation[]): Promise<Size[]> {
  const answer = await connection.query(
    `SELECT (pg_catalog.pg_relation_size(relation) / pg_catalog.current_setting('block_size')::pg_catalog.int4)::pg_catalog.int4 AS pages,
       pg_catalog.pg_table_size(relation)::pg_catalog.float8 AS bytes
     FROM pg_catalog.unnest($1::pg_catalog.text[]::pg_catalog.regclass[]) WITH ORDINALITY AS t (relation, at) ORDER BY at`,
    [tables.map((table) => qualified(table))],
  )
  return answer.rows
}
