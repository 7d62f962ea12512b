import { createHash } from 'node:crypto'
import { fenceKey } from '../../lib/cache/keys.ts'
import type { FreshStack } from '../support/stack.ts'
import { filesBucket, filesPrefix, type useResetStack } from './reset-stack.ts'

type Reset = ReturnType<typeof useResetStack>

/** What of a table is compared, by its columns of the day of the baseline. */
export type Columns = Record<string, string[]>

/** All that there is, as its owner sees it: rows by key, sums of tables, sequences, checksums of files, and values of keys. */
export type Look = {
  rows: Record<string, Record<string, string>>
  tables: Record<string, string>
  sequences: Record<string, string>
  files: Record<string, string>
  keys: Record<string, string>
}

/** A pseudo-random sequence that is the same each time. */
export function dice(seed: number) {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const upTo = (most: number) => Math.floor(next() * (most + 1))
  return { upTo, oneOf: <One>(of: readonly One[]): One => of[upTo(of.length - 1)] as One }
}
type Dice = ReturnType<typeof dice>

/** A demo as somebody filled it: a small shop, its pictures, and what its cache holds, of each type. */
export async function fillDemo({ stack, put }: Reset): Promise<void> {
  await stack.sql.query(`DROP SCHEMA public CASCADE; CREATE SCHEMA public;
    CREATE TABLE people (id serial PRIMARY KEY, name text NOT NULL, likes jsonb, legacy text DEFAULT 'old');
    CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      person int NOT NULL REFERENCES people ON DELETE CASCADE, total numeric(12,2) NOT NULL, at timestamptz DEFAULT now());
    CREATE TABLE log (id serial PRIMARY KEY, what text);
    CREATE MATERIALIZED VIEW spent AS SELECT person, sum(total) AS total FROM orders GROUP BY person;
    INSERT INTO people (name, likes) SELECT 'person ' || i, jsonb_build_object('n', i) FROM generate_series(1, 60) AS i;
    INSERT INTO orders (person, total) SELECT 1 + i % 60, i * 1.25 FROM generate_series(1, 150) AS i;
    INSERT INTO log (what) SELECT 'filled ' || i FROM generate_series(1, 80) AS i;
    REFRESH MATERIALIZED VIEW spent`)
  for (let at = 0; at < 12; at++) await put(`${filesPrefix}picture ${at}.svg`, `<svg>${at}</svg>`)
  const pipeline = stack.redis.pipeline()
  for (let at = 0; at < 12; at++) pipeline.set(`page:${at}`, `page ${at}`)
  pipeline.set('session:anna', 'in').pexpire('session:anna', 3_600_000)
  pipeline.rpush('list', 'a', 'b', 'c').hset('hash', { a: '1', b: '2' }).sadd('set', 'x', 'y', 'z')
  pipeline.zadd('board', 1, 'anna', 2, 'bert').xadd('stream', '1-1', 'said', 'hello').setbit('bits', 77, 1)
  pipeline.pfadd('visitors', 'anna', 'bert')
  await pipeline.exec()
}

