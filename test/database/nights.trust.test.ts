import { DeleteObjectsCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import type { DatabaseSection } from '../../lib/backup/sections/database.ts'
import type { Clients } from '../../lib/clients.ts'
import { diffDatabase } from '../../lib/database/difference/difference.ts'
import { diffHeldDatabases } from '../../lib/database/difference/held-difference.ts'
import { countAll } from '../../lib/run/count.ts'
import { listSizes } from '../../lib/s3/list.ts'
import { randomFrom } from '../backup/damages.ts'
import { dump } from '../restore/dump.ts'
import { rounds, tried } from '../support/trust.ts'
import { configured, noProgress, useDatabase } from './database-stack.ts'
import {
  backedUpLines,
  backUpNight,
  inDatabase,
  inSession,
  liveLines,
  restoreNight,
  urlOf,
} from './nights.ts'
import { endOfWorld, preparation, randomNights } from './random-nights.ts'

const worlds = rounds({ short: 1, full: 24 })
/** Nights of one world, whose tables each finds changed. */
const inWorld = rounds({ short: 3, full: 5 })
/** One in so many is restored; of the others the lines are looked at. */
const restored = rounds({ short: 3, full: 4 })

const database = useDatabase()
const home = { name: '', owner: '', admin: '' }
const away = { name: '', owner: '', admin: '' }

beforeAll(async () => {
  const { admin, clients } = database
  const { DATABASE_URL: url, ENVIRONMENT: confirm } = clients.config
  for (const one of [home, away]) {
    one.name = `${new URL(url).pathname.slice(1)}_${one === home ? 'home' : 'away'}`
    one.owner = urlOf(url, one.name)
    one.admin = urlOf(inject('postgresAdminUrl'), one.name)
  }
  await admin.query(`CREATE DATABASE "${home.name}" OWNER "${new URL(url).username}"`)
  await inSession(home.admin, (sql) => sql.query(preparation.admin))
  await inSession(home.owner, (sql) => sql.query(preparation.owner))
  const request = { operation: 'claim', confirm }
  const run = { runId: home.name, attempt: 0, startedAt: new Date().toISOString() }
  await countAll(inDatabase(clients, home.name), { request, ...run })
})
afterAll(async () => {
  for (const { name } of [home, away])
    await database.admin.query(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`)
})

async function copyHome(): Promise<void> {
  const { admin, clients } = database
  await admin.query(`DROP DATABASE IF EXISTS "${away.name}" WITH (FORCE)`)
  const owner = new URL(clients.config.DATABASE_URL).username
  await admin.query(`CREATE DATABASE "${away.name}" TEMPLATE "${home.name}" OWNER "${owner}"`)
}

/** A copy of the whole database in which some rows of some tables are gone or others, whatever refers to them. */
async function copySpoiled(): Promise<void> {
  await copyHome()
  await inSession(away.admin, (sql) =>
    sql.query(`SET session_replication_role = 'replica'; DO $$ DECLARE name text; BEGIN
      FOR name IN SELECT format('app.%I', relname) FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind = 'r' AND random() < 0.7 LOOP
        EXECUTE 'DELETE FROM ONLY ' || name || ' WHERE random() < 0.03';
        CONTINUE WHEN NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = name::regclass AND attname = 'note');
        EXECUTE 'UPDATE ONLY ' || name || ' SET note = md5(note) WHERE random() < 0.03';
      END LOOP; END $$`),
  )
}

/** A copy of the whole database, with nothing in its tables and its sequences elsewhere. */
async function copyEmptied(): Promise<void> {
  await copyHome()
  await inSession(away.owner, async (sql) => {
    const { rows } = await sql.query(
      `SELECT string_agg(format('app.%I', relname), ', ') AS tables FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind = 'r'`,
    )
    await sql.query(`TRUNCATE ${rows[0].tables} RESTART IDENTITY; SELECT setval('app.free', 77)`)
  })
}

async function run(statements: readonly string[]): Promise<void> {
  await inSession(home.owner, async (sql) => {
    await sql.query('SET search_path = app, public')
    for (const statement of statements) await sql.query(statement)
  })
}

/** A backup must not need what lies in others. */
async function removeOthers(backupId: string): Promise<void> {
  const { storage, clients, s3 } = database
  const Objects: { Key: string }[] = []
  for await (const { key: Key } of listSizes(storage, [clients.config.BACKUP_PREFIX]))
    if (!Key.includes(backupId)) Objects.push({ Key })
  for (let start = 0; start < Objects.length; start += 1000)
    await s3.send(
      new DeleteObjectsCommand({
        Bucket: storage.name,
        Delete: { Objects: Objects.slice(start, start + 1000) },
      }),
    )
}

/** The lines of the backup of the last night, and what tells of it. */
type Last = { database: DatabaseSection; lines: Record<string, string[]> }

/** As many as there are more of each on the one side, and on the other. */
function differenceOf(before: readonly string[], now: readonly string[]) {
  const surplus = new Map<string, number>()
  for (const line of now) surplus.set(line, (surplus.get(line) ?? 0) + 1)
  for (const line of before) surplus.set(line, (surplus.get(line) ?? 0) - 1)
  const counts = [...surplus.values()]
  const sum = (some: number[]) => some.reduce((total, count) => total + Math.abs(count), 0)
  return {
    extra: sum(counts.filter((count) => count > 0)),
    missing: sum(counts.filter((count) => count < 0)),
  }
}

/** The same of a comparison of two nights' backups, in either direction. */
async function checkBetween(clients: Clients, before: Last, after: Last, about: string): Promise<number> {
  const difference = await diffHeldDatabases(
    clients,
    { before: before.database, after: after.database },
    noProgress,
  )
  const told = new Map(difference.tables.map((table) => [table.name, table]))
  const later = new Map(after.database.tables.map((table) => [table.name, table]))
  const compared = before.database.tables.filter(
    ({ name }) => later.has(name) && told.get(name)?.obstacle === undefined,
  )
  expect(difference.equal, about).toBe(compared.filter(({ name }) => !told.has(name)).length)
  for (const { name, rows } of compared) {
    const table = told.get(name)
    const { extra = 0, missing = 0, changed } = table ?? {}
    const more = changed ?? 0
    const expected = differenceOf(before.lines[name] ?? [], after.lines[name] ?? [])
    expect({ extra: extra + more, missing: missing + more }, `${about}: ${name}`).toEqual(expected)
    if (table !== undefined)
      expect([table.before, table.now], `${about}: ${name}`).toEqual([rows, later.get(name)?.rows])
  }
  const back = await diffHeldDatabases(
    clients,
    { before: after.database, after: before.database },
    noProgress,
  )
  const turned = back.tables.map(({ before: now, now: before, extra: missing, missing: extra, ...same }) => ({
    ...{ ...same, before, now },
    ...(before === null || now === null
      ? { extra: 0, missing: now === null ? before : 0 }
      : { extra, missing }),
  }))
  expect(turned, `${about}, backwards`).toEqual(difference.tables)
  return compared.length - difference.equal
}

/** Holds what a comparison with the last night's backup tells against the lines of both moments. */
async function checkDifference(clients: Clients, { database, lines }: Last, about: string): Promise<number> {
  const { tables, equal } = await diffDatabase(clients, database, noProgress)
  const told = new Map(tables.map((table) => [table.name, table]))
  const gone = (name: string) => told.get(name)?.now === null
  const compared = database.tables.filter(({ name }) => !gone(name) && told.get(name)?.obstacle === undefined)
  expect(equal, about).toBe(compared.filter(({ name }) => !told.has(name)).length)
  const found = await liveLines(home.owner, compared)
  for (const { name } of compared) {
    const { extra = 0, missing = 0, changed = 0 } = told.get(name) ?? {}
    const more = changed ?? 0
    const expected = differenceOf(lines[name] ?? [], found[name] ?? [])
    expect({ extra: extra + more, missing: missing + more }, `${about}: ${name}`).toEqual(expected)
  }
  return compared.length - equal
}

const first = Date.now() % 2 ** 31
const counts = { nights: 0, restored: 0, rows: 0, taken: 0, differences: 0, between: 0 }
afterAll(() => tried('nights', counts))

it.each(Array.from({ length: worlds }, (_, number) => ({ number, seed: first + number })))(
  'gives back what there was in each night, and tells what became of it, of the world with the seed $seed',
  async ({ number, seed }) => {
    const draw = randomFrom(seed)
    const world = randomNights(seed)
    await run([endOfWorld, ...world.made])
    const EXPORT_BATCH_BYTES = draw(3) === 0 ? 300_000 : 2 ** 33
    const settings = configured(database.clients, { DATABASE_SCHEMAS: ['app'], EXPORT_BATCH_BYTES })
    let last: Last | undefined
    for (let age = 0; age < inWorld; age++) {
      const day = age === 0 ? [] : world.nextDay()
      const about = `night ${age}, after ${day.join(';\n') || 'nothing'}`
      await run(day)
      const now = new Date(Date.UTC(2026, 0, 1) + (number * inWorld + age) * 86_400_000)
      const clients = inDatabase({ ...settings, now: () => now }, home.name)
      if (last !== undefined) counts.differences += await checkDifference(clients, last, about)
      const isRestored = (number * inWorld + age) % restored === restored - 1
      const before = isRestored ? await inSession(home.admin, dump) : undefined
      if (isRestored) await (draw(2) === 0 ? copyEmptied() : copySpoiled())
      const asked = { pagesPerShard: 16 << draw(4), rehearse: draw(3) > 0 }
      const manifest = await backUpNight(clients, asked).catch((cause) => {
        throw new Error(`${about}: ${cause.message}`, { cause })
      })
      const { backupId } = manifest
      const held = manifest.database as DatabaseSection
      const lines = await backedUpLines(clients, held.tables)
      if (last !== undefined)
        counts.between += await checkBetween(clients, last, { database: held, lines }, about)
      if (draw(2) === 0) await removeOthers(backupId)
      counts.nights++
      counts.rows += held.rows
      counts.taken += held.takenOver?.rows ?? 0
      expect(lines, about).toEqual(await liveLines(home.owner, held.tables))
      last = { database: held, lines }
      if (before === undefined) continue
      await restoreNight(inDatabase(clients, away.name), backupId)
      expect(await inSession(away.admin, dump), about).toEqual(before)
      counts.restored++
    }
  },
)
