import { createHash } from 'node:crypto'
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { beforeAll, expect, it } from 'vitest'
import { backupKeys, rangesKeyOf } from '../../lib/backup/layout.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import { listSizes } from '../../lib/s3/list.ts'
import { configured, rowsAsLines, session, useDatabase } from '../database/database-stack.ts'
import { backUpNight, restoreNight } from '../database/nights.ts'
import { asFound, isFull, rounds, tried } from '../support/trust.ts'
import { randomFrom } from './damages.ts'

const nights = rounds({ short: 4, full: 30 })
/** After these nights something of the newest backup is damaged: a byte of a part, one of its ranges, or the part is gone. */
const damages = new Map<number, Damage>(
  isFull
    ? [
        [7, 'part'],
        [14, 'ranges'],
        [21, 'gone'],
      ]
    : [
        [2, 'part'],
        [3, 'ranges'],
      ],
)
type Damage = 'part' | 'ranges' | 'gone'

const database = useDatabase()
/** Those that nobody writes to while a backup is taken. */
const still = ['app.untouched', 'app.grown', 'app.scattered', 'app.docs']

beforeAll(async () => {
  await database.sql.query(`CREATE SCHEMA app;
    CREATE TABLE app.untouched (id int PRIMARY KEY, text text);
    CREATE TABLE app.grown (id int PRIMARY KEY, text text);
    CREATE TABLE app.scattered (id int PRIMARY KEY, n int, text text);
    CREATE TABLE app.docs (doc jsonb);
    CREATE TABLE app.accounts (id int PRIMARY KEY, balance int NOT NULL, moves int NOT NULL);
    CREATE TABLE app.journal (id bigserial PRIMARY KEY, "from" int, "to" int);
    INSERT INTO app.untouched SELECT g, repeat(md5(g::text), 3) FROM generate_series(1, 9000) g;
    INSERT INTO app.grown SELECT g, md5(g::text) FROM generate_series(1, 9000) g;
    INSERT INTO app.scattered SELECT g, 0, md5(g::text) FROM generate_series(1, 9000) g;
    INSERT INTO app.docs SELECT jsonb_build_object('n', g, 'text', repeat(md5(g::text), 50)) FROM generate_series(1, 300) g;
    INSERT INTO app.accounts SELECT g, 1000, 0 FROM generate_series(1, 2000) g`)
})

const changes: ((draw: (below: number) => number) => string)[] = [
  () =>
    'INSERT INTO app.grown SELECT g + (SELECT max(id) FROM app.grown), md5(g::text) FROM generate_series(1, 900) g',
  (draw) => `UPDATE app.scattered SET n = n + 1 WHERE id = ANY('{${[draw(9000), draw(9000), draw(9000)]}}')`,
  () => 'UPDATE app.scattered SET n = n + 1 WHERE id > 8900',
  (draw) => `DELETE FROM app.grown WHERE id % 997 = ${draw(997)}`,
  () => 'VACUUM FULL app.scattered',
  () => 'VACUUM app.scattered',
  () => 'CLUSTER app.grown USING grown_pkey',
  (draw) =>
    `UPDATE app.docs SET doc = doc || '{"more": ${draw(9)}}' WHERE (doc -> 'n')::int = ${1 + draw(300)}`,
  (draw) =>
    `TRUNCATE app.docs; INSERT INTO app.docs SELECT jsonb_build_object('n', g, 'text', repeat(md5(g::text), 50)) FROM generate_series(1, ${250 + draw(100)}) g`,
]

/** Moves money for as long as it lasts: each commit leaves the sum, and as many moves as lines in the journal. */
async function besideTransfers<Result>(use: () => Promise<Result>): Promise<Result> {
  const writers = await Promise.all([1, 2].map((number) => session(database, `transfers ${number}`)))
  let over = false
  const writing = writers.map(async (client) => {
    for (let turn = 0; !over; turn++) {
      const [from, to] = [1 + ((turn * 37) % 2000), 1 + ((turn * 101 + 7) % 2000)].sort((a, b) => a - b)
      try {
        await client.query(`BEGIN; UPDATE app.accounts SET balance = balance - 1, moves = moves + 1 WHERE id = ${from};
          UPDATE app.accounts SET balance = balance + 1 WHERE id = ${to};
          INSERT INTO app.journal ("from", "to") VALUES (${from}, ${to}); COMMIT`)
      } catch {
        await client.query('ROLLBACK') // a deadlock of the two: nothing was committed
      }
    }
  })
  try {
    return await use()
  } finally {
    over = true
    await Promise.all(writing)
    await Promise.all(writers.map((client) => client.end()))
  }
}

