import { randomFrom } from '../backup/damages.ts'
import { typesSql, valuesByType } from './every-type.ts'

/** Before the first world, as superuser and then as the owner: extensions, types, and what values of `regclass` name. */
export const preparation = {
  admin: 'CREATE EXTENSION hstore SCHEMA public; CREATE EXTENSION citext SCHEMA public',
  owner: `CREATE SCHEMA app; SET search_path = app, public; ${typesSql} CREATE TABLE app.every_type ()`,
}

type Typed = { name: string; type: string; values: readonly string[] }

/** What the generator has to know of a table to change it. */
type Made = {
  name: string
  hasKey: boolean
  /** Every some row is longer than a page, or than a line that is sent with others. */
  isFat: boolean
  hasGenerated: boolean
  isBig: boolean
  columns: Typed[]
  /** The leaves of a partitioned table by the thousand of `n` that each holds, those that are detached included. */
  leaves: { at: number; attached: boolean }[] | null
  /** The highest `n` so far. */
  last: number
  /** Referenced by another, or referring to one: it is not dropped, nor truncated alone. */
  isBound: boolean
}

export type Nights = {
  /** The tables of the world and their first rows. Each statement is run by itself, with app and public in the path. */
  made: string[]
  /** What happens until the next night: for some statements Postgres wants no transaction. */
  nextDay(): string[]
}

/** Every type but text, which `note` is, each with a few values. */
const types = valuesByType
  .filter(([type]) => type !== 'text')
  .map(([type, values]) => ({ type, values: values.filter((value) => !value.includes('repeat(')) }))

/** Rows that a leaf may hold by `n`. */
const inLeaf = 1000

/**
 * Tables with and without keys, with duplicates, of all types, partitioned, with long rows, of no columns; and what can
 * become of them from one night to the next. The same seed gives the same statements.
 */
