import { quote } from '../../postgres/identifiers.ts'
import { type BackupKeys, isCopyOf } from '../layout.ts'
import type { BackedUpTable, DatabaseSection, LateDatabaseSection, Ranges, TablePart } from './database.ts'
import { addFingerprints } from './fingerprint.ts'
import { type AttemptKeys, differs, sum, twice } from './section.ts'

/** The parts of a table cover its pages once, and sums agree. */
export function* databaseProblems(database: DatabaseSection, keys: BackupKeys): Generator<string> {
  yield* twice('table', database.tables)
  // What a restore makes beside a table is named by it.
  yield* twice(
    'oid of a table',
    database.tables.map(({ oid }) => ({ name: `${oid}` })),
  )
  yield* sequenceProblems(database.sequences)
  for (const table of database.tables) yield* tableProblems(table, keys)
  yield* differs('database.rows', database.rows, sum(database.tables.map(({ rows }) => rows)))
  const parts = database.tables.flatMap((table) => table.parts)
  yield* differs('database.bytes', database.bytes, sum(parts.map(({ bytes }) => bytes)))
}

/** Each part of a late file replaces one that is there. */
export function* lateTableProblems(
  late: LateDatabaseSection,
  database: DatabaseSection | null,
  { keys, writtenBy }: AttemptKeys,
): Generator<string> {
  if (database === null && late.tables.length + late.sequences.length > 0)
    yield 'the manifest has no database whose parts it could replace'
  yield* twice('table', late.tables)
  yield* sequenceProblems(late.sequences)
  for (const { name, parts } of late.tables) {
    const table = database?.tables.find((one) => one.name === name)
    if (table === undefined) {
      yield `it replaces parts of ${name}, which is not in the manifest`
      continue
    }
    const replaced = new Set<number>()
    for (const part of parts) {
      const original = table.parts[part.shard]
      if (replaced.has(part.shard)) yield `it replaces part ${part.shard} of ${name} twice`
      replaced.add(part.shard)
      if (original?.pages.from !== part.pages.from || original.pages.to !== part.pages.to)
        yield `its part ${part.shard} of ${name} has other pages than the manifest's`
      yield* partProblems(name, part, keys.latePart(name, part.shard, writtenBy(part.key), 1))
    }
  }
}

function* tableProblems(table: BackedUpTable, keys: BackupKeys): Generator<string> {
  const { name, parts } = table
  if (name !== plainName(table.schema, table.table))
    yield `${name} is not the name of ${table.table} in the schema ${table.schema}`
  yield* twice(`column of ${name}`, table.columns)
  let page: number | null = 0
  for (const [index, part] of parts.entries()) {
    if (part.shard !== index || part.pages.from !== page || part.pages.to === page)
      yield `part ${index} of ${name} is missing, or there twice`
    page = part.pages.to
    yield* partProblems(name, part, keys.tablePart(name, index, 1))
  }
  if (page !== null) yield `the parts of ${name} end at page ${page}, before the table does`
  yield* differs(`rows of ${name}`, table.rows, sum(parts.map(({ rows }) => rows)))
  const fingerprint = addFingerprints(parts.map((part) => part.fingerprint))
  yield* differs(`fingerprint of ${name}`, table.fingerprint, fingerprint)
}

function* partProblems(name: string, part: TablePart, firstKey: string): Generator<string> {
  const what = `part ${part.shard} of ${name}`
  const { key, sha256, bytes, rows, fingerprint } = part
  if (rows === 0) {
    if (key !== null || sha256 !== null || bytes !== 0 || fingerprint !== '0')
      yield `${what} has no rows, but an object`
  } else if (key === null || sha256 === null || bytes === 0) yield `${what} has rows, but no object`
  else if (!isCopyOf(firstKey, key)) yield `${what} cannot lie at ${key}`
  if (part.ranges !== undefined) yield* rangesProblems(what, part, part.ranges)
}

/** They cover the part's pages, and their object has the size of what it holds. */
function* rangesProblems(what: string, { key, pages, rows }: TablePart, ranges: Ranges): Generator<string> {
  if (key === null) yield `${what} has no rows, but ranges`
  if (
    pages.to !== null &&
    ranges.count !== Math.ceil(pages.to / ranges.pages) - Math.floor(pages.from / ranges.pages)
  )
    yield `${what} has ${ranges.count} ranges, which are not those of its pages`
  if (ranges.bytes !== 32 * ranges.count + 8 * rows) yield `${what} has ranges of another size`
}

function* sequenceProblems(sequences: LateDatabaseSection['sequences']): Generator<string> {
  yield* twice('sequence', sequences)
  for (const { name, schema, sequence } of sequences) {
    if (name !== plainName(schema, sequence))
      yield `${name} is not the name of ${sequence} in the schema ${schema}`
  }
}

/** As `plainName` of lib/postgres/identifiers.ts does it in SQL. */
function plainName(schema: string, table: string): string {
  return `${/[."]/.test(schema) ? quote(schema) : schema}.${table}`
}
