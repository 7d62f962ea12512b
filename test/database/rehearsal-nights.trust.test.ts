import { zstdCompressSync } from 'node:zlib'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { beforeEach, describe, expect, it } from 'vitest'
import { sealed } from '../../lib/backup/digest.ts'
import { putJson } from '../../lib/backup/documents/write.ts'
import { backupKeys } from '../../lib/backup/layout.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import { digestOfObject, readPartLines } from '../../lib/backup/part/read.ts'
import { inFullForm, isFull, rounds } from '../support/trust.ts'
import { configured, useDatabase } from './database-stack.ts'
import { backUpNight, restoreNight } from './nights.ts'

const database = useDatabase()
const day = 24 * 60 * 60 * 1000
const withinDays = rounds({ short: 3, full: 7 })
let now = Date.parse('2026-11-01T03:00:00.000Z')

beforeEach(async () => {
  now += 100 * day
  await database.sql.query(`DROP TABLE IF EXISTS log, kept; CREATE TABLE kept (id int PRIMARY KEY, v text); CREATE TABLE log (id int PRIMARY KEY, of int REFERENCES kept);
    INSERT INTO kept SELECT g, repeat('v', 500) FROM generate_series(1, 2100) g; INSERT INTO log SELECT g, g FROM generate_series(1, 100) g`)
})

const atNight = () => ({
  ...configured(database.clients, { REHEARSE_WITHIN_DAYS: withinDays }),
  now: () => new Date(now),
})
const night = (asked: { rehearse?: boolean; wipes?: boolean } = {}) =>
  backUpNight(atNight(), { pagesPerShard: 16, rehearse: true, ...asked })

const partsOf = ({ database: held }: Manifest) =>
  (held?.tables ?? []).flatMap(({ name, parts }) =>
    parts.filter(({ rows }) => rows > 0).map((part) => ({ name, ...part })),
  )

describe('a database of which little changes, that is backed up each night', () => {
  it('has each part loaded within the days, some each night, and the backup says when', async () => {
    const loaded: number[] = []
    for (let nights = 0; nights < withinDays + 1; nights++) {
      const manifest = await night()
      const parts = partsOf(manifest)
      const times = parts.map(({ provedAt }) => Date.parse(provedAt ?? ''))
      loaded.push(times.filter((time) => time === now).length)
      expect(Math.min(...times)).toBeGreaterThanOrEqual(now - withinDays * day)
      expect(manifest.rehearsedAt).toBe(new Date(Math.min(...times)).toISOString())
      await database.sql.query('INSERT INTO log SELECT max(id) + 1, 1 FROM log')
      now += day
    }
    const [first, ...others] = loaded
    expect(first).toBe(10)
    expect(Math.max(...others)).toBeLessThanOrEqual(rounds({ short: 6, full: 4 }))
    expect(others.reduce((sum, count) => sum + count)).toBeGreaterThanOrEqual(9)
  })

  it.runIf(isFull)(
    `has a part found that does not give its rows, although it has its digest and is said to be proved, within the days ${inFullForm}`,
    async () => {
      const { backups, config } = database.clients
      const manifest = await night()
      const { key } = partsOf(manifest).find(({ name }) => name === 'public.kept')!
      const lines: Buffer[] = []
      for await (const line of readPartLines(backups, key!)) lines.push(line, Buffer.from('\n'))
      const Body = zstdCompressSync(Buffer.from(Buffer.concat(lines).toString().replace('vvv', 'wvv')))
      await backups.s3.send(new PutObjectCommand({ Bucket: backups.name, Key: key!, Body }))
      const wrong = await digestOfObject(backups, key!)
      const text = JSON.stringify({ ...manifest, digest: undefined, signature: undefined }, (_, value) =>
        value?.key === key ? { ...value, ...wrong } : value,
      )
      const forged = JSON.parse(text)
      const grown = wrong.bytes - partsOf(manifest).find((part) => part.key === key)!.bytes
      forged.database.bytes += grown
      const keys = backupKeys(config.BACKUP_PREFIX, manifest.backupId)
      await putJson(backups, keys.manifest, sealed(backups.signing, forged))
      let nights = 0
      const found = async (): Promise<Error> => {
        for (;;) {
          now += day
          nights++
          expect(nights).toBeLessThanOrEqual(withinDays)
          const taken = await night().catch((error: Error) => error)
          if (taken instanceof Error) return taken
          expect(partsOf(taken).some(({ sha256 }) => sha256 === wrong.sha256)).toBe(true)
        }
      }
      expect(await found()).toMatchObject({
        name: 'RehearsalFailed',
        message: expect.stringContaining('public.kept'),
      })
    },
  )
})

