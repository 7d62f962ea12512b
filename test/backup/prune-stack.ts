import { GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import pMap from 'p-map'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import type { Candidate } from '../../lib/backup/retention.ts'
import type { Clients } from '../../lib/clients.ts'
import type { Config } from '../../lib/config.ts'
import { withConnection } from '../../lib/database/snapshot.ts'
import { deleteObjects } from '../../lib/files/delete-objects.ts'
import { listRange } from '../../lib/files/listing.ts'
import { ensureLedger, writeEnvironment } from '../../lib/run/ledger.ts'
import { currentClients } from '../../lib/task.ts'
import { type FreshStack, freshStack } from '../support/stack.ts'
import { type Objects, prefix } from './real-backups.ts'
import { sampleBackup } from './sample-backup.ts'

export const now = new Date('2026-11-22T12:00:00Z')
const dayMs = 86_400_000

/** What a request does before it is sent (`before`) or when its answer is there; throwing loses the request, or the answer. */
export type Hook = (command: Command, when: 'before' | 'after', answer?: unknown) => unknown
/** What is looked at of a command of the SDK. */
export type Command = {
  constructor: { name: string }
  input: { Key?: string; Delete?: { Objects?: { Key?: string }[] } }
}

/** A ledger in a real database and an S3 for backups, with a frozen clock. Both are emptied before each test. */
export function usePrune() {
  const use = {} as { stack: FreshStack; clients: Clients }
  beforeAll(async () => {
    use.stack = await freshStack({
      definition: { StartAt: 'Done', States: { Done: { Type: 'Succeed' } } },
      loadFunctions: async () => ({}),
    })
    use.clients = { ...(await currentClients()), now: () => now }
    await withConnection(use.clients, ensureLedger)
  })
  afterAll(() => use.stack?.stop())
  beforeEach(async () => {
    await use.stack.sql.query('TRUNCATE taskmaster_reset.runs, taskmaster_reset.environment')
    await withConnection(use.clients, (connection) =>
      writeEnvironment(connection, { name: 'local', protected: false }),
    )
    for await (const page of listRange(storage(), { prefix: '' })) await deleteObjects(storage(), page)
    await run({ status: 'succeeded' })
  })

  const storage = () => ({ s3: use.clients.s3, bucket: use.clients.config.BACKUP_BUCKET })

  /** Clients with other settings, whose every request to S3 passes a hook. */
  function clientsWith(config: Partial<Config>, hook?: Hook): Clients {
    const { s3 } = use.clients
    const send = async (command: Command) => {
      await hook?.(command, 'before')
      const answer = await s3.send(command as never)
      return (await hook?.(command, 'after', answer)) ?? answer
    }
    const hooked =
      hook === undefined
        ? s3
        : new Proxy(s3, { get: (of, name) => (name === 'send' ? send : Reflect.get(of, name)) })
    return { ...use.clients, s3: hooked as S3Client, config: { ...use.clients.config, ...config } }
  }

  async function run(about: Record<string, unknown>): Promise<string> {
    const runId = `run-${Math.random()}`
    const row = {
      ...{ run_id: runId, operation: 'reset', request_digest: '', phase: 'Finish', plan: {} },
      ...{ started_at: now, finished_at: about.status === 'running' ? null : new Date(), ...about },
    }
    const names = Object.keys(row)
    const places = names.map((_, index) => `$${index + 1}`)
    await use.stack.sql.query(
      `INSERT INTO taskmaster_reset.runs (${names.join(', ')}) VALUES (${places.join(', ')})`,
      Object.values(row),
    )
    return String(row.run_id)
  }

  async function put(objects: Objects): Promise<void> {
    await pMap(
      objects,
      ([Key, Body]) => use.clients.s3.send(new PutObjectCommand({ Bucket: storage().bucket, Key, Body })),
      { concurrency: 20 },
    )
  }

  /** Backups that were sealed on so many days before now, with their ids. */
  async function sealed(
    ages: readonly number[],
    about: Partial<Candidate & { environment: string }> = {},
  ): Promise<string[]> {
    return pMap(ages, async (age) => {
      const sealedAt = new Date(now.getTime() - age * dayMs).toISOString()
      const backupId = `${sealedAt.slice(0, 19).replaceAll(':', '-')}Z-aaaaaa`
      const sample = sampleBackup({ backupId, sealedAt, ...about })
      sample.addLate(1, [['public.users', 0, 4]])
      await put(sample.objects)
      return backupId
    })
  }

  /** Every object of the bucket, as text that changes with it. */
  async function objects(below = ''): Promise<string[]> {
    const found: string[] = []
    for await (const page of listRange(storage(), { prefix: below }))
      for (const { key, size, etag } of page) found.push(`${key} ${size} ${etag}`)
    return found
  }

  /** Names of the folders that hold anything. */
  async function folders(): Promise<string[]> {
    return [
      ...new Set((await objects(prefix)).map((line) => line.slice(prefix.length).split('/')[0] as string)),
    ]
  }

  return {
    ...{ storage, clientsWith, run, put, sealed, objects, folders },
    get stack() {
      return use.stack
    },
    get clients() {
      return use.clients
    },
    /** JSON of an object. */
    json: async (Key: string) => {
      const answer = await use.clients.s3.send(new GetObjectCommand({ Bucket: storage().bucket, Key }))
      return JSON.parse((await answer.Body?.transformToString()) ?? '')
    },
  }
}
