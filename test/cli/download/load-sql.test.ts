import { describe, expect, test } from 'vitest'
import type { Backup } from '../../../lib/backup/read.ts'
import { loadSql } from '../../../local/cli/download/load-sql.ts'
import { schemaSql } from '../../../local/cli/download/schema-sql.ts'

const column = (type: string, more: object = {}) => ({
  ...{ name: 'a', type, asText: true, notNull: false, hasDefault: false, generated: '', identity: '' },
  ...more,
})

function scriptOf(columns: object[], sequences: object[] = [], names = { schema: 'public', table: 't' }) {
  const table = {
    name: `${names.schema}.${names.table}`,
    ...names,
    oid: 1,
    columns,
    rows: 3,
    fingerprint: '7',
    parts: [],
  }
  const database = { seed: '1', tables: [table], sequences } as unknown as NonNullable<Backup['database']>
  return [
    ...loadSql({ backupId: 'b', database }, [{ table: table as never, path: 'database/t.jsonl' }]),
  ].join('')
}

describe('the script for psql', () => {
  test.each([
    ...['integer', 'character varying(20)[]', 'timestamp(3) with time zone', 'numeric(38,-2)', '"char"'],
    ...['bit varying(3)[]', 'double precision', 'time without time zone[]', 'bit(3)', 'interval(2)'],
    ...['interval day to second(3)', String.raw`"o'dd"."Mo \od;"[]`, 'geometry(Point,4326)', 'größe'],
  ])('takes the type %s', (type) => {
    expect(scriptOf([column(type)])).toContain(`r."a"::${type} FROM pg_temp.lines`)
  })

  test.each([
    ...[
      'int; DROP TABLE users',
      'int) AS r; --',
      'int\n\\! touch /tmp/x',
      "text DEFAULT 'x'",
      'int /* */',
      '',
    ],
    ...['"a', 'int, b int', 'int\\gexec', ':x', '$$', 'a--b'],
    // Nor what is asked behind one: of words alone, and names of columns, a function can be called.
    ...['boolean OR pg_sleep(5) IS NULL', 'text FROM pg_read_file(a) WHERE true OR "a"', 'int FETCH FIRST'],
    ...['interval day AND x(1)', 'a.b.c', 'int (1) (2)', 'double "a"', 'time zone', '"a" "b"'],
  ])('takes no statement for a type: %j', (type) => {
    for (const asText of [true, false])
      expect(() => scriptOf([column(type, { asText })])).toThrow(
        expect.objectContaining({ name: 'BackupDamaged' }),
      )
  })

  test('takes no statement for a number, and names as names', () => {
    const sequence = { name: 's', schema: 'public', sequence: "s'); \\! x", isCalled: true }
    expect(() => scriptOf([], [{ ...sequence, lastValue: '1); DROP TABLE t' }])).toThrow(/no number/)
    expect(scriptOf([], [{ ...sequence, lastValue: '-5' }])).toContain(
      String.raw`SELECT setval( E'"public"."s''); \\! x"', -5, true)`,
    )
    expect(scriptOf([], [], { schema: 'a"b', table: "c'd" })).toContain(
      `INSERT INTO "a""b"."c'd" SELECT FROM pg_temp.lines`,
    )
  })

  test('says how a table is without what a terminal would obey in its name, which psql prints as it is', () => {
    const last = scriptOf([], [], { schema: 'public', table: '\u001b[2J\n' }).trim().split('SELECT ').at(-2)
    expect(last).toContain(String.raw`E'public.\\u001b[2J\\u000a', CASE`)
  })

  test('says what the text of the schema leaves out, in comments that end', () => {
    const definition = { sql: 'CREATE TABLE t ();\n', leftOut: ['views: a\n\\! x'], migrations: [] }
    expect([...schemaSql(definition)].join('')).toContain('-- Not in it: views: a \\! x\n')
  })
})