describe('a backup that takes over what was proved', () => {
  /** As if the index had been damaged while rows came. */
  const pastIndex = async (index: string, statement: string) => {
    const ready = (is: boolean) =>
      database.admin.query(
        `UPDATE pg_index SET indisready = ${is} WHERE indexrelid = (SELECT oid FROM pg_class WHERE relname = '${index}')`,
      )
    await ready(false)
    await database.sql.query(statement)
    await ready(true)
  }
  const refused = (index: string) => ({
    name: 'RehearsalFailed',
    message: expect.stringContaining(`${index} of public.kept would not take the backed-up rows`),
  })

  it.runIf(isFull)(
    `loads all of it again when another version of the server had proved it, also a minor one ${inFullForm}`,
    async () => {
      const { backups, config } = database.clients
      await database.sql.query(`UPDATE kept SET v = 'in no backup of before'`)
      const first = await night()
      const [major] = first.database!.serverVersion.split('.')
      const held = { ...first.database, serverVersion: `${major}.0` }
      const before = JSON.parse(
        JSON.stringify({ ...first, database: held, digest: undefined, signature: undefined }),
      )
      const keys = backupKeys(config.BACKUP_PREFIX, first.backupId)
      await putJson(backups, keys.manifest, sealed(backups.signing, before))
      now += day
      const second = await night()
      expect(second.database?.takenOver?.rows).toBe(first.database?.rows)
      const times = partsOf(second).map(({ provedAt }) => provedAt)
      expect(new Set(times)).toEqual(new Set([atNight().now().toISOString()]))
    },
  )

  it.runIf(isFull)(
    `asks a unique index by what it takes for equal, although the schema of that is not on the search path ${inFullForm}`,
    async () => {
      await database.admin.query(`CREATE SCHEMA ext; GRANT USAGE ON SCHEMA ext TO PUBLIC;
      CREATE EXTENSION citext SCHEMA ext; CREATE EXTENSION ltree SCHEMA ext`)
      await database.sql.query(`ALTER TABLE kept ADD code ext.citext CONSTRAINT code UNIQUE, ADD path ext.ltree CONSTRAINT path UNIQUE;
      UPDATE kept SET code = 'c' || id, path = ('p' || id)::ext.ltree`)
      await night()
      now += day
      await database.sql.query(`INSERT INTO kept VALUES (9001, 'v', 'c9001', 'p9001')`)
      await night()
      now += day
      await pastIndex('code', `INSERT INTO kept VALUES (9002, 'v', 'C7', 'p9002')`)
      await expect(night()).rejects.toMatchObject(refused('code'))
      await database.admin.query('DROP TABLE log, kept; DROP SCHEMA ext CASCADE')
    },
  )

  it.runIf(isFull)(
    `before a wipe asks all rows together what some of them cannot tell ${inFullForm}`,
    async () => {
      await database.sql.query(`ALTER TABLE kept ADD span int4range; UPDATE kept SET span = int4range(id, id + 1);
      ALTER TABLE kept ADD CONSTRAINT apart EXCLUDE USING gist (span WITH &&)`)
      await night()
      now += day
      await pastIndex('apart', `INSERT INTO kept VALUES (9001, 'v', '[5,6)')`)
      await expect(night({ wipes: true })).rejects.toMatchObject(refused('apart'))
      await database.sql.query('DELETE FROM kept WHERE id = 9001')
      const whole = await night({ wipes: true })
      const times = partsOf(whole).filter(({ name }) => name === 'public.kept')
      expect(new Set(times.map(({ provedAt }) => provedAt))).toEqual(new Set([atNight().now().toISOString()]))
      expect(whole.database?.takenOver).toBeDefined()
    },
  )

  it.runIf(isFull)(
    `tells what is another thing now, by the time, and brings it back ${inFullForm}`,
    async () => {
      await database.sql.query(`CREATE DOMAIN soon AS timestamptz CHECK (VALUE > clock_timestamp());
ALTER TABLE kept ADD until timestamptz CHECK (until > now()), ADD later soon`)
      /** One that was over while the rows were still what they have to be, however long it took. */
      const nightInTime = async (seconds = 5): Promise<Manifest> => {
        await database.sql.query(
          `UPDATE kept SET until = now() + INTERVAL '${seconds} s', later = now() + INTERVAL '${seconds} s'`,
        )
        const taken = await night()
        const { rows } = await database.sql.query(
          'SELECT bool_and(until > clock_timestamp()) AS still FROM kept',
        )
        now += day
        return rows[0].still ? taken : nightInTime(2 * seconds)
      }
      expect((await nightInTime()).warnings).toEqual([])
      await database.sql.query('SELECT pg_sleep_until(max(later)) FROM kept')
      const { warnings, backupId } = await night()
      expect(warnings.map(({ code, message }) => `${code}: ${message}`)).toEqual([
        expect.stringMatching(/^ConstraintBroken: A domain in the type public\.soon/),
        expect.stringMatching(/^ConstraintBroken: 2,100 rows of public\.kept do not keep its check/),
      ])
      await database.sql.query('TRUNCATE log, kept')
      await restoreNight(atNight(), backupId)
      const { rows } = await database.sql.query('SELECT count(*)::int, count(later)::int AS later FROM kept')
      expect(rows).toEqual([{ count: 2100, later: 2100 }])
      await database.sql.query('DROP TABLE log, kept; DROP DOMAIN soon')
    },
  )
})
