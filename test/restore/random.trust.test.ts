import fc from 'fast-check'
import { beforeAll, expect, it } from 'vitest'
import { compareBackup } from '../../lib/database/load/rehearse.ts'
import { restoreDatabase } from '../../lib/database/restore/restore.ts'
import { dropScratch } from '../../lib/database/scratch/drop.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { databaseOf, plannedRun, restoredBy } from '../../lib/run/planning/plan.ts'
import { backUp, configured, planReset, useDatabase } from '../database/database-stack.ts'
import { typesSql, valuesByType } from '../database/every-type.ts'
import { asFound, rounds, tried } from '../support/trust.ts'
import { dump } from './dump.ts'
import { load, planRestore, readBackupOf } from './steps.ts'

const tables = rounds({ short: 12, full: 200 })
const database = useDatabase()

beforeAll(async () => {
  await database.admin.query(
    'CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public; CREATE EXTENSION IF NOT EXISTS citext SCHEMA public',
  )
  await database.sql.query(`CREATE SCHEMA app; SET search_path = app, public; ${typesSql}
    CREATE TABLE app.every_type (); CREATE TABLE app.log (what text);
    CREATE FUNCTION app.spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.log VALUES (TG_OP); RETURN NULL; END $$`)
})

/** Any character that Postgres takes, none of them rare. */
const character = fc.oneof(
  fc.constantFrom(
    ...'\\"\'{}[](),.:;%$N\n\r\t\b\f\u0001\u0002\u001f\u007f\u0085\u2028\u2029\ufeff\ud7ff\uffff 0',
  ),
  fc.constantFrom('\u{1F600}', '\u{10FFFF}', 'e\u0301', '\\N', '\\.', '\n\\.\n'),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 3 }).filter((text) => !text.includes('\0')),
)
const text = fc.array(character, { maxLength: 12 }).map((list) => list.join(''))
const name = fc.oneof(
  fc.constantFrom(
    'select',
    'order',
    'line',
    'v',
    'r',
    'lines',
    'tid',
    'key',
    'rows',
    'A',
    'a',
    'ctid_',
    'public',
  ),
  text.filter((one) => one !== '' && Buffer.byteLength(one) < 60),
)
const quoted = (one: string) => `"${one.replaceAll('"', '""')}"`
const literal = (one: string) => `E'${one.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`

const listed = fc.constantFrom(...valuesByType).map(([type, values]) => ({
  type,
  value: fc.constantFrom('NULL', ...values.map((value) => `(${value})::${type}`)),
}))
const written = fc.constantFrom(
  { type: 'text', value: text.map(literal) },
  { type: 'text[]', value: fc.array(text).map((list) => `ARRAY[${list.map(literal)}]::text[]`) },
  { type: 'json', value: text.map((one) => `${literal(`  {"a":${JSON.stringify(one)},\n"a" : 1}`)}::json`) },
  { type: 'jsonb', value: text.map((one) => `to_jsonb(${literal(one)}::text)`) },
  { type: 'app.pair', value: text.map((one) => `ROW(1, ${literal(one)})::app.pair`) },
  { type: 'hstore', value: text.map((one) => `public.hstore(${literal(one)}, ${literal(one)})`) },
  { type: 'double precision', value: fc.double().map((one) => `'${one}'::float8`) },
  { type: 'real', value: fc.float().map((one) => `'${one}'::float4`) },
  {
    type: 'numeric',
    value: fc.tuple(fc.bigInt(), fc.nat(30)).map(([n, scale]) => `${n}::numeric / 1e${scale}`),
  },
  {
    type: 'bytea',
    value: fc.uint8Array().map((bytes) => `'\\x${Buffer.from(bytes).toString('hex')}'::bytea`),
  },
  {
    type: 'timestamptz',
    value: fc
      .integer({ min: -200_000_000_000, max: 9_000_000_000_000 })
      .map((n) => `to_timestamp(${n}.123457)`),
  },
  {
    type: 'interval',
    value: fc
      .tuple(fc.integer(), fc.integer(), fc.integer())
      .map(([m, d, s]) => `make_interval(months => ${m}, days => ${d}, secs => ${s}.000001)`),
  },
)

const table = fc.record({
  name,
  columns: fc
    .uniqueArray(fc.tuple(name, fc.oneof(listed, written)), { maxLength: 8, selector: ([column]) => column })
    .chain((columns) =>
      fc.record({
        names: fc.constant(columns.map(([column]) => column)),
        types: fc.constant(columns.map(([, { type }]) => type)),
        rows: fc.array(fc.tuple(...columns.map(([, { value }]) => value)), { maxLength: 6 }),
      }),
    ),
  extra: fc.subarray([
    'identity',
    'serial',
    'generated',
    'trigger',
    'rule',
    'security',
    'self',
    'partitions',
    'child',
    'dropped',
  ]),
})

