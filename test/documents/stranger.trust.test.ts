import { execFile, execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { Manifest } from '../../lib/backup/manifest.ts'
import { prefix, startBackups } from '../backup/real-backups.ts'
import { runScript } from '../cli/run-script.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { blocksOf } from './blocks.ts'

const run = promisify(execFile)
const there = (program: string) => {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
const missing = ['zstd', 'psql'].filter((program) => !there(program))
const reason = missing.length === 0 ? undefined : `Not installed: ${missing.join(', ')}`

/** What JSON cannot carry, names and types that have to be quoted, ranges of which some are empty, and what is not loaded. */
const odd = String.raw`
  CREATE SCHEMA "o'dd"; CREATE TYPE "o'dd"."Mo od" AS ENUM ('o''k', 'b"ad'); CREATE DOMAIN "o'dd".small AS int CHECK (VALUE < 10);
  CREATE TYPE "o'dd".pair AS (a int, b text);
  CREATE TABLE "va\lue's" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "te""xt, %s" text, flag bool, amount numeric, ratio float8,
    at timestamptz, list text[], doc jsonb, raw json, bytes bytea, span int4range, twice int GENERATED ALWAYS AS (length("te""xt, %s")) STORED,
    mood "o'dd"."Mo od", small "o'dd".small, pair "o'dd".pair, pairs "o'dd".pair[], "char" "char", kind regclass, ago interval, price money);
  INSERT INTO "va\lue's" ("te""xt, %s", flag, amount, ratio, at, list, doc, raw, bytes, span, mood, small, pair, pairs, "char", kind, ago, price) VALUES
    (E'\\N \\. "q" / \b\f\n\r\t \x01\x02\x1f\x7f ü 💎 \u2028', true, 1.10, 1e300, '2026-11-22T12:00:00.5Z', '[0:2]={a,NULL,"NULL"}', 'null', E'{ "a":\n1, "a": 2 }', '\x00ff', '[1,5)', 'o''k', 9, '(1,"x,y")', ARRAY['(1,)', NULL]::"o'dd".pair[], 'x', 'pg_class', '1 mon -3 days', 12.34),
    ('', false, 'NaN', '-Infinity', 'infinity', '{}', '{"\\n": "\"\\", "": [1.10, true]}', '"\ud83d\ude00\u0001"', '', 'empty', 'b"ad', -1, '(,)', '{}', '', 'users', '-00:00:01', -1),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
  CREATE TABLE pages (id int PRIMARY KEY, pad text); ALTER TABLE pages ALTER pad SET STORAGE PLAIN;
  INSERT INTO pages SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 300) i;
  DELETE FROM pages WHERE id BETWEEN 100 AND 180;
  CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at);
  CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
  INSERT INTO parts SELECT i, '2026-11-22' FROM generate_series(1, 5) i;
  CREATE TABLE bare (); INSERT INTO bare SELECT FROM generate_series(1, 3);
  CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not while it is loaded'; END$$;
  CREATE TABLE guarded (id int, line text, r int); INSERT INTO guarded VALUES (1, 'a', 2);
  CREATE TRIGGER refuse BEFORE INSERT ON guarded EXECUTE FUNCTION refuse()`

/** On a table that is loaded, where nothing else would lose its rows. */
const rule = 'CREATE RULE nowhere AS ON INSERT TO guarded DO INSTEAD NOTHING'

const [script] = blocksOf('docs/formats.md').filter(
  ({ language, text }) => language === 'sql' && text.includes('lines'),
)
const [commands] = blocksOf('docs/formats.md').filter(({ text }) => text.includes('load.sql'))

describe('a backup, where nothing of this tool is left', () => {
  test.runIf(isFull)(
    `is restored with zstd and psql, by the commands of docs/formats.md as they stand ${inFullForm}`,
    async ({ skip }) => {
      if (reason !== undefined) skip(reason)
      const backups = await startBackups()
      const folder = await mkdtemp(join(tmpdir(), 'stranger-'))
      const fresh = new URL(backups.env.DATABASE_URL ?? '')
      const database = `${fresh.pathname.slice(1)}_fresh`
      try {
        await backups.fill('stranger')
        await backups.sql.query(`${odd}; ${rule}`)
        backups.onBeforeWipe(async () => {
          await backups.sql.query(
            `UPDATE pages SET pad = 'late' WHERE id = 200; INSERT INTO users (name) VALUES ('late')`,
          )
          await backups.redis.mset('page:3', 'late', 'page:new', 'late')
        })
        const tables = [
          'users',
          'worlds',
          '"Odd ""name/%"',
          'nothing',
          String.raw`"va\lue's"`,
          'pages',
          'parts',
          'guarded',
        ]
        const look = async (sql: Pick<typeof backups.sql, 'query'> = backups.sql) => {
          const rows: unknown[] = []
          for (const table of tables)
            rows.push((await sql.query(`SELECT r::text FROM ${table} AS r ORDER BY r::text`)).rows)
          rows.push((await sql.query('SELECT count(*) FROM bare')).rows)
          rows.push((await sql.query(`SELECT nextval('users_id_seq')`)).rows)
          return rows
        }
        await backups.run({ operation: 'backup' })
        await backups.sql.query(`UPDATE pages SET pad = 'changed' WHERE id = 250`)
        const { backupId } = await backups.run({
          operation: 'reset',
          strategy: 'full',
          confirm: 'local',
        })
        const id = backupId ?? ''
        expect((await backups.sql.query('SELECT FROM pages')).rowCount).toBe(0)
        const objects = await backups.read(`${prefix}${id}/`)
        const manifest = Manifest.parse(
          JSON.parse(objects.get(`${prefix}${id}/manifest.json`)?.toString() ?? ''),
        )
        const pages = manifest.database?.tables.find(({ table }) => table === 'pages')
        expect(pages?.parts[0]?.ranges?.count).toBeGreaterThan(5)
        expect(manifest.database?.takenOver?.rows).toBeGreaterThan(pages?.rows ?? 0) // of this table all but a range
        for (const [key, bytes] of objects) {
          if (key.startsWith(`${prefix}${id}/files/`)) continue // one of them is called as the folder is
          const file = join(folder, key.slice(prefix.length))
          await mkdir(dirname(file), { recursive: true })
          await writeFile(file, bytes)
        }
        const cwd = join(folder, id)
        await writeFile(join(cwd, 'by-hand.sql'), script?.text ?? '')
        const env = { ...process.env, DATABASE_URL: backups.env.DATABASE_URL }
        const { stdout, stderr } = await run('sh', ['-ec', commands?.text ?? ''], { cwd, env })
        expect(stderr).toBe('')
        const said = stdout.trim().split('\n')
        expect(said.length).toBe(9)
        expect(said.filter((line) => !line.endsWith('|is as backed up'))).toEqual([])
        const byHand = await look()
        const restore = { operation: 'restore', backupId: id, confirm: 'local', safetyBackup: false }
        expect((await backups.run(restore)).status).toMatch(/^succeeded/)
        expect(byHand).toEqual(await look())
        expect(JSON.stringify(byHand)).toContain('late')

        // As a download it needs no zstd, and nothing of us: psql alone, in a database where there is nothing.
        const brought = join(folder, 'brought')
        const download = async () =>
          (await runScript('cli', ['download', id.slice(0, -1), brought, '--json'], { env: backups.env }))
            .json
        expect(await download()).toMatchObject({
          backupId: id,
          tables: 9,
          files: 7,
          keys: 29,
          resumed: false,
        })
        const damaged = ['load.sql', 'database/public.users.jsonl'].map((name) => join(brought, name))
        const whole = await Promise.all(damaged.map((file) => readFile(file)))
        await Promise.all(damaged.map((file) => writeFile(file, 'half')))
        expect(await download()).toMatchObject({ files: 7, resumed: true })
        expect(await Promise.all(damaged.map((file) => readFile(file)))).toEqual(whole)
        const cache = (await readFile(join(brought, 'cache.jsonl'), 'utf8'))
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line))
        expect(cache).toHaveLength(29)
        const late = cache.filter(({ value }) => value === 'late').map(({ key }) => key)
        expect(late.sort()).toEqual(['page:3', 'page:new'])
        const asOne = join(folder, 'one')
        await runScript('cli', ['download', id, asOne, '--format', 'json'], { env: backups.env })
        const { timestamp, environment, counts, data } = JSON.parse(
          await readFile(join(asOne, 'backup.json'), 'utf8'),
        )
        expect([timestamp, environment]).toEqual([manifest.startedAt, 'local'])
        expect(Object.entries(counts).map(([name]) => [name, data[name].length])).toEqual(
          Object.entries(counts),
        )
        expect(data['public.users'].at(-1)).toEqual({ id: 121, name: 'late' })
        expect(data[String.raw`public.va\lue's`].map(({ doc }: { doc: unknown }) => doc)).toContain('null')
        await backups.admin.query(`CREATE DATABASE ${database} OWNER ${fresh.username}`)
        fresh.pathname = `/${database}`
        const psql = (file: string) =>
          run('psql', ['-X', fresh.href, '-f', file], { cwd: brought, env: { PATH: process.env.PATH } })
        expect(await psql('schema.sql')).toEqual({ stdout: '', stderr: '' })
        await run('psql', ['-Xq', fresh.href, '-c', rule])
        const loaded = await psql('load.sql')
        expect(loaded.stderr).toBe('')
        expect(loaded.stdout.trim().split('\n').sort()).toEqual(said.sort())
        const client = new pg.Client({ connectionString: fresh.href })
        await client.connect()
        expect(await look(client)).toEqual(byHand)
        await client.end()
      } finally {
        await backups.admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`)
        await Promise.all([backups.stop(), rm(folder, { recursive: true, force: true })])
      }
    },
  )
})
