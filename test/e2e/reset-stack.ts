import { createHash } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn'
import pMap from 'p-map'
import { afterAll, beforeAll } from 'vitest'
import { lastAttempt } from '../../lib/backup/late.ts'
import { backupKeys } from '../../lib/backup/layout.ts'
import { Late, Manifest } from '../../lib/backup/manifest.ts'
import { fenceKey } from '../../lib/cache/keys.ts'
import { Outcome } from '../../lib/run/outcome.ts'
import type { StepFunctionsEndpoint } from '../../local/machine/step-functions.ts'
import type { StackOptions } from '../../local/stack.ts'
import { endOfExecution } from '../support/end-of-execution.ts'
import { hasRedis } from '../support/needs.ts'
import { type FreshStack, freshStack } from '../support/stack.ts'

export const environment = 'local'
export const filesBucket = 'taskmaster-files'
export const backupBucket = 'taskmaster-backups'
export const filesPrefix = 'generated_stories/'
export const fullReset = { operation: 'reset', strategy: 'full', confirm: environment } as const
/** Without the rehearsal, for tests of something else. */
export const quickReset = { ...fullReset, rehearse: false } as const

export type Ended = {
  name: string
  status: string
  /** The execution's output, parsed; undefined when it failed. */
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of it
  output: any
  error: string | undefined
  cause: string | undefined
}

