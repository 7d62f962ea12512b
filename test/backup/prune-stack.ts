import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import type { Clients } from '../../lib/clients.ts'
import type { Config } from '../../lib/config/variables.ts'
import { writeEnvironment } from '../../lib/ledger/environment.ts'
import { ensureLedger } from '../../lib/ledger/tables.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import type { Bucket } from '../../lib/s3/bucket.ts'
import { listRange } from '../../lib/s3/list.ts'
import { currentClients } from '../../lib/task.ts'
import { type FreshStack, freshStack } from '../support/stack.ts'
import { memoryS3 } from './memory-s3.ts'
import { prefix } from './real-backups.ts'
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

/** A ledger in a real database and an S3 in memory, with a frozen clock. Both are emptied before each test. */
export function usePrune() {
  const use = {} as { stack: FreshStack; clients: Clients; embedded: Clients }
  const memory = memoryS3()
  beforeAll(async () => {
    use.stack = await freshStack({
      definition: { StartAt: 'Done', States: { Done: { Type: 'Succeed' } } },
      loadFunctions: async () => ({}),
    })
    use.embedded = { ...(await currentClients()), now: () => now }
    use.clients = { ...use.embedded, backups: { ...use.embedded.backups, s3: memory.storage.s3 } }
    await withConnection(use.clients, ensureLedger)
  })
  afterAll(() => use.stack?.stop())
  beforeEach(async () => {
    await use.stack.sql.query('TRUNCATE taskmaster_reset.runs, taskmaster_reset.environment')
    await withConnection(use.clients, (connection) =>
      writeEnvironment(connection, { name: 'local', protected: false }),
    )
    memory.objects.clear()
    await run({ status: 'succeeded' })
  })

  /** Each run ends after the one before it, also in the same millisecond. */
  let ended = 0

  /** Clients with other settings, whose every request to S3 passes a hook. */
  function clientsWith(config: Partial<Config>, hook?: Hook): Clients {
    const s3 = memory.storage.s3
    const send = async (command: Command) => {
      await hook?.(command, 'before')
      const answer = await s3.send(command as never)
      return (await hook?.(command, 'after', answer)) ?? answer
    }
    return {
      ...use.clients,
      backups: { ...use.clients.backups, s3: { send } as unknown as S3Client },
      config: { ...use.clients.config, ...config },
    }
  }

  async function run(about: Record<string, unknown>): Promise<string> {
    const runId = `run-${Math.random()}`
    ended = Math.max(ended + 1, Date.now())
    const row = {
      run_id: runId,
      operation: 'reset',
      request_digest: '',
      phase: 'Finish',
      plan: {},
      started_at: now,
      finished_at: about.status === 'running' ? null : new Date(ended),
      ...about,
    }
    const names = Object.keys(row)
    const places = names.map((_, index) => `$${index + 1}`)
    await use.stack.sql.query(
      `INSERT INTO taskmaster_reset.runs (${names.join(', ')}) VALUES (${places.join(', ')})`,
      Object.values(row),
    )
    return String(row.run_id)
  }

  function put(objects: Iterable<[string, Buffer]>): void {
    for (const [key, bytes] of objects) memory.objects.set(key, bytes)
  }

  /** Puts backups that were sealed on so many days before now, and gives their ids. */
  function sealed(ages: readonly number[]): string[] {
    return ages.map((age) => {
      const sealedAt = new Date(now.getTime() - age * dayMs).toISOString()
      const backupId = `${sealedAt.slice(0, 19).replaceAll(':', '-')}Z-aaaaaa`
      const sample = sampleBackup({ backupId, sealedAt })
      sample.addLate(1, [['public.users', 0, 4]])
      put(sample.objects)
      return backupId
    })
  }

  /** Every object, as text that changes with it. */
  async function objects(below = '', { s3 }: Pick<Bucket, 's3'> = use.clients.backups): Promise<string[]> {
    const found: string[] = []
    for await (const page of listRange({ ...memory.storage, s3 }, { prefix: below }))
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
    clientsWith,
    run,
    put,
    sealed,
    objects,
    folders,
    storage: memory.storage,
    get stack() {
      return use.stack
    },
    get clients() {
      return use.clients
    },
    /** The same ledger with the embedded S3, which starts empty. */
    get embedded() {
      return use.embedded
    },
    async copyToEmbedded(): Promise<void> {
      for (const [Key, Body] of memory.objects)
        await use.embedded.backups.s3.send(new PutObjectCommand({ Bucket: memory.storage.name, Key, Body }))
    },
    bytes: (key: string) => memory.objects.get(key) ?? Buffer.alloc(0),
    json: (key: string) => JSON.parse(memory.objects.get(key)?.toString() ?? ''),
  }
}
