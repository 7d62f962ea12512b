import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { beforeEach, describe, expect, it } from 'vitest'
import { getJson } from '../../lib/backup/documents/read.ts'
import { rangesKeyOf, workKeys } from '../../lib/backup/layout.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import { readLedger } from '../../lib/backup/retention/ledger-view.ts'
import type { Clients } from '../../lib/clients.ts'
import { DatabaseResult } from '../../lib/database/export/batch.ts'
import { exportDatabase } from '../../lib/database/export/export.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { databaseOf, type Plan } from '../../lib/run/planning/plan.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import {
  backUp,
  configured,
  keysBelow,
  linesOf,
  noProgress,
  planReset,
  rowsAsLines,
  useDatabase,
} from './database-stack.ts'

const database = useDatabase()
let clients: Clients
let base: Manifest

const pagesPerShard = 32

/** A first backup, whose shards of a few pages those after it keep. */
beforeEach(async () => {
  clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'] })
  await database.sql.query(`DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app;
    CREATE TABLE app.rows (id int PRIMARY KEY, text text) WITH (fillfactor = 50);
    CREATE TABLE app.others (id int PRIMARY KEY, doc text);
    CREATE TABLE app.fat (id int, text text);
    CREATE TABLE app.no_key (a int, b text);
    CREATE TABLE app.empty (id int);
    INSERT INTO app.rows SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 4000) g;
    INSERT INTO app.others SELECT g, md5(g::text) FROM generate_series(1, 9000) g;
    INSERT INTO app.fat SELECT g, repeat(md5(g::text), g * 50) FROM generate_series(1, 60) g;
    INSERT INTO app.no_key SELECT g % 10, repeat('x', 100) FROM generate_series(1, 3000) g`)
  await database.sql.query('VACUUM ANALYZE')
  const plan = await planReset(clients, { pagesPerShard })
  base = await backUp(clients, plan)
})

/** A further backup, whose rows are compared with those of the database. */
async function backUpAgain(
  meanwhile: (plan: Plan) => Promise<void> = noProgress,
  { of = clients, takeOver = true } = {},
) {
  const plan = await planReset(of, { takeOver })
  await meanwhile(plan)
  const manifest = await backUp(of, plan)
  await checkRows(manifest)
  const result = await getJson(of.backups, workKeys(plan).databaseResult(0), DatabaseResult)
  const kinds = Object.fromEntries(
    [...Map.groupBy(result.parts, ({ table }) => table)].map(([name, parts]) => [
      name,
      parts.sort((a, b) => a.shard - b.shard).map(({ origin }) => origin?.kind ?? 'exported'),
    ]),
  )
  return { plan, manifest, kinds, parts: result.parts, warnings: result.warnings }
}

/** The same rows, but for the first one all of them elsewhere. */
async function moveRows() {
  await database.sql.query(`DELETE FROM app.rows WHERE id = 1;
    INSERT INTO app.rows VALUES (1, repeat(md5(1::text), 4))`)
  await database.sql.query('VACUUM FULL app.rows')
}

/** Every row is in the backup as it is in its table. */
async function checkRows({ database: held }: Manifest) {
  for (const table of held!.tables) {
    const [lines, rows] = [await linesOf(clients, table), await rowsAsLines(database.sql, table.name)]
    expect({ name: table.name, rows: lines.length }).toEqual({ name: table.name, rows: rows.length })
    expect(lines.find((line, at) => line !== rows[at])).toBeUndefined()
  }
}

const all = (kinds: Record<string, string[]>) => [...new Set(Object.values(kinds).flat())]
const partsOf = (manifest: Manifest) => manifest.database?.tables.flatMap(({ parts }) => parts) ?? []

