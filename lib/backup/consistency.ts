import { quote } from '../postgres/identifiers.ts'
import { addFingerprints } from './fingerprint.ts'
import { type BackupKeys, backupKeys, isCopyOf, latePartOf } from './layout.ts'
import type { BackedUpTable, Late, Manifest, TablePart } from './manifest.ts'

/**
 * What does not fit together inside a manifest, a sentence each: the parts of a table cover its pages once, sums agree,
 * and every key is the one that the layout gives to that very part, so that none points outside the backup or to the
 * part of another table. None: the manifest is consistent.
 */
export function* manifestProblems(
  manifest: Manifest,
  { prefix, backupId }: { prefix: string; backupId: string },
): Generator<string> {
  if (manifest.backupId !== backupId)
    yield `it is the manifest of ${manifest.backupId}, but lies in the folder of ${backupId}`
  const keys = backupKeys(prefix, backupId)
  if (manifest.database !== null) yield* databaseProblems(manifest.database, keys)
  if (manifest.files !== null) yield* filesProblems(manifest.files, keys)
  if (manifest.cache !== null) yield* cacheProblems(manifest.cache, keys)
}

/** What in a late file does not fit the (consistent) manifest: each of its parts replaces one that is there. */
export function* lateProblems(
  late: Late,
  manifest: Manifest,
  { prefix, backupId, attempt }: { prefix: string; backupId: string; attempt: number },
): Generator<string> {
  if (late.backupId !== backupId)
    yield `it belongs to ${late.backupId}, but lies in the folder of ${backupId}`
  if ((late.environment ?? manifest.environment) !== manifest.environment)
    yield `it belongs to the environment ${late.environment}, the manifest to ${manifest.environment}`
  if (late.signature !== undefined && late.environment === undefined)
    yield 'it is signed, but for no environment'
  if (late.attempt !== attempt) yield `it says it is attempt ${late.attempt}`
  if (manifest.database === null && late.tables.length + late.sequences.length > 0)
    yield 'the manifest has no database whose parts it could replace'
  yield* twice('table', late.tables)
  yield* sequenceProblems(late.sequences)
  const keys = backupKeys(prefix, backupId)
  for (const { name, parts } of late.tables) {
    const table = manifest.database?.tables.find((one) => one.name === name)
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
      yield* partProblems(name, part, keys.latePart(name, part.shard, writtenBy(keys, part.key, attempt), 1))
    }
  }
  if (late.cache !== undefined) yield* lateCacheProblems(late.cache, manifest, { keys, attempt })
}

/** A late file repeats the parts of those before it, which lie where their own attempt put them. */
function writtenBy(keys: BackupKeys, key: string | null, attempt: number): number {
  return Math.min(latePartOf(keys, key ?? '')?.attempt || attempt, attempt) // attempts count from 1
}

function* lateCacheProblems(
  { added, parts }: NonNullable<Late['cache']>,
  { cache }: Manifest,
  { keys, attempt }: { keys: BackupKeys; attempt: number },
): Generator<string> {
  if (cache === null) yield 'the manifest has no cache whose keys it could replace'
  yield* twice(
    'cache part',
    parts.map(({ key }) => ({ name: key })),
  )
  const held = sum(parts.map((part) => part.keys))
  if (added > held) yield `${added} keys are said to be new, but its parts hold ${held}`
  for (const { key } of parts) {
    const shard = latePartOf(keys, key)?.shard ?? 0
    if (!isCopyOf(keys.lateCachePart(shard, writtenBy(keys, key, attempt), 1), key))
      yield `a part of the cache cannot lie at ${key}`
  }
}

function* databaseProblems(database: NonNullable<Manifest['database']>, keys: BackupKeys): Generator<string> {
  yield* twice('table', database.tables)
  yield* sequenceProblems(database.sequences)
  for (const table of database.tables) yield* tableProblems(table, keys)
  yield* differs('database.rows', database.rows, sum(database.tables.map(({ rows }) => rows)))
  const parts = database.tables.flatMap((table) => table.parts)
  yield* differs('database.bytes', database.bytes, sum(parts.map(({ bytes }) => bytes)))
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
}

function* sequenceProblems(sequences: Late['sequences']): Generator<string> {
  yield* twice('sequence', sequences)
  for (const { name, schema, sequence } of sequences) {
    if (name !== plainName(schema, sequence))
      yield `${name} is not the name of ${sequence} in the schema ${schema}`
  }
}

function* filesProblems(files: NonNullable<Manifest['files']>, keys: BackupKeys): Generator<string> {
  if ((files.objects === 0) !== (files.index === null)) yield 'files and their index do not go together'
  if (files.objects === 0 && files.bytes !== 0) yield 'there are bytes of files, but no file'
  if (files.index === null) return
  if (!isCopyOf(keys.filesIndex(), files.index.key)) yield `the files' index cannot lie at ${files.index.key}`
}

function* cacheProblems(cache: NonNullable<Manifest['cache']>, keys: BackupKeys): Generator<string> {
  yield* differs('cache.keys', cache.keys, sum(cache.parts.map((part) => part.keys)))
  for (const [index, { key }] of cache.parts.entries()) {
    if (!isCopyOf(keys.cachePart(index, 1), key)) yield `part ${index} of the cache cannot lie at ${key}`
  }
}

function* twice(what: string, named: readonly { name: string }[]): Generator<string> {
  const seen = new Set<string>()
  for (const { name } of named) {
    if (seen.has(name)) yield `the ${what} ${name} is there twice`
    seen.add(name)
  }
}

function* differs<Value>(what: string, said: Value, found: Value): Generator<string> {
  if (said !== found) yield `${what}: ${said} is said, but the parts make ${found}`
}

/** As `plainName` of lib/postgres/identifiers.ts does it in SQL. */
function plainName(schema: string, table: string): string {
  return `${/[."]/.test(schema) ? quote(schema) : schema}.${table}`
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
