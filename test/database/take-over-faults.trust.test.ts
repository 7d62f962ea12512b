import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isRanged } from '../../lib/backup/ranges/range.ts'
import { readSidecar } from '../../lib/backup/ranges/sidecar.ts'
import type { Clients } from '../../lib/clients.ts'
import { makeS3 } from '../../lib/clients.ts'
import { exportDatabase } from '../../lib/database/export/export.ts'
import { databaseOf, type Plan } from '../../lib/run/planning/plan.ts'
import { seal } from '../../lib/run/seal.ts'
import { type Fault, startFront } from '../files/s3-front.ts'
import { inFullForm, isFull, rounds, tried } from '../support/trust.ts'
import {
  backUp,
  configured,
  keysBelow,
  linesOf,
  noProgress,
  planReset,
  readBackup,
  rowsAsLines,
  useDatabase,
} from './database-stack.ts'

const database = useDatabase()
let clients: Clients
/** The same behind the front. */
let fronted: Clients
let base: string
let front: Awaited<ReturnType<typeof startFront>>

/** A base of several parts in each table; since then one table is as it was, of one a part changed, and one lies elsewhere. */
beforeAll(async () => {
  clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'] })
  front = await startFront(clients.config.AWS_ENDPOINT_URL_S3 ?? '')
  const s3 = makeS3({ AWS_ENDPOINT_URL_S3: front.url })
  fronted = { ...clients, backups: { ...clients.backups, s3 } }
  await database.sql.query(`CREATE SCHEMA app;
    CREATE TABLE app.same (id int PRIMARY KEY, text text);
    CREATE TABLE app.changed (id int PRIMARY KEY, text text) WITH (fillfactor = 50);
    CREATE TABLE app.moved (id int PRIMARY KEY, text text);
    INSERT INTO app.same SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 5000) g;
    INSERT INTO app.changed SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 2500) g;
    INSERT INTO app.moved SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 5000) g`)
  await database.sql.query('VACUUM ANALYZE')
  base = (await backUp(clients, await planReset(clients, { pagesPerShard: 32 }))).backupId
  await database.sql.query(`UPDATE app.changed SET text = 'new' WHERE id = 500;
    DELETE FROM app.moved WHERE id = 1; INSERT INTO app.moved VALUES (1, repeat(md5(1::text), 4))`)
  await database.sql.query('VACUUM FULL app.moved')
})
afterAll(() => front?.stop())

/** Seals it, and finds every row, every sidecar, and each object once. */
async function check(plan: Plan) {
  await seal(clients, plan, async () => {})
  const backup = await readBackup(clients, plan.backupId!)
  const { manifest } = backup
  expect(plan.database?.base?.backupId).toBe(base)
  for (const table of manifest.database!.tables) {
    expect(await linesOf(clients, table)).toEqual(await rowsAsLines(database.sql, table.name))
    for (const part of table.parts) if (isRanged(part)) await readSidecar(clients.backups, part)
  }
  const { name: Bucket, s3 } = clients.backups // what is gone is not the base of the next
  for (const Key of await keysOf(plan.backupId!)) await s3.send(new DeleteObjectCommand({ Bucket, Key }))
  return backup
}

const keysOf = (backupId: string) => keysBelow(clients, { backupId } as Plan)

const exporting = (plan: Plan) => ({ ...databaseOf(plan), backupId: plan.backupId!, batch: 0 })

const refusal = (status: number, code: string) => ({
  status,
  headers: { 'content-type': 'application/xml' },
  body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>injected</Message></Error>`,
})

const faults: Record<string, Fault> = {
  'is never sent': () => 'drop',
  'is carried out, but its answer is lost': async (_, forward) => {
    await forward()
    return 'drop' as const
  },
  'is refused because another writes the same object': async ({ method }) =>
    method === 'PUT' ? refusal(409, 'ConditionalRequestConflict') : undefined,
  'fails inside of S3': () => refusal(500, 'InternalError'),
  'is carried out, and said to have failed': async (_, forward) => {
    await forward()
    return refusal(500, 'InternalError')
  },
  'ends in the middle of its answer': async ({ method }, forward) => {
    if (method !== 'GET') return undefined
    const answer = await forward()
    return { ...answer, cutAt: Math.floor(answer.body.length / 2) }
  },
}

/** The short form tries one of them, at some of the requests. */
const inShort = 'is refused because another writes the same object'

describe('a request of an export with a base that', () => {
  for (const [name, fault] of Object.entries(faults)) {
    const isShort = name === inShort
    it.runIf(isFull || isShort)(
      `${name} is asked again, or the step is: the backup is the same${isShort ? '' : ` ${inFullForm}`}`,
      async () => {
        let [at, repeated] = [0, 0]
        for (let isOver = false; !isOver; at += rounds({ short: 36, full: 4 })) {
          const plan = await planReset(clients)
          let count = 0
          front.faults = [(request, forward) => (count++ === at ? fault(request, forward) : undefined)]
          const failed = await exportDatabase(fronted, exporting(plan), noProgress).catch(({ name }) => name)
          isOver = count <= at
          front.faults = []
          if (failed !== undefined) {
            repeated++
            expect(failed, 'what fails is what is tried again').toMatch(/^(StoreUnavailable|NotFound)$/)
            await exportDatabase(fronted, exporting(plan), noProgress)
          }
          await check(plan)
        }
        tried(`a request of an export with a base that ${name}`, { requests: at, repeated })
      },
    )
  }
})

/** What becomes of the base while an export takes over from it. */
const ends: Record<string, (key: string, bytes: Buffer) => Buffer | null> = {
  'is deleted': () => null,
  'loses its sidecars': (key, bytes) => (key.endsWith('.ranges') ? null : bytes),
  'gets other bytes': (_, bytes) =>
    Buffer.from(bytes.map((byte, at) => (at === bytes.length >> 1 ? byte ^ 1 : byte))),
  'is cut off': (_, bytes) => bytes.subarray(0, bytes.length >> 1),
}

describe('a base that, before any request of the export,', () => {
  for (const [name, change] of Object.entries(ends)) {
    it.runIf(isFull)(
      `${name} is taken over as far as it goes, and the rest is exported ${inFullForm}`,
      async () => {
        const { name: Bucket, s3 } = clients.backups
        const kept = new Map<string, Buffer>()
        for (const Key of await keysOf(base)) {
          const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }))
          kept.set(Key, Buffer.from((await Body?.transformToByteArray()) ?? []))
        }
        let [at, damaged] = [0, 0]
        for (let isOver = false; !isOver; at += 4) {
          const plan = await planReset(clients)
          let count = 0
          const changed = Promise.withResolvers<void>()
          front.faults = [
            async () => {
              if (count++ === at) {
                for (const [Key, bytes] of kept) {
                  if (Key.endsWith('manifest.json')) continue
                  const Body = change(Key, bytes)
                  await s3.send(
                    Body === null
                      ? new DeleteObjectCommand({ Bucket, Key })
                      : new PutObjectCommand({ Bucket, Key, Body }),
                  )
                }
                changed.resolve()
              } else if (count > at) await changed.promise
              return undefined
            },
          ]
          await exportDatabase(fronted, exporting(plan), noProgress)
          isOver = count <= at
          front.faults = []
          const { warnings } = (await check(plan)).manifest
          if (warnings.some(({ code }) => code === 'BaseDamaged')) damaged++
          for (const [Key, Body] of kept) await s3.send(new PutObjectCommand({ Bucket, Key, Body }))
        }
        expect(damaged).toBeGreaterThan(1)
        tried(`a base that ${name} while an export takes over from it`, { requests: at, damaged })
      },
    )
  }
})