describe('what has not changed since the base', () => {
  it('is copied: every object as it was, and none of it is read from the database', async () => {
    const { manifest, kinds, warnings } = await backUpAgain()
    expect(all(kinds)).toEqual(['copied'])
    expect(kinds['app.rows']?.length).toBeGreaterThan(3)
    expect(partsOf(manifest).map(({ sha256 }) => sha256)).toEqual(partsOf(base).map(({ sha256 }) => sha256))
    expect(partsOf(manifest).some(({ key }) => key?.includes(base.backupId))).toBe(false)
    const { rows, bytes } = manifest.database!
    const parts = partsOf(manifest).filter(({ key }) => key !== null).length
    expect(manifest.database?.takenOver).toEqual({ backupId: base.backupId, rows, bytes, parts })
    expect(warnings).toEqual([])
  })

  it.runIf(isFull)(`is nothing when the request says so ${inFullForm}`, async () => {
    const { manifest, kinds } = await backUpAgain(noProgress, { takeOver: false })
    expect(all(kinds)).toEqual(['exported'])
    expect(manifest.database?.takenOver).toBeUndefined()
  })

  it.runIf(isFull)(`is the whole table when its rows only lie elsewhere ${inFullForm}`, async () => {
    await moveRows()
    await database.sql.query('CLUSTER app.others USING others_pkey')
    const { kinds } = await backUpAgain()
    expect(all(kinds)).toEqual(['copied'])
  })

  it('is a shard, when another shard of the table changed; of that one the ranges that did not change', async () => {
    await database.sql.query(`UPDATE app.rows SET text = 'new' WHERE id = 2000`)
    const { kinds, parts, manifest } = await backUpAgain()
    expect(kinds['app.rows']?.filter((kind) => kind !== 'copied')).toEqual(['composed'])
    const composed = parts.find(({ origin }) => origin?.kind === 'composed')
    expect(composed?.origin?.fresh).toHaveLength(1)
    expect(composed?.origin?.rows).toBeGreaterThan((composed?.rows ?? 0) / 4)
    expect(manifest.database?.takenOver?.rows).toBeLessThan(manifest.database!.rows)
    const again = await backUpAgain()
    expect(all(again.kinds), 'a part that was put together is a base as any other').toEqual(['copied'])
  })

  it.runIf(isFull)(
    `is not what was emptied, filled with others, or got another column ${inFullForm}`,
    async () => {
      await database.sql.query(`TRUNCATE app.others; INSERT INTO app.others SELECT g, '{}' FROM generate_series(1, 4000) g;
      INSERT INTO app.empty VALUES (1); ALTER TABLE app.no_key ADD c int DEFAULT 5; TRUNCATE app.fat`)
      const { kinds } = await backUpAgain()
      expect(all({ o: kinds['app.others']!, e: kinds['app.empty']!, k: kinds['app.no_key']! })).toEqual([
        'exported',
      ])
      expect(all({ rows: kinds['app.rows']! })).toEqual(['copied'])
      const again = await backUpAgain()
      expect(all(again.kinds)).toEqual(['copied'])
    },
  )

  it.runIf(isFull)(`is copied once, also when the step is repeated ${inFullForm}`, async () => {
    await database.sql.query(`UPDATE app.rows SET text = 'new' WHERE id = 2000`)
    let calls = 0
    const dies = async () => {
      calls++
      if (calls === 8) throw new Error('the invocation ended here')
    }
    const { plan } = await backUpAgain(async (planned) => {
      const exporting = { ...databaseOf(planned), backupId: planned.backupId!, batch: 0 }
      await expect(exportDatabase(clients, exporting, dies)).rejects.toThrow('the invocation ended here')
    })
    const copies = (await keysBelow(clients, plan)).filter((key) => /\/\d{5}\.2\./.test(key))
    expect(copies.length).toBeLessThanOrEqual(2) // what was put together is made again, as what is exported is
  })
})

describe('a base of which a part', () => {
  const damages: [string, (key: string) => Promise<unknown>][] = [
    ['is gone', remove],
    ['has another byte', flip],
    ['has a sidecar with another byte', (key) => flip(rangesKeyOf(key))],
    ['has no sidecar any more', (key) => remove(rangesKeyOf(key))],
  ]

  async function remove(Key: string) {
    await clients.backups.s3.send(new DeleteObjectCommand({ Bucket: clients.backups.name, Key }))
  }

  async function flip(key: string) {
    const at = { Bucket: clients.backups.name, Key: key }
    const { Body } = await clients.backups.s3.send(new GetObjectCommand(at))
    const bytes = Buffer.from((await Body?.transformToByteArray()) ?? [])
    const place = Math.floor(bytes.length / 2)
    bytes[place] = (bytes[place] ?? 0) ^ 1
    await clients.backups.s3.send(new PutObjectCommand({ ...at, Body: bytes }))
  }

  it.each(damages.filter(([name]) => isFull || name === 'has another byte'))(
    '%s is exported, whether it changed or not, and a warning says so',
    async (_, damage) => {
      const [rows, others] = ['app.rows', 'app.others'].map(
        (name) => base.database?.tables.find((table) => table.name === name)?.parts[1],
      )
      await database.sql.query(
        `UPDATE app.others SET doc = '{}' WHERE ctid = '(${others!.pages.from + 20},1)'`,
      )
      for (const part of [rows, others]) await damage(part!.key!)
      const { kinds, warnings, manifest } = await backUpAgain()
      expect(kinds['app.rows']?.filter((kind) => kind !== 'copied')).toEqual(['exported'])
      expect(kinds['app.others']?.[1]).toBe('exported')
      expect(warnings.map(({ code }) => code)).toEqual(['BaseDamaged'])
      expect(manifest.warnings.find(({ code }) => code === 'BaseDamaged')?.message).toMatch(
        new RegExp(`^2 parts of the backup ${base.backupId} could not be taken over`),
      )
    },
  )

  it.runIf(isFull)(
    `is gone is exported with all of a table whose rows lie elsewhere ${inFullForm}`,
    async () => {
      await moveRows()
      await remove(base.database!.tables.find(({ name }) => name === 'app.rows')!.parts[1]!.key!)
      const { kinds } = await backUpAgain()
      expect(all({ rows: kinds['app.rows']! })).toEqual(['exported'])
      expect(all({ others: kinds['app.others']! })).toEqual(['copied'])
    },
  )
})

it('a run needs its base until it has ended, so that nothing takes it away', async () => {
  const plan = await planReset(clients)
  const needing = await withConnection(clients, async (connection) => {
    const { neededBy } = await readLedger(connection, clients, null)
    return neededBy(base.backupId)
  })
  expect(needing).toEqual([plan.runId])
})

it.runIf(isFull)(`tables in several batches are taken over by their shards ${inFullForm}`, async () => {
  const small = configured(clients, { EXPORT_BATCH_BYTES: 600_000 })
  await database.sql.query(`UPDATE app.others SET doc = '{}' WHERE id = 4000`)
  const plan = await planReset(small)
  expect(plan.database?.batches).toBeGreaterThan(3)
  const manifest = await backUp(small, plan)
  await checkRows(manifest)
  expect(manifest.database?.takenOver?.rows).toBeGreaterThan(manifest.database!.rows / 2)
})