/** What an application does to it in a day: rows, files and keys come, change and go. */
export async function liveDay({ stack, put, remove, objects }: Reset, day: number, by: Dice): Promise<void> {
  const some = (table: string, most: number) =>
    `(SELECT id FROM ${table} ORDER BY md5(id::text || '${day}') LIMIT ${by.upTo(most)})`
  await stack.sql.query(`
    INSERT INTO people (name) SELECT 'guest ' || ${day} || ' ' || i FROM generate_series(1, ${1 + by.upTo(9)}) AS i;
    UPDATE people SET name = 'renamed ' || ${day}, likes = '[${day}]' WHERE id IN ${some('people', 12)};
    DELETE FROM people WHERE id IN ${some('people', 5)};
    INSERT INTO orders (person, total) SELECT id, ${day} + 0.5 FROM people ORDER BY md5(id::text) LIMIT ${by.upTo(15)};
    DELETE FROM orders WHERE id IN ${some('orders', 20)};
    INSERT INTO log (what) VALUES ('day ${day}');
    ${by.upTo(3) === 0 ? 'TRUNCATE log' : ''};
    REFRESH MATERIALIZED VIEW spent`)
  const there = (await objects(filesBucket, filesPrefix)).map(({ key }) => key)
  await put(`${filesPrefix}upload ${day}.txt`, `uploaded on day ${day}`)
  await put(by.oneOf(there), `<svg>overwritten on day ${day}</svg>`)
  await remove(filesBucket, [by.oneOf(there)])
  const pipeline = stack.redis.pipeline()
  pipeline
    .set(`page:${by.upTo(20)}`, `day ${day}`)
    .del(`page:${by.upTo(11)}`)
    .rpush('list', String(day))
  pipeline.hset('hash', { [`f${by.upTo(3)}`]: String(day) }).srem('set', by.oneOf(['x', 'y', 'z']))
  pipeline.zincrby('board', day, by.oneOf(['anna', 'bert', 'carl'])).xadd('stream', '*', 'said', String(day))
  pipeline.persist('session:anna').set(`gone:${day}`, 'soon').pexpire(`gone:${day}`, 1)
  if (by.upTo(2) === 0)
    pipeline.del(by.oneOf(['list', 'hash', 'set', 'board', 'stream', 'bits', 'session:anna']))
  await pipeline.exec()
}

export const columns: Columns = {
  people: ['id', 'name', 'likes', 'legacy'],
  orders: ['id', 'person', 'total', 'at'],
  log: ['id', 'what'],
}

/** Looks past the product. @param of the columns that are compared */
export async function look({ stack, objects, bytesOf }: Reset, of: Columns): Promise<Look> {
  const found: Look = { rows: {}, tables: {}, sequences: {}, files: {}, keys: {} }
  for (const [table, names] of Object.entries(of)) {
    const { rows } = await stack.admin.query(
      `SELECT t.id::text AS id, md5(t::text) AS sum FROM (SELECT ${names.join(', ')} FROM public.${table}) AS t ORDER BY t.id`,
    )
    found.rows[table] = Object.fromEntries(rows.map(({ id, sum }) => [id, sum]))
    found.tables[table] = sumOf(JSON.stringify(rows))
  }
  const spent = await stack.admin.query('SELECT * FROM public.spent ORDER BY person')
  found.tables.spent = sumOf(JSON.stringify(spent.rows))
  for (const name of ['people_id_seq', 'orders_id_seq', 'log_id_seq']) {
    const { rows } = await stack.admin.query(`SELECT last_value, is_called FROM public.${name}`)
    found.sequences[name] = JSON.stringify(rows)
  }
  for (const { key } of await objects(filesBucket)) found.files[key] = sumOf(await bytesOf(key, filesBucket))
  found.keys = await lookAtKeys(stack)
  return found
}

/** Each value as Redis dumps it, or of a type without an order its members, and whether it ends some time. */
async function lookAtKeys({ redis }: FreshStack): Promise<Record<string, string>> {
  const keys: Record<string, string> = {}
  for (const key of (await redis.keys('*')).filter((key) => key !== fenceKey).sort()) {
    const type = await redis.type(key)
    const unordered =
      type === 'set'
        ? (await redis.smembers(key)).sort()
        : type === 'hash' && Object.entries(await redis.hgetall(key)).sort()
    const value = unordered ? JSON.stringify(unordered) : await redis.dumpBuffer(key)
    if (value !== null) keys[key] = `${type} ${sumOf(value)} ${(await redis.pttl(key)) > 0}`
  }
  return keys
}

function sumOf(bytes: Buffer | string): string {
  return createHash('md5').update(bytes).digest('hex')
}

/** What a comparison of the two has to find of each table. */
export function changesBetween(before: Look, after: Look) {
  return Object.keys(before.rows).map((table) => ({
    name: `public.${table}`,
    ...changesOf(before.rows[table] ?? {}, after.rows[table] ?? {}),
  }))
}

/** The same of any things that have a name, and a sum that is another one when they were changed. */
export function changesOf(was: Record<string, string>, is: Record<string, string>) {
  const missing = Object.keys(was).filter((id) => !(id in is)).length
  const extra = Object.keys(is).filter((id) => !(id in was)).length
  const changed = Object.keys(is).filter((id) => id in was && was[id] !== is[id]).length
  return { extra, missing, changed }
}