async function checkTransfers(about: string): Promise<void> {
  const { rows } = await database.sql.query(
    `SELECT sum(balance)::int AS balance, sum(moves)::int = (SELECT count(*) FROM app.journal) AS even FROM app.accounts`,
  )
  expect(rows, about).toEqual([{ balance: 2_000_000, even: true }])
}

/** What the tables hold, each as one digest. */
async function state(): Promise<Record<string, string>> {
  const held: Record<string, string> = {}
  for (const name of still) {
    const lines = await rowsAsLines(database.sql, name)
    held[name] = createHash('sha256').update(lines.join('\n')).digest('hex')
  }
  return held
}

async function remove(backupId: string): Promise<void> {
  const { storage, clients, s3 } = database
  const Objects: { Key: string }[] = []
  for await (const { key: Key } of listSizes(storage, [
    backupKeys(clients.config.BACKUP_PREFIX, backupId).root,
  ]))
    Objects.push({ Key })
  await s3.send(new DeleteObjectsCommand({ Bucket: storage.name, Delete: { Objects } }))
}

async function damage({ database: held }: Manifest, what: Damage): Promise<void> {
  const { storage, s3 } = database
  const [part] = held?.tables.find(({ name }) => name === 'app.untouched')?.parts ?? []
  const at = { Bucket: storage.name, Key: what === 'ranges' ? rangesKeyOf(part!.key!) : part!.key! }
  if (what === 'gone') {
    await s3.send(new DeleteObjectCommand(at))
    return
  }
  const { Body } = await s3.send(new GetObjectCommand(at))
  const bytes = Buffer.from((await Body?.transformToByteArray()) ?? [])
  bytes[bytes.length >> 1]! ^= 1
  await s3.send(new PutObjectCommand({ ...at, Body: bytes }))
}

it(`each backup of ${nights} nights restores alone, in whatever order the others go, and a damaged base is told and passed over`, {
  ...asFound,
  timeout: 20 * 60_000,
}, async () => {
  const seed = Date.now() % 2 ** 31
  const draw = randomFrom(seed)
  const kept = new Map<string, Record<string, string>>()
  const counts = { nights: 0, damaged: 0, removed: 0, restored: 0, taken: 0 }
  const damaged = new Set<string>()
  let newest: string | undefined
  for (let night = 0; night < nights; night++) {
    const about = `night ${night} of the seed ${seed}`
    const day = Array.from({ length: draw(4) }, () => changes[draw(changes.length)]!(draw))
    for (const change of day) for (const one of change.split(';')) await database.sql.query(one)
    const now = new Date(Date.UTC(2026, 0, 1 + night))
    const clients = { ...configured(database.clients, { DATABASE_SCHEMAS: ['app'] }), now: () => now }
    const expected = await state()
    const manifest = await besideTransfers(() =>
      backUpNight(clients, { pagesPerShard: 64, rehearse: night % 3 === 0 }),
    )
    const { backupId, warnings } = manifest
    const told = warnings.filter(({ code }) => code === 'BaseDamaged').map(({ message }) => message)
    const isBaseDamaged = newest !== undefined && damaged.has(newest)
    expect(told, about).toEqual(isBaseDamaged ? [expect.stringContaining(newest ?? '')] : [])
    counts.nights++
    counts.taken += manifest.database?.takenOver?.rows ?? 0
    const what = damages.get(night)
    if (what === undefined) kept.set(backupId, expected)
    else {
      await damage(manifest, what)
      damaged.add(backupId)
      counts.damaged++
    }
    if (draw(3) === 0 && kept.size > 1) {
      const [gone] = [...kept.keys()].slice(draw(kept.size))
      await remove(gone!)
      kept.delete(gone!)
      counts.removed++
    }
    newest = [...kept.keys(), ...damaged].sort().at(-1)
  }
  const clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'] })
  const order = [...kept.keys()].sort(() => draw(3) - 1)
  for (const backupId of order) {
    await restoreNight(clients, backupId)
    expect(await state(), `${backupId} of the seed ${seed}`).toEqual(kept.get(backupId))
    await checkTransfers(`${backupId} of the seed ${seed}`)
    await remove(backupId)
    counts.restored++
  }
  expect(counts.taken).toBeGreaterThan(9000 * (nights - 2))
  tried('chains', counts)
})
