import { DescribeExecutionCommand, GetExecutionHistoryCommand, SFNClient } from '@aws-sdk/client-sfn'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { batchesOf, type Shard } from '../../lib/database/parts/shards.ts'
import { pieceLimits } from '../../lib/files/work-lists.ts'
import { type Outcome, shortened } from '../../lib/run/outcome.ts'
import { executionArn } from '../../local/machine/arn.ts'
import type { Fault } from '../files/s3-front.ts'
import { inFullForm, isFull, tried } from '../support/trust.ts'
import { useFronts } from './fronts.ts'
import { filesPrefix, fullReset, useResetStack, withVariables } from './reset-stack.ts'

const limit = 32 * 1024
const tables = 2_000
const files = 100_000

let beforeTask: (state: string) => void = () => {}
const reset = useResetStack({ beforeTask: (state) => beforeTask(state) })
const fronts = useFronts(reset)
let client: SFNClient

beforeAll(async () => {
  client = new SFNClient({
    endpoint: reset.stack.env.AWS_ENDPOINT_URL_SFN ?? '',
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
  await reset.seed({ users: 3, files: 2, keys: 2 })
})
afterAll(() => client?.destroy())

/** The largest input and output of each Task, and of each state in the history, in bytes. */
async function sizesOf(name: string): Promise<Record<string, number>> {
  const sizes: Record<string, number> = {}
  const note = (state: string, bytes: number) => {
    sizes[state] = Math.max(sizes[state] ?? 0, bytes)
  }
  for (const { state, inputBytes, outputBytes } of reset.machine.taskPayloads(name))
    note(state, Math.max(inputBytes, outputBytes))
  for (const { error, cause } of reset.machine.taskFailures(name))
    note(`failure ${error}`, Buffer.byteLength(cause))
  let nextToken: string | undefined
  do {
    const page = await client.send(
      new GetExecutionHistoryCommand({ executionArn: executionArn(name), nextToken, maxResults: 1000 }),
    )
    for (const { stateEnteredEventDetails: entered, stateExitedEventDetails: exited } of page.events ?? []) {
      if (entered) note(`enter ${entered.name}`, Buffer.byteLength(entered.input ?? ''))
      if (exited) note(`leave ${exited.name}`, Buffer.byteLength(exited.output ?? ''))
    }
    nextToken = page.nextToken
  } while (nextToken !== undefined)
  const { output = '' } = await client.send(
    new DescribeExecutionCommand({ executionArn: executionArn(name) }),
  )
  note('output', Buffer.byteLength(output))
  return sizes
}

function checkSizes(sizes: Record<string, number>): void {
  expect(Object.keys(sizes).length).toBeGreaterThan(4)
  for (const [what, bytes] of Object.entries(sizes)) expect(bytes, what).toBeLessThanOrEqual(limit)
}

/** Answers listings of the files as a bucket with so many of them does. */
function manyFiles(count: number): Fault {
  return ({ bucket, query }) => {
    if (bucket !== 'taskmaster-files' || query.get('prefix') !== filesPrefix) return undefined
    const from = Number(query.get('continuation-token') ?? 0)
    const to = Math.min(from + 1000, count)
    const contents = Array.from({ length: to - from }, (_, i) => {
      const key = `${filesPrefix}story-${String(from + i).padStart(9, '0')}.txt`
      return `<Contents><Key>${key}</Key><LastModified>2026-11-22T00:00:00.000Z</LastModified><ETag>"${from + i}"</ETag><Size>1</Size></Contents>`
    })
    const more = to < count ? `<NextContinuationToken>${to}</NextContinuationToken>` : ''
    const body = `<?xml version="1.0"?><ListBucketResult><EncodingType>url</EncodingType><IsTruncated>${to < count}</IsTruncated>${more}${contents.join('')}</ListBucketResult>`
    return { status: 200, headers: { 'content-type': 'application/xml' }, body }
  }
}

function anOutcome(names: number, warnings: number, text: string, error: string | null = text): Outcome {
  return {
    runId: 'run',
    operation: 'reset',
    strategy: 'full',
    status: 'failed',
    backupId: 'backup',
    backupPrefix: 's3://backups/backup/',
    targets: {
      database: {
        state: 'wiped',
        rows: names,
        tables: Object.fromEntries(Array.from({ length: names }, (_, i) => [`public.table_${i}`, 1])),
      },
      files: { state: 'wiped', objects: 1, bytes: 1 },
      cache: { state: 'wiped', keys: 1 },
    },
    warnings: Array.from({ length: warnings }, (_, i) => ({ code: `W${i}`, message: text })),
    error: error === null ? null : { name: 'E', message: error },
    startedAt: '2026-11-22T19:05:33.000Z',
    finishedAt: '2026-11-22T19:05:34.000Z',
  }
}

describe(`with ${tables} tables`, () => {
  beforeAll(async () => {
    await reset.stack.sql.query(`
      DO $$ BEGIN
        FOR i IN 1..${tables} LOOP
          EXECUTE format('CREATE TABLE %I (id int)', 'a_table_with_a_name_that_is_not_short_' || i);
        END LOOP;
      END $$`)
    await reset.stack.sql.query(
      `INSERT INTO a_table_with_a_name_that_is_not_short_${tables - 1} VALUES (1), (2), (3)`,
    )
  })

  test.runIf(isFull)(
    `a whole reset has no payload over 32 KiB, and all of them in the ledger ${inFullForm}`,
    async () => {
      // Without rehearsal: its states are given what the export's are.
      const outcome = await reset.succeed({ ...fullReset, rehearse: false }, 'many-tables')
      const sizes = await sizesOf('many-tables')
      checkSizes(sizes)
      expect(sizes.output).toBeGreaterThan(300)
      tried('payloads', { tables, largest: Math.max(...Object.values(sizes)) })
      expect(outcome.targets.database).toEqual({ state: 'wiped', rows: 22 + 3, tables: {} })
      const ledger = await reset.row('many-tables')
      expect(Object.keys(ledger.outcome.targets.database.tables)).toHaveLength(tables + 6)
      expect(
        ledger.outcome.targets.database.tables[`public.a_table_with_a_name_that_is_not_short_${tables - 1}`],
      ).toBe(3)
      const manifest = await reset.manifestOf(outcome.backupId)
      expect(manifest.database?.tables).toHaveLength(tables + 6)
    },
  )

  test.runIf(isFull)(
    `in as many batches as there can be, and ${files} files, what Count hands on is not over 32 KiB, nor when all of it fails ${inFullForm}`,
    async () => {
      await reset.stack.sql.query(`
      DO $$ BEGIN
        FOR i IN 1..${tables} LOOP
          EXECUTE format('INSERT INTO %I VALUES (1)', 'a_table_with_a_name_that_is_not_short_' || i);
        END LOOP;
      END $$`)
      fronts.s3.faults = [manyFiles(files)]
      beforeTask = (state) => {
        if (state.endsWith('batch')) throw Object.assign(new Error('far enough'), { name: 'FarEnough' })
      }
      const ended = await withVariables({ ...fronts.variables, EXPORT_BATCH_BYTES: '1' }, () =>
        reset.run(fullReset, 'many-batches'),
      )
      beforeTask = () => {}
      expect(ended).toMatchObject({ status: 'FAILED', error: 'States.ExceedToleratedFailureThreshold' })
      const { plan } = await reset.row('many-batches')
      expect(plan.files).toMatchObject({ objects: files, batches: files / pieceLimits.objects })
      expect(plan.database.tables).toHaveLength(tables + 6)
      expect(plan.database.batches).toBeGreaterThan(400)
      const sizes = await sizesOf('many-batches')
      checkSizes(sizes)
      expect(sizes['enter Back up']).toBeGreaterThan(1_000)
    },
  )

  test.runIf(isFull)(
    `an error that names them all is shortened on its way, and whole in the log ${inFullForm}`,
    async () => {
      // Each of them references a table that goes, and is to be kept: one line per table.
      await reset.stack.sql.query(`
      CREATE TABLE kept_root (id int PRIMARY KEY);
      INSERT INTO kept_root VALUES (1);
      DO $$ BEGIN
        FOR i IN 1..300 LOOP
          EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (id) REFERENCES kept_root', 'a_table_with_a_name_that_is_not_short_' || i);
        END LOOP;
      END $$`)
      const kept = Array.from({ length: 300 }, (_, i) => `a_table_with_a_name_that_is_not_short_${i + 1}`)
      const ended = await reset.run(
        { ...fullReset, strategy: 'database-only', preserve: { tables: kept } },
        'many-conflicts',
      )
      expect(ended).toMatchObject({ status: 'FAILED', error: 'PreservationConflict' })
      expect(ended.cause).toMatch(/^public\.a_table_with.* is to be kept and references public\.kept_root/)
      expect(ended.cause).toMatch(/… \(shortened; the log has all of it\)$/)
      expect(Buffer.byteLength(ended.cause ?? '')).toBeGreaterThan(3_000)
      checkSizes(await sizesOf('many-conflicts'))
    },
  )
})

describe('whatever there is', () => {
  test('an error of any length, in any script, stays below 32 KiB all the way', async () => {
    const texts = ['x', '"', '\\', '\n', '\u0001', '語', '😀'].map((text) => text.repeat(10_000))
    for (const [index, text] of texts.entries()) {
      // Names in the database are at most 63 bytes; what an object holds may be anything.
      const body = JSON.stringify({ environment: text, claimedAt: '2026-11-22T00:00:00Z' })
      fronts.s3.faults = [
        ({ key }) =>
          key === '.taskmaster/environment.json'
            ? { status: 200, headers: { 'content-type': 'application/json', etag: '"1"' }, body }
            : undefined,
      ]
      const name = `long-error-${index}`
      const ended = await withVariables(fronts.variables, () => reset.run(fullReset, name))
      expect(ended).toMatchObject({ status: 'FAILED', error: 'EnvironmentMismatch' })
      expect(ended.cause).toMatch(/… \(shortened; the log has all of it\)$/)
      checkSizes(await sizesOf(name))
    }
  })

  test('preserving what is not there, 900 times, is an outcome with as many warnings, and a short output', async () => {
    const keys = Array.from({ length: 900 }, (_, i) => `no-such-key-${'x'.repeat(40)}-${i}:*`)
    const request = { ...fullReset, strategy: 'cache-only', preserve: { keys } }
    const outcome = await reset.succeed(request, 'many-warnings')
    expect(outcome.warnings).toHaveLength(10)
    expect((await reset.row('many-warnings')).outcome.warnings).toHaveLength(900)
    const { Count: count = 0, 'enter Count': entered = 0, ...sizes } = await sizesOf('many-warnings')
    checkSizes(sizes)
    // Only the request itself may be larger, which the caller wrote.
    expect(Math.max(count, entered)).toBeLessThanOrEqual(64 * 1024)
  })

  test('the batches are at most 1,000 of each kind, and their numbers fit', () => {
    const shard = (bytes: number) => ({ bytes }) as Shard
    const cases = [
      Array.from({ length: 100_000 }, () => shard(64 * 2 ** 20)),
      Array.from({ length: 5_000 }, (_, i) => shard(i % 2 === 0 ? 1 : 2 ** 40)),
      Array.from({ length: 3 }, () => shard(2 ** 50)),
      [],
    ]
    for (const shards of cases) expect(batchesOf(shards, 1).length).toBeLessThanOrEqual(1_000)
    const list = Array.from({ length: pieceLimits.batches }, (_, batch) => batch)
    const counted = {
      next: 'backup',
      runId: 'x'.repeat(80),
      attempt: 2,
      operation: 'reset',
      clears: { database: true, files: true, cache: true },
      batches: { database: list, files: list, cache: [0], load: list, restoreFiles: list },
      // As JSON in JSON, and with the stack that repeats it.
      stale: { Error: 'BackupIsStale', Cause: 'x'.repeat(2 * 4_100) },
    }
    expect(Buffer.byteLength(JSON.stringify(counted))).toBeLessThan(limit)
    const outcome = shortened(anOutcome(2_000, 200, '"'.repeat(10_000), null))
    expect(Buffer.byteLength(JSON.stringify({ ...counted, stale: undefined, outcome }))).toBeLessThan(limit)
  })

  test('an outcome is cut only as far as needed', () => {
    const small = anOutcome(300, 20, 'text')
    expect(shortened(small)).toEqual(small)
    const wide = shortened(anOutcome(2_000, 20, 'text'))
    expect(wide.targets.database).toEqual({ state: 'wiped', rows: 2_000, tables: {} })
    expect(wide.warnings).toHaveLength(20)
    for (const text of ['x', '"', '\n', '\u0001', '語', '😀']) {
      const long = shortened(anOutcome(2_000, 200, text.repeat(20_000)))
      expect(Buffer.byteLength(JSON.stringify(long)), JSON.stringify(text)).toBeLessThan(limit)
      expect(long.error?.message.endsWith('… (shortened; the ledger has all of it)')).toBe(true)
      expect(long.warnings[9]?.message.isWellFormed()).toBe(true)
    }
  })
})