/** A stack for the tests of one file, with what looks at its stores past the product. */
export function useResetStack(options: StackOptions = {}) {
  let stack: FreshStack
  let machine: StepFunctionsEndpoint
  let client: SFNClient
  let claimed = false

  beforeAll(async () => {
    stack = await freshStack(options)
    if (stack.machine === undefined) throw new Error('The tests need the embedded state machine.')
    machine = stack.machine
    client = new SFNClient({
      endpoint: stack.env.AWS_ENDPOINT_URL_SFN ?? '',
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    })
  })
  afterAll(async () => {
    client?.destroy()
    await stack?.stop()
  })

  async function start(request: unknown, name?: string): Promise<string> {
    const { executionArn = '' } = await client.send(
      new StartExecutionCommand({
        stateMachineArn: stack.env.STATE_MACHINE_ARN,
        input: JSON.stringify(request),
        name,
      }),
    )
    return executionArn
  }

  async function end(executionArn: string): Promise<Ended> {
    const described = await endOfExecution(client, machine, executionArn)
    const { status = '', output, error, cause, name = '' } = described
    return { name, status, output: output === undefined ? undefined : JSON.parse(output), error, cause }
  }

  const run = async (request: unknown, name?: string) => end(await start(request, name))

  /** Runs a request that has to succeed, and gives its outcome. */
  async function succeed(request: unknown, name?: string): Promise<Outcome> {
    const ended = await run(request, name)
    if (ended.status !== 'SUCCEEDED') throw new Error(`${ended.status}: ${ended.error}: ${ended.cause}`)
    return Outcome.parse(ended.output)
  }

  // biome-ignore lint/suspicious/noExplicitAny: a row of the ledger
  async function row(runId: string): Promise<any> {
    const ledger = await stack.admin.query(`SELECT to_regclass('taskmaster_reset.runs') AS runs`)
    if (ledger.rows[0].runs === null) return undefined
    const found = await stack.admin.query('SELECT * FROM taskmaster_reset.runs WHERE run_id = $1', [runId])
    return found.rows[0]
  }

  async function objects(
    bucket: string,
    prefix = '',
  ): Promise<{ key: string; size: number; etag: string }[]> {
    const found: { key: string; size: number; etag: string }[] = []
    let token: string | undefined
    do {
      const page = await stack.s3.send(
        new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ContinuationToken: token }),
      )
      for (const { Key = '', Size = 0, ETag = '' } of page.Contents ?? [])
        found.push({ key: Key, size: Size, etag: ETag })
      token = page.NextContinuationToken
    } while (token !== undefined)
    return found
  }

  async function bytesOf(key: string, bucket = backupBucket): Promise<Buffer> {
    const answer = await stack.s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
    return Buffer.from((await answer.Body?.transformToByteArray()) ?? [])
  }

  async function put(key: string, body: string | Uint8Array, bucket = filesBucket): Promise<void> {
    await stack.s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }))
  }

  async function remove(bucket: string, keys: readonly string[]): Promise<void> {
    for (let start = 0; start < keys.length; start += 1000) {
      const Objects = keys.slice(start, start + 1000).map((Key) => ({ Key }))
      await stack.s3.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects } }))
    }
  }

  /** Rows per table, by a count of its own. */
  async function rows(): Promise<Record<string, number>> {
    const tables = await stack.admin.query(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
       WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'taskmaster_reset') ORDER BY 1`,
    )
    const counts: Record<string, number> = {}
    for (const { name } of tables.rows) {
      const answer = await stack.admin.query(`SELECT count(*)::int AS rows FROM ONLY ${name}`)
      counts[name] = answer.rows[0].rows
    }
    return counts
  }

  /** The application's data in all three stores, and their marks, as texts that are equal when nothing was changed. */
  async function fingerprint() {
    return { database: await databasePrint(), files: await filesPrint(), cache: await cachePrint() }
  }

  async function databasePrint(): Promise<Record<string, string>> {
    const relations = await stack.admin.query(
      `SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relkind AS kind, c.oid
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
         AND (n.nspname <> 'taskmaster_reset' OR c.relname = 'environment') ORDER BY 1`,
    )
    const print: Record<string, string> = {}
    for (const { name, kind, oid } of relations.rows) {
      const text =
        kind === 'S'
          ? `SELECT last_value || ' ' || is_called AS print FROM ${name}`
          : `SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) AS print FROM ONLY ${name} AS t`
      print[name] = `${oid} ${(await stack.admin.query(text)).rows[0].print}`
    }
    return print
  }

  async function filesPrint(): Promise<string[]> {
    return (await objects(filesBucket)).map(({ key, size, etag }) => `${key} ${size} ${etag}`)
  }

  async function cachePrint(): Promise<string[]> {
    const all = await stack.redis.keysBuffer('*')
    const keys = all.filter((key) => key.toString() !== fenceKey).sort(Buffer.compare)
    return Promise.all(
      keys.map(async (key) => {
        const [value, expiry] = [await readValue(key), await stack.redis.pexpiretime(key)]
        return `${key.toString('latin1')} ${createHash('sha256').update(value).digest('hex')} ${expiry}`
      }),
    )
  }

  /** What DUMP gives, and of ioredis-mock, which has none, the text; the sample's values and these tests' are text there. */
  async function readValue(key: Buffer): Promise<Buffer | string> {
    if (hasRedis) return (await stack.redis.dumpBuffer(key)) ?? ''
    const name = key.toString()
    const type = await stack.redis.type(key)
    if (type === 'string') return (await stack.redis.get(key)) ?? ''
    if (type === 'list') return JSON.stringify(await stack.redis.lrange(key, 0, -1))
    if (type === 'set') return JSON.stringify((await stack.redis.smembers(key)).sort())
    if (type === 'zset') return JSON.stringify(await stack.redis.zrange(key, '0', '-1', 'WITHSCORES'))
    if (type === 'hash') return JSON.stringify(Object.entries(await stack.redis.hgetall(key)).sort())
    throw new Error(`A ${type} (${name}) cannot be read out of ioredis-mock.`)
  }

  async function manifestOf(backupId: string | null): Promise<Manifest> {
    const key = backupKeys('.taskmaster/backups/', backupId ?? '').manifest
    return Manifest.parse(JSON.parse((await bytesOf(key)).toString()))
  }

  /** The latest late file of a backup, or undefined. */
  async function lateOf(backupId: string | null): Promise<Late | undefined> {
    const keys = backupKeys('.taskmaster/backups/', backupId ?? '')
    const attempt = await lastAttempt({ s3: stack.s3, name: backupBucket }, keys)
    if (attempt === 0) return undefined
    return Late.parse(JSON.parse((await bytesOf(keys.late(attempt))).toString()))
  }

  /** Ids of the sealed backups. */
  async function sealed(): Promise<string[]> {
    const found = await objects(backupBucket, '.taskmaster/backups/')
    return found.flatMap(({ key }) => /([^/]+)\/manifest\.json$/.exec(key)?.[1] ?? [])
  }

  /** Objects that are already what they should be are left: most tests change few. */
  async function seedFiles(files: number): Promise<void> {
    const wanted = new Map(files > 0 ? [['other/not-ours.txt', 'outside the prefix']] : [])
    for (let i = 0; i < files; i++) {
      const key = `${filesPrefix}${i % 4 === 0 ? 'pinned/' : ''}story ${i}.txt`
      wanted.set(key, `Once upon a time ${'x'.repeat(i)}`)
    }
    const surplus: string[] = []
    for (const { key, etag } of await objects(filesBucket)) {
      const body = wanted.get(key)
      if (body !== undefined && etag === `"${createHash('md5').update(body).digest('hex')}"`)
        wanted.delete(key)
      else if (!key.startsWith('.taskmaster/')) surplus.push(key)
    }
    await remove(filesBucket, surplus)
    await pMap(wanted, ([key, body]) => put(key, body), { concurrency: 16 })
  }

  /** Puts sample data into the three stores in place of all that is there, and claims them. */
  async function seed({ users = 120, files = 12, keys = 15 } = {}): Promise<void> {
    await stack.sql.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
    await stack.sql.query(`
      CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL, role text NOT NULL DEFAULT 'user');
      CREATE TABLE worlds (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        owner int NOT NULL REFERENCES users, settings jsonb, notes json);
      CREATE TABLE stories (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), world bigint NOT NULL REFERENCES worlds,
        previous uuid REFERENCES stories, tokens numeric(38,0));
      CREATE TABLE events (at timestamptz NOT NULL DEFAULT now(), what text);
      CREATE TABLE empty_one (id int PRIMARY KEY);
      CREATE SEQUENCE ticket_numbers START 1000;
      CREATE TABLE tickets (number bigint PRIMARY KEY DEFAULT nextval('ticket_numbers'), title text);
      CREATE TABLE __drizzle_migrations (id serial PRIMARY KEY, hash text);
      INSERT INTO __drizzle_migrations (hash) VALUES ('one'), ('two')`)
    if (users > 0) {
      await stack.sql.query(`
        INSERT INTO users (name, role) SELECT 'user-' || i, CASE WHEN i % 40 = 1 THEN 'admin' ELSE 'user' END
          FROM generate_series(1, ${users}) i;
        INSERT INTO worlds (owner, settings, notes) SELECT i, '{"n": 12345678901234567890}', E'{"a":\\n 1}'
          FROM generate_series(1, ${users}) i;
        INSERT INTO stories (world, tokens) SELECT 1 + i % ${users}, 10::numeric ^ 30 + i
          FROM generate_series(1, ${2 * users}) i;
        INSERT INTO events (what) SELECT 'login ' || i FROM generate_series(1, ${users}) i;
        INSERT INTO tickets (title) SELECT 'ticket ' || i FROM generate_series(1, 7) i`)
    }
    await seedFiles(files)
    await stack.redis.flushdb()
    if (claimed) await stack.redis.set('taskmaster:environment', environment)
    const pipeline = stack.redis.pipeline()
    for (let i = 0; i < keys; i++) pipeline.set(`${i % 5 === 0 ? 'session' : 'page'}:${i}`, `value ${i}`)
    if (keys > 0) pipeline.hset('hash', { a: '1', b: '2' }).pexpire('hash', 3_600_000)
    await pipeline.exec()
    if (!claimed) await succeed({ operation: 'claim', confirm: environment })
    claimed = true
  }

  return {
    get stack() {
      return stack
    },
    get machine() {
      return machine
    },
    start,
    end,
    run,
    succeed,
    row,
    objects,
    bytesOf,
    put,
    remove,
    rows,
    fingerprint,
    manifestOf,
    lateOf,
    sealed,
    seed,
  }
}

/** Sets variables of the handlers' environment while `use` runs; undefined takes one away. */
export async function withVariables<Result>(
  values: Record<string, string | undefined>,
  use: () => Promise<Result>,
): Promise<Result> {
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const)
  const set = (entries: Iterable<readonly [string, string | undefined]>) => {
    for (const [name, value] of entries) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
  set(Object.entries(values))
  try {
    return await use()
  } finally {
    set(before)
  }
}

/** Ids of backups begin with the second, and of two of one second either may come first in their order. */
export const nextSecond = () => setTimeout(1_001 - (Date.now() % 1_000))

/** Sum of a record of numbers. */
export function total(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}
