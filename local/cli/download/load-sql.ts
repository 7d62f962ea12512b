import type { Backup } from '../../../lib/backup/read.ts'
import type { BackedUpSequence, BackedUpTable, Column } from '../../../lib/backup/sections/database.ts'
import { fingerprintFormatOf } from '../../../lib/backup/sections/fingerprint.ts'
import { isOfUsers } from '../../../lib/database/triggers.ts'
import { BackupDamaged } from '../../../lib/errors.ts'
import { literal, qualified, quote } from '../../../lib/postgres/identifiers.ts'
import { visibleName } from '../../../lib/visible.ts'

/** A table, and the file in which its rows lie. */
export type LoadedTable = { table: BackedUpTable; path: string }

/**
 * The script with which psql alone puts the rows of a download back into tables that are there, and empty: what
 * docs/formats.md says of parts, of files that are whole. It says of each table whether it is as it was backed up.
 * @throws BackupDamaged for a type or a number that is none: psql would carry out what is written in its place
 */
export function* loadSql(
  { backupId, database }: Pick<Backup, 'backupId'> & { database: NonNullable<Backup['database']> },
  tables: readonly LoadedTable[],
): Generator<string> {
  yield `-- Loads the rows of the backup ${backupId}: psql -X -f load.sql, in this folder. See README.\n`
  yield settings
  const names = tables.map(({ table }) => literal(qualified(table))).join(', ')
  yield `CREATE TEMP TABLE loaded ON COMMIT DROP AS SELECT unnest(ARRAY[${names}]::regclass[]) AS live;\n`
  yield switchedOff
  yield 'SET LOCAL search_path TO DEFAULT;\n' // functions that judge or make values may ask it, as when the application writes
  for (const loaded of tables) yield* statementsOf(loaded)
  yield 'SET LOCAL search_path = pg_catalog;\n'
  for (const sequence of database.sequences) yield setvalOf(sequence)
  yield 'SELECT after, comment FROM off \\gexec\n'
  for (const { table } of tables) yield checkOf(table, fingerprintFormatOf(database))
  yield 'COMMIT;\n'
}

const settings = String.raw`\set QUIET on
\set ON_ERROR_STOP on
\encoding UTF8
\pset tuples_only on
\pset format unaligned
SET standard_conforming_strings = on;
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL search_path = pg_catalog;
SET LOCAL row_security = off;
SET LOCAL quote_all_identifiers = off;
SET LOCAL statement_timeout = 0;
SET LOCAL TimeZone = 'UTC';
SET LOCAL DateStyle = 'ISO, YMD';
SET LOCAL IntervalStyle = 'postgres';
SET LOCAL extra_float_digits = 1;
SET LOCAL bytea_output = 'hex';
SET LOCAL lc_monetary = 'C';
SET LOCAL array_nulls = on;
SET LOCAL xmloption = 'content';
CREATE TEMP TABLE lines (line text) ON COMMIT DROP;
`

/** While rows come: foreign keys, what is NOT VALID and may be broken by rows of before, triggers, and rules. */
const switchedOff = String.raw`CREATE TEMP TABLE off ON COMMIT DROP AS
  SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS before,
    format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS after,
    format('COMMENT ON CONSTRAINT %I ON %s IS %L', conname, conrelid::regclass, obj_description(oid, 'pg_constraint')) AS comment
  FROM pg_constraint WHERE (contype = 'f' AND conparentid = 0 OR contype IN ('c', 'n') AND NOT convalidated AND coninhcount = 0)
    AND EXISTS (SELECT FROM loaded WHERE live IN (conrelid, confrelid)
      OR EXISTS (SELECT FROM pg_partition_tree(conrelid) WHERE relid = live))
  UNION ALL SELECT format('ALTER DOMAIN %s DROP CONSTRAINT %I', contypid::regtype, conname),
    format('ALTER DOMAIN %s ADD CONSTRAINT %I %s', contypid::regtype, conname, pg_get_constraintdef(k.oid)),
    format('COMMENT ON CONSTRAINT %I ON DOMAIN %s IS %L', conname, contypid::regtype, obj_description(k.oid, 'pg_constraint'))
  FROM pg_constraint AS k JOIN pg_type AS t ON t.oid = contypid WHERE contype = 'c' AND NOT convalidated AND pg_has_role(typowner, 'USAGE')
  UNION ALL SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', tgrelid::regclass, tgname),
    format('ALTER TABLE %s ENABLE %s TRIGGER %I', tgrelid::regclass, CASE tgenabled WHEN 'A' THEN 'ALWAYS' END, tgname), NULL
  FROM loaded JOIN pg_trigger t ON tgrelid = live WHERE ${isOfUsers('t')} AND tgenabled IN ('O', 'A')
  UNION ALL SELECT format('ALTER TABLE %s DISABLE RULE %I', ev_class::regclass, rulename),
    format('ALTER TABLE %s ENABLE %s RULE %I', ev_class::regclass, CASE ev_enabled WHEN 'A' THEN 'ALWAYS' END, rulename), NULL
  FROM loaded JOIN pg_rewrite ON ev_class = live WHERE ev_enabled IN ('O', 'A');
SELECT before FROM off \gexec
`

