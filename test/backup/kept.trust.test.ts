import { readdirSync, readFileSync } from 'node:fs'
import { ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fenceKey } from '../../lib/cache/keys.ts'
import { isFull } from '../support/trust.ts'
import { memoryS3 } from './memory-s3.ts'
import { type Backups, type Objects, prefix, startBackups } from './real-backups.ts'
import { verifyBackup } from './verify-whole.ts'

/**
 * Backups as each version of the format was first written, and damaged ones of version 1: of a full reset that found changed
 * rows at its wipe, and so with a late file. They are never written anew: what can be restored today must be restored by every later version.
 */
const folder = new URL('./kept/', import.meta.url)

type Kept = { backupId: string; objects: Objects; damaged: string[] }

function read(name: string): Kept {
  const { backupId, damaged, objects } = JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'))
  const bytes = Object.entries<string>(objects).map(
    ([key, text]) => [key, Buffer.from(text, 'base64')] as const,
  )
  return { backupId, damaged, objects: new Map(bytes) }
}

async function verified({ backupId, objects }: Kept) {
  return verifyBackup(memoryS3(objects).storage, prefix, backupId, async () => {})
}

const damagedOnes = readdirSync(folder)
  .filter((file) => file.endsWith('.json') && !file.startsWith('intact'))
  .map((file) => file.replace('.json', ''))

/** A table that only the backup of version 2 has: of what a line holds each kind, words, numbers, every escape, and what stands as text. */
const valuesOf2 = String.raw`CREATE TABLE "va\lue's" (id int PRIMARY KEY, "te""xt" text, flag bool, amount numeric, ratio float8, at timestamptz, list text[], doc jsonb, raw json, bytes bytea, span int4range, twice int GENERATED ALWAYS AS (id * 2) STORED);
  INSERT INTO "va\lue's" VALUES
    (1, E'\\N \\. "q" / \b\f\n\r\t \x01\x1f\x7f ü 💎 \u2028', true, 1.10, 1e300, '2026-11-22T12:00:00.5Z', '[0:2]={a,NULL,"NULL"}', 'null', E'{ "a":\n1, "a": 2 }', '\x00ff', '[1,5)'),
    (2, '', false, 'NaN', '-Infinity', 'infinity', '{}', '{"\\n": "\"\\", "": [1.10, true]}', '"\ud83d\ude00\u0001"', '', 'empty'),
    (3, repeat('long ', 5000) || E'\n' || repeat('x', 30) || E'\\', NULL, -99999999999999999999.5, '-0', '-infinity', '{{"{","\""},{"\\","\n"}}', '-0.0', ' null ', '\x5c', '(,)'),
    (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`

/** A table that the backup with ranges has as well, of several in one part, some of which it took over from the backup before it. */
const pagesOfRanges = `CREATE TABLE pages (id int PRIMARY KEY, pad text); ALTER TABLE pages ALTER pad SET STORAGE PLAIN;
  INSERT INTO pages SELECT i, repeat(md5(i::text), 90) FROM generate_series(1, 160) i;
  UPDATE pages SET pad = 'changed' WHERE id = 150`

const intactOnes = [
  { name: 'intact', version: 1, more: 'CREATE TABLE "va\\lue\'s" ()', valuesLost: 0 },
  { name: 'intact-version-2', version: 2, more: valuesOf2, valuesLost: 4 },
  { name: 'intact-version-2-ranges', version: 2, more: `${valuesOf2}; ${pagesOfRanges}`, valuesLost: 4 },
]

test.each(intactOnes)('a kept backup that is intact is found to be so: $name', async ({ name, version }) => {
  const kept = read(name)
  expect(await verified(kept)).toMatchObject({ ok: true, problems: [] })
  const manifest = kept.objects.get(`${prefix}${kept.backupId}/manifest.json`)
  expect(JSON.parse(manifest?.toString() ?? '')).toMatchObject({ version })
})

test.each(damagedOnes)('a kept backup with damage is found and named: %s', async (name) => {
  const kept = read(name)
  const { ok, problems, extra } = await verified(kept)
  // What belongs to no backup does no harm to a restore, and is reported.
  expect(ok).toBe(name === 'extra-part')
  const named = [...problems, ...extra].map(({ key }) => key)
  for (const key of kept.damaged) expect(named).toContain(key)
})

// What the latest version writes, other tests restore too: the short form restores the first one alone.
describe.each(intactOnes.slice(0, isFull ? undefined : 1))(
  'a kept backup: $name',
  ({ name, more, valuesLost }) => {
    const others = more.includes('pages') ? ['pages'] : []
    let backups: Backups
    const { backupId, objects } = read(name)

    /** Users but the late one, the files with their ETags, the keys. */
    async function look() {
      const users = await backups.sql.query(`SELECT id, name FROM users WHERE name <> 'late' ORDER BY id`)
      const files = new ListObjectsV2Command({ Bucket: backups.env.FILES_BUCKET, EncodingType: 'url' })
      const values = await backups.sql.query(`SELECT v::text FROM "va\\lue's" AS v ORDER BY v::text`)
      const rows = others.map((table) => backups.sql.query(`SELECT t::text FROM ${table} AS t ORDER BY 1`))
      return {
        others: (await Promise.all(rows)).flatMap((answer) => answer.rows),
        users: users.rows,
        values: values.rows,
        files: (await backups.s3.send(files)).Contents?.map(({ Key, ETag }) => [Key, ETag]),
        keys: (await backups.redis.keys('*')).filter((key) => key !== fenceKey).sort(),
      }
    }

    beforeAll(async () => {
      backups = await startBackups()
      await backups.fill('kept')
      await backups.sql.query(more)
      for (const [Key, Body] of objects)
        await backups.s3.send(new PutObjectCommand({ Bucket: backups.bucket, Key, Body }))
    })
    afterAll(() => backups?.stop())

    test('is restored by this version: rows, files and keys', async () => {
      const before = await look()
      expect(before.users).toHaveLength(120)
      expect(before.values).toHaveLength(valuesLost)
      await backups.sql.query(`TRUNCATE ${['users', 'worlds', `"va\\lue's"`, ...others].join()}`)
      await backups.redis.del('list', 'set', 'page:1')
      const restore = { operation: 'restore', backupId, confirm: 'local' }
      await expect(backups.run(restore)).rejects.toThrow('BackupUnsigned: ')
      expect(await look()).not.toEqual(before) // nothing was touched
      const { status } = await backups.run({ ...restore, allowUnsigned: true })
      expect(status).toMatch(/^succeeded/)
      expect(await look()).toEqual(before)
      // The late file: one row came and another one went before the wipe.
      const late = await backups.sql.query(`SELECT count(*)::int FROM users WHERE name = 'late'`)
      const worlds = await backups.sql.query('SELECT count(*)::int FROM worlds')
      expect([late.rows[0].count, worlds.rows[0].count]).toEqual([1, 79])
    })
  },
)