/** A table with what was drawn for it; `n` makes its name the only one. */
function sqlOf(
  { name, columns, extra }: typeof table extends fc.Arbitrary<infer Drawn> ? Drawn : never,
  n: number,
): string {
  const has = (what: string) => (extra as string[]).includes(what)
  const isPartitioned = has('partitions')
  const hasChild = has('child') && !isPartitioned && !has('identity') // identity columns are not inherited
  const relation = `app.${quoted(`${name.slice(0, 20)}${n}`)}`
  const definitions = columns.names.map((column, index) => `${quoted(column)} ${columns.types[index]}`)
  if (has('identity') && !isPartitioned)
    definitions.push(`__id int GENERATED ALWAYS AS IDENTITY (START ${n + 1} INCREMENT 3)`)
  if (has('serial')) definitions.push('__serial bigserial')
  if (has('dropped')) definitions.push('__gone int')
  definitions.push('__n int')
  if (has('generated')) definitions.push('__made int GENERATED ALWAYS AS (__n * 2) STORED')
  const values = columns.rows.map((row, index) => `(${[...row, index]})`)
  const into = `${relation} (${[...columns.names.map(quoted), '__n']})`
  return [
    `CREATE TABLE ${relation} (${definitions})${isPartitioned ? ' PARTITION BY RANGE (__n)' : ''}`,
    has('dropped') ? `ALTER TABLE ${relation} DROP __gone` : '',
    isPartitioned ? `CREATE TABLE app.p${n}a PARTITION OF ${relation} FOR VALUES FROM (0) TO (2)` : '',
    isPartitioned ? `CREATE TABLE app.p${n}b PARTITION OF ${relation} DEFAULT` : '',
    hasChild ? `CREATE TABLE app.c${n} () INHERITS (${relation})` : '',
    values.length > 0 ? `INSERT INTO ${into} VALUES ${values}` : '',
    hasChild && values.length > 0
      ? `INSERT INTO ${into.replace(relation, `app.c${n}`)} VALUES ${values}`
      : '',
    has('self')
      ? `ALTER TABLE ${relation} ADD UNIQUE (__n); ALTER TABLE ${relation} ADD up int; UPDATE ONLY ${relation} SET up = 0 WHERE false; ALTER TABLE ${relation} ADD FOREIGN KEY (up) REFERENCES ${relation} (__n)`
      : '',
    has('self') ? `UPDATE ${relation} SET up = __n` : '',
    has('trigger')
      ? `CREATE TRIGGER spoil AFTER INSERT ON ${relation} FOR EACH ROW EXECUTE FUNCTION app.spoil()`
      : '',
    has('rule') ? `CREATE RULE spoil AS ON INSERT TO ${relation} DO INSTEAD NOTHING` : '',
    has('security') ? `ALTER TABLE ${relation} ENABLE ROW LEVEL SECURITY` : '',
  ]
    .filter((statement) => statement !== '')
    .join(';\n')
}

it(`gives every row of ${tables} random tables back`, { ...asFound, timeout: 1_200_000 }, async () => {
  const { sql, admin } = database
  const clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'] })
  const seed = Date.now() % 2 ** 31
  const drawn = fc.sample(table, { numRuns: tables, seed })
  for (const [n, one] of drawn.entries()) await sql.query(sqlOf(one, n))
  const before = await dump(admin)
  const first = await planReset(clients)
  await backUp(clients, first)
  const relations = await sql.query(
    `SELECT format('%I.%I', nspname, relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'app' AND relkind = 'r'`,
  )
  for (const [index, { name }] of relations.rows.entries())
    if (index % 2 === 0)
      await sql.query(
        `ALTER TABLE ${name} DISABLE TRIGGER USER; DELETE FROM ONLY ${name}; ALTER TABLE ${name} ENABLE TRIGGER USER`,
      )
  const plan = await planRestore(clients, first.backupId)
  await load(clients, plan)
  await compareBackup(clients, { run: plannedRun(plan), ...restoredBy(plan) })
  await restoreDatabase(clients, { ...databaseOf(plan), backup: await readBackupOf(clients, first) })
  await withConnection(clients, (connection) => dropScratch(connection, plan.runId)) // as Finish does
  tried('random tables', { restored: tables })
  expect(await dump(admin), `with the seed ${seed}`).toEqual(before)
})