function* statementsOf({ table, path }: LoadedTable): Generator<string> {
  if (table.rows === 0) return
  const stored = table.columns.filter(({ generated }) => generated === '')
  const listOf = (textOf: (column: Column) => string) => stored.map(textOf).join(', ')
  const inJson = listOf(({ name, type, asText }) => `${quote(name)} ${asText ? 'text' : checkedType(type)}`)
  const inTable = listOf(
    ({ name, type, asText }) => `r.${quote(name)}${asText ? `::${checkedType(type)}` : ''}`,
  )
  yield `\\copy pg_temp.lines FROM '${path.replaceAll("'", "''")}' WITH (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02', ENCODING 'UTF8')\n`
  yield stored.length === 0
    ? `INSERT INTO ${qualified(table)} SELECT FROM pg_temp.lines;\n`
    : `INSERT INTO ${qualified(table)} (${listOf(({ name }) => quote(name))}) OVERRIDING SYSTEM VALUE SELECT ${inTable} FROM pg_temp.lines, pg_catalog.json_to_record(line::json) AS r (${inJson});\n`
  yield 'TRUNCATE pg_temp.lines;\n'
}

function setvalOf({ schema, sequence, lastValue, isCalled }: BackedUpSequence): string {
  if (!/^-?\d{1,19}$/.test(lastValue))
    throw new BackupDamaged(`The sequence ${schema}.${sequence} of the backup stands at what is no number`)
  const name = literal(qualified({ schema, table: sequence }))
  return `SELECT setval(${name}, ${lastValue}, ${isCalled}) \\g /dev/null\n`
}

/** Of version 1 only the number of rows is compared: its fingerprints are of lines, which no table has. */
function checkOf(table: BackedUpTable, format: ReturnType<typeof fingerprintFormatOf>): string {
  const sum =
    format.version === 1
      ? ''
      : ` AND coalesce(sum(hashtextextended((v.*)::text, ${format.seed})), 0) = ${table.fingerprint}`
  const hashed = table.columns.map(hashedColumn).join(', ')
  return `SELECT ${literal(visibleName(table.name))}, CASE WHEN count(*) = ${table.rows}${sum} THEN 'is as backed up' ELSE 'differs' END FROM ONLY ${qualified(table)} AS r CROSS JOIN LATERAL (SELECT ${hashed}) AS v;\n`
}

function hashedColumn({ name, type, asText }: Column): string {
  const column = `r.${quote(name)}`
  if (!asText) return column
  const text = type.includes('.')
    ? `CASE WHEN ${column} IS DISTINCT FROM NULL THEN concat(${column}) END`
    : `${column}::text`
  return `${text} AS ${quote(name)}`
}

const named = String.raw`(?:"(?:[^"\0]|"")+"|[\p{L}_][\p{L}\p{N}_$]*)`
const modified = String.raw`\((?:-?\d+|[\p{L}_][\p{L}\p{N}_]*)(?:, ?(?:-?\d+|[\p{L}_][\p{L}\p{N}_]*))*\)`
/** Of more than one word only these: whatever else follows a word would be an operator, and what stands behind that is carried out. */
const ofWords = `double precision|(?:character|bit) varying|interval (?:year|month|day|hour|minute|second)(?: to (?:month|hour|minute|second))?`
const ofTimes = String.raw`time(?:stamp)?(?:\(\d\))? with(?:out)? time zone`
/** What format_type writes, and no expression. */
const types = new RegExp(
  String.raw`^(?:${ofTimes}|(?:${ofWords}|${named}(?:\.${named})?)(?:${modified})?)(?:\[\])*$`,
  'u',
)

function checkedType(type: string): string {
  if (types.test(type)) return type
  throw new BackupDamaged(
    `The backup names a type that is none: ${JSON.stringify(type)}. Nothing was written for psql; use another backup`,
  )
}
