import pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { readEnvironment, readSeed, writeEnvironment } from '../../lib/ledger/environment.ts'
import { ensureLedger } from '../../lib/ledger/tables.ts'
import type { Connection } from '../../lib/postgres/connection.ts'
import { createDatabase, dropDatabase } from '../../local/database/postgres.ts'

let url: string
const clients: pg.Client[] = []

/** The ledger asks any client that speaks as pg does. */
async function connection(): Promise<Connection> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  clients.push(client)
  return client as unknown as Connection
}

beforeAll(async () => {
  url = await createDatabase(inject('postgresAdminUrl'))
})
afterAll(async () => {
  for (const client of clients) await client.end()
  await dropDatabase(inject('postgresAdminUrl'), url)
})

test('an environment gets a seed when it is claimed, and keeps it when it is claimed again', async () => {
  const one = await connection()
  await ensureLedger(one)
  await writeEnvironment(one, { name: 'local', protected: false })
  const { rows } = await one.query('SELECT fingerprint_seed::text AS seed FROM taskmaster_reset.environment')
  const seed = await readSeed(one)
  expect(seed).toBe(rows[0].seed)
  expect(BigInt.asIntN(64, BigInt(seed))).toBe(BigInt(seed))
  await writeEnvironment(one, { name: 'local', protected: true })
  expect(await readSeed(one)).toBe(seed)
  expect(await readEnvironment(one)).toEqual({ name: 'local', protected: true })
})

test('one that was claimed before there were seeds gets one, the same for all who ask at once', async () => {
  const all = await Promise.all(Array.from({ length: 8 }, connection))
  const [one] = all as [Connection]
  await one.query('ALTER TABLE taskmaster_reset.environment DROP COLUMN fingerprint_seed')
  expect(await readEnvironment(one)).toEqual({ name: 'local', protected: true }) // before the ledger is brought up to date
  await ensureLedger(one)
  const seeds = await Promise.all(all.map(readSeed))
  expect(new Set(seeds).size).toBe(1)
  expect(await readSeed(one)).toBe(seeds[0])
})