export function randomNights(seed: number): Nights {
  const draw = randomFrom(seed)
  const oneOf = <One>(list: readonly One[]): One => list[draw(list.length)] as One
  const sometimes = (oneIn: number) => draw(oneIn) === 0
  let named = 0
  const salt = () => `${seed}.${++named}`

  const drawTyped = (): Typed => ({ name: `c${++named}`, ...oneOf(types) })
  const drawTable = (given: Partial<Made> = {}): Made => ({
    name: `t${++named}`,
    hasKey: !sometimes(3),
    isFat: sometimes(4),
    hasGenerated: sometimes(4),
    isBig: sometimes(3),
    columns: Array.from({ length: draw(4) }, drawTyped),
    leaves: null,
    last: 0,
    isBound: false,
    ...given,
  })
  const sql = ({ name }: { name: string }) => `app.${name}`
  const leafOf = (table: Made, at: number) => `${table.name}_p${at}`
  const attached = (table: Made) => table.leaves?.filter((leaf) => leaf.attached) ?? []
  /** The relations of a table that hold rows. */
  const relationsOf = (table: Made) =>
    table.leaves === null ? [table.name] : attached(table).map(({ at }) => leafOf(table, at))
  const rowsOf = (table: Made) => (table.isBig ? 500 + draw(1500) : draw(60))

  /** A value that depends on `g`; one in some is NULL. */
  const drawnOf = ({ type, values }: Typed) => {
    const cases = values.map((value, index) => `WHEN ${index} THEN (${value})::${type}`)
    return `CASE g % ${values.length + 1} ${cases.join(' ')} END`
  }
  const notesOf = (table: Made) => {
    const short = `repeat(md5('${salt()} ' || g), 1 + g * 7919 % 20)`
    if (!table.isFat) return short
    const long = `(SELECT string_agg(md5(g || '.' || i), '') FROM generate_series(1, ${900 + draw(2500)}) i)`
    return `CASE WHEN g % 29 = 0 THEN ${long} ELSE ${short} END`
  }
  /** Columns that are given values; the key and generated ones have their own. */
  const namesOf = (table: Made) => ['n', 'note', ...table.columns.map(({ name }) => name)]

  const insert = (table: Made, count: number): string[] => {
    if (count === 0) return []
    if (table.leaves !== null && attached(table).length === 0) return []
    const from = table.last + 1
    table.last += count
    const leaf = table.leaves === null ? null : oneOf(attached(table)).at
    // A table without a key has some rows several times.
    const n =
      leaf !== null
        ? `${leaf * inLeaf} + g % ${inLeaf}`
        : table.hasKey || sometimes(2)
          ? 'g'
          : `g / ${2 + draw(3)}`
    const values = [n, notesOf(table), ...table.columns.map(drawnOf)]
    return [
      `INSERT INTO ${sql(table)} (${namesOf(table).join(', ')}) SELECT ${values.join(', ')} FROM generate_series(${from}, ${table.last}) g`,
    ]
  }
  const addLeaf = (table: Made): string => {
    const at = Math.max(-1, ...(table.leaves ?? []).map((leaf) => leaf.at)) + 1
    table.leaves?.push({ at, attached: true })
    return `CREATE TABLE app.${leafOf(table, at)} PARTITION OF ${sql(table)} ${boundsOf(at)}`
  }
  const boundsOf = (at: number) => `FOR VALUES FROM (${at * inLeaf}) TO (${(at + 1) * inLeaf})`

  const create = (table: Made, references?: Made): string[] => {
    const isPartitioned = table.leaves !== null
    const fill = isPartitioned ? '' : oneOf(['', '', ' WITH (fillfactor = 25)'])
    const definitions = [
      ...(isPartitioned ? ['id bigserial'] : ['id bigint GENERATED BY DEFAULT AS IDENTITY']),
      'n int',
      'note text',
      ...table.columns.map(({ name, type }) => `${name} ${type}`),
      ...(table.hasGenerated ? ['made int GENERATED ALWAYS AS (n * 2) STORED'] : []),
      ...(references ? [`up bigint REFERENCES ${sql(references)} ON DELETE SET NULL`] : []),
      ...(table.hasKey ? [isPartitioned ? 'PRIMARY KEY (id, n)' : 'PRIMARY KEY (id)'] : []),
    ]
    // Without a key, rows that look alike are alike.
    const columns = table.hasKey ? definitions : definitions.slice(1)
    return [
      `CREATE TABLE ${sql(table)} (${columns.join(', ')})${isPartitioned ? ' PARTITION BY RANGE (n)' : fill}`,
      ...(isPartitioned ? [addLeaf(table), addLeaf(table)] : []),
      ...insert(table, rowsOf(table)),
      ...(isPartitioned ? insert(table, rowsOf(table)) : []),
    ]
  }

  const parent = drawTable({ hasKey: true, isBound: true })
  const child = drawTable({ isBound: true })
  const others = [drawTable({ isBig: true }), drawTable({ leaves: [] })]
  for (let more = draw(3); more > 0; more--)
    others.push(drawTable(sometimes(3) ? { leaves: [] } : sometimes(2) ? { hasKey: false } : {}))
  const tables = [parent, child, ...others]

  const made = [
    ...create(parent),
    ...create(child, parent),
    `UPDATE ${sql(child)} SET up = (SELECT id FROM ${sql(parent)} ORDER BY id LIMIT 1) WHERE n % 3 = 0`,
    ...others.flatMap((table) => create(table)),
    'CREATE TABLE app.no_columns ()',
    'INSERT INTO app.no_columns SELECT FROM generate_series(1, 3)',
    'CREATE SEQUENCE app.free',
  ]

  /** Some rows, spread over the table. */
  const spread = () => `n % ${2 + draw(40)} = 0`
  const newest = (table: Made) =>
    `n > (SELECT max(n) FROM ${sql(table)}) - ${1 + draw(Math.max(2, Math.ceil(table.last / 20)))}`
  const one = (table: Made) => `n = (SELECT n FROM ${sql(table)} ORDER BY md5(n || '${salt()}'), n LIMIT 1)`
  const some = (table: Made) => [spread, newest, one][draw(3)]!(table)
  const columnsMayChange = (table: Made) => (table.leaves ?? []).every((leaf) => leaf.attached)

  /** Each gives statements, or none when the table is not one for it. */
  const changes: Record<string, (table: Made) => string[]> = {
    insert: (table) => insert(table, 1 + draw(table.isBig ? 150 : 20)),
    'insert more': (table) => insert(table, 1 + draw(table.isBig ? 400 : 20)),
    'update notes': (table) => [
      `UPDATE ${sql(table)} SET note = '${salt()}' || coalesce(note, '') WHERE ${some(table)}`,
    ],
    'update, again': (table) => [
      `UPDATE ${sql(table)} SET note = md5(coalesce(note, '') || '${salt()}') WHERE ${newest(table)}`,
    ],
    'update of a value': (table) => {
      if (table.columns.length === 0) return []
      const column = oneOf(table.columns)
      const value = `(SELECT ${drawnOf(column)} FROM (SELECT ${draw(9)} AS g) AS drawn)`
      return [`UPDATE ${sql(table)} SET ${column.name} = ${value} WHERE ${some(table)}`]
    },
    'update of nothing': (table) => [`UPDATE ${sql(table)} SET n = n WHERE ${some(table)}`],
    'notes change places': (table) => [
      `UPDATE ${sql(table)} t SET note = o.note FROM (SELECT n, lead(note) OVER (ORDER BY n, note) AS note FROM ${sql(table)}) o WHERE o.n = t.n AND t.${spread()}`,
    ],
    delete: (table) => [`DELETE FROM ${sql(table)} WHERE ${some(table)}`],
    'delete all': (table) => (sometimes(3) ? [`DELETE FROM ${sql(table)}`] : []),
    'delete and insert': (table) => {
      const names = [...(table.hasKey ? ['id'] : []), ...namesOf(table)].join(', ')
      return [
        `WITH gone AS (DELETE FROM ${sql(table)} WHERE ${some(table)} RETURNING *) INSERT INTO ${sql(table)} (${names}) SELECT ${names} FROM gone`,
      ]
    },
    duplicate: (table) => {
      if (table.hasKey) return []
      const names = namesOf(table).join(', ')
      return [
        `INSERT INTO ${sql(table)} (${names}) SELECT ${names} FROM ${sql(table)} WHERE ${some(table)} LIMIT 40`,
      ]
    },
    'one of duplicates': (table) =>
      table.hasKey
        ? []
        : relationsOf(table).map(
            (name) =>
              `DELETE FROM app.${name} WHERE ctid IN (SELECT min(ctid) FROM app.${name} GROUP BY n HAVING count(*) > 1 LIMIT ${1 + draw(9)})`,
          ),
    truncate: (table) => (table.isBound || sometimes(2) ? [] : [`TRUNCATE ${sql(table)}`]),
    vacuum: (table) => [`VACUUM ${sql(table)}`],
    'vacuum full': (table) => relationsOf(table).map((name) => `VACUUM FULL app.${name}`),
    cluster: (table) =>
      relationsOf(table).flatMap((name) => [
        `CREATE INDEX IF NOT EXISTS c_${name} ON app.${name} (n)`,
        `CLUSTER app.${name} USING c_${name}`,
      ]),
    'add column': (table) => {
      if (!columnsMayChange(table)) return []
      const column = drawTyped()
      const value = sometimes(2) ? '' : ` DEFAULT (${column.values[0]})::${column.type}`
      table.columns.push(column)
      return [`ALTER TABLE ${sql(table)} ADD ${column.name} ${column.type}${value}`]
    },
    'drop column': (table) => {
      const gone = table.columns[0]
      if (gone === undefined || !columnsMayChange(table)) return []
      table.columns.shift()
      return [`ALTER TABLE ${sql(table)} DROP ${gone.name}`]
    },
    'rename column': (table) => {
      const column = table.columns[0]
      if (column === undefined || !columnsMayChange(table)) return []
      const before = column.name
      table.columns[0] = { ...column, name: `c${++named}` }
      return [`ALTER TABLE ${sql(table)} RENAME ${before} TO ${table.columns[0].name}`]
    },
    'type of a column': (table) =>
      table.hasGenerated || table.leaves !== null
        ? []
        : [`ALTER TABLE ${sql(table)} ALTER n TYPE ${oneOf(['bigint', 'int'])}`],
    'add partition': (table) =>
      table.leaves !== null && columnsMayChange(table)
        ? [addLeaf(table), ...insert(table, 1 + draw(40))]
        : [],
    detach: (table) => {
      const [first] = attached(table)
      if (first === undefined) return []
      first.attached = false
      return [`ALTER TABLE ${sql(table)} DETACH PARTITION app.${leafOf(table, first.at)}`]
    },
    attach: (table) => {
      const loose = table.leaves?.find((leaf) => !leaf.attached)
      if (loose === undefined) return []
      loose.attached = true
      return [
        `ALTER TABLE ${sql(table)} ATTACH PARTITION app.${leafOf(table, loose.at)} ${boundsOf(loose.at)}`,
      ]
    },
    'drop table': (table) => {
      if (table.isBound || tables.length < 5) return []
      tables.splice(tables.indexOf(table), 1)
      const loose = table.leaves?.filter((leaf) => !leaf.attached) ?? []
      // A leaf that was detached still asks the sequence of the whole table.
      return [...loose.map(({ at }) => leafOf(table, at)), table.name].map((name) => `DROP TABLE app.${name}`)
    },
    'create table': () => {
      const table = drawTable(sometimes(3) ? { leaves: [] } : {})
      if (tables.length > 8) return []
      tables.push(table)
      return create(table)
    },
    /** The same rows in a table of the same name. */
    'create again': (table) => {
      if (table.isBound || table.leaves !== null) return []
      const names = [...(table.hasKey ? ['id'] : []), ...namesOf(table)].join(', ')
      const moved = `app.moved${++named}`
      return [
        `CREATE TABLE ${moved} (LIKE ${sql(table)} INCLUDING ALL)`,
        `INSERT INTO ${moved} (${names}) SELECT ${names} FROM ${sql(table)}`,
        `DROP TABLE ${sql(table)}`,
        `ALTER TABLE ${moved} RENAME TO ${table.name}`,
        ...(table.hasKey
          ? [
              `SELECT setval(pg_get_serial_sequence('${sql(table)}', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM ${sql(table)}))`,
            ]
          : []),
      ]
    },
    sequence: () => [
      sometimes(2)
        ? `SELECT nextval('app.free')`
        : `SELECT setval('app.free', ${1 + draw(10000)}, ${sometimes(2)})`,
    ],
    'no columns': () => [
      sometimes(2)
        ? 'INSERT INTO app.no_columns SELECT FROM generate_series(1, 2)'
        : 'DELETE FROM app.no_columns WHERE ctid = (SELECT min(ctid) FROM app.no_columns)',
    ],
  }

  return {
    made,
    nextDay() {
      if (sometimes(6)) return []
      return Array.from({ length: 1 + draw(6) }, () => {
        const what = oneOf(Object.keys(changes))
        return changes[what]!(oneOf(tables))
      }).flat()
    },
  }
}

/** What takes a world away. */
export const endOfWorld = `DO $$ DECLARE gone text; BEGIN
  FOR gone IN SELECT format('app.%I', relname) FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'every_type'
  LOOP EXECUTE 'DROP TABLE ' || gone || ' CASCADE'; END LOOP;
  DROP SEQUENCE IF EXISTS app.free; END $$`
