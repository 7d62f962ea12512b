import { randomUUID } from 'node:crypto'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe } from 'vitest'
import type { Clients } from '../../lib/clients.ts'
import { openConnection } from '../../lib/postgres/with-connection.ts'
import { countAll } from '../../lib/run/count.ts'
import { targets } from '../../lib/store.ts'
import { currentClients } from '../../lib/task.ts'
import { type FreshStack, freshStack } from '../support/stack.ts'
import { isFull } from '../support/trust.ts'
import { cacheOf } from './cache.ts'
import { type Conforming, conforms, type Place } from './conform.ts'
import { databaseOf } from './database.ts'
import { filesOf } from './files.ts'

let stack: FreshStack
let clients: Clients
let ledger: Awaited<ReturnType<typeof openConnection>>
const at = () => stack
const stores = { database: databaseOf(at), files: filesOf(at), cache: cacheOf(at) }
const Bucket = 'taskmaster-backups'

beforeAll(async () => {
  stack = await freshStack({
    environment: { PATH: process.env.PATH, CACHE_PREFIX: 'app:' },
    definition: { StartAt: 'Done', States: { Done: { Type: 'Succeed' } } },
    loadFunctions: async () => ({}),
  })
  clients = await currentClients()
  ledger = await openConnection(clients)
  for (const target of targets) await stores[target].fill()
  const request = { operation: 'claim', confirm: clients.config.ENVIRONMENT }
  await countAll(clients, { request, runId: randomUUID(), attempt: 0, startedAt: new Date().toISOString() })
})
afterAll(async () => {
  await ledger?.close()
  await stack?.stop()
})

const place: Place = {
  get clients() {
    return clients
  },
  get connection() {
    return ledger.connection
  },
  async everything() {
    const relations = await stack.admin.query(
      `SELECT oid, relname, pg_relation_filenode(oid), pg_relation_size(oid)
       FROM pg_class WHERE relnamespace::regnamespace::text !~ '^pg_' ORDER BY oid`,
    )
    const runs = await stack.admin.query('SELECT r::text FROM taskmaster_reset.runs r ORDER BY 1')
    const objects = await Promise.all([Bucket, 'taskmaster-files'].map(list))
    return [relations.rows, runs.rows, objects, (await stack.redis.keys('*')).sort(), await contents()]
  },
  async objects() {
    return new Map((await list(Bucket)).map(({ Key = '', Size = 0 }) => [Key, Size]))
  },
  async read(Key) {
    const { Body, Metadata } = await stack.s3.send(new GetObjectCommand({ Bucket, Key }))
    return { Body: (await Body?.transformToByteArray()) ?? '', Metadata }
  },
  async write(Key, object) {
    if (object === null) await stack.s3.send(new DeleteObjectCommand({ Bucket, Key }))
    else await stack.s3.send(new PutObjectCommand({ Bucket, Key, ...object }))
  },
  async endRuns() {
    await stack.admin.query(
      `UPDATE taskmaster_reset.runs SET status = 'failed' WHERE status = 'running'; DELETE FROM taskmaster_reset.invocations`,
    )
  },
}

const contents = () =>
  Promise.all(targets.map((target) => Promise.all([stores[target].things(), stores[target].outside()])))

async function list(Bucket: string) {
  const { Contents = [], IsTruncated } = await stack.s3.send(new ListObjectsV2Command({ Bucket }))
  if (IsTruncated) throw new Error(`The bucket ${Bucket} holds more than this test lists.`)
  return Contents.map(({ Key, Size, ETag, LastModified }) => ({ Key, Size, ETag, LastModified }))
}

describe.each(targets.filter((target) => isFull || target === 'database'))(
  'what a run asks of every store: %s',
  (target) => {
    conforms(place, stores[target] as Conforming<typeof target>)
  },
)
