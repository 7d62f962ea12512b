import { GetExecutionHistoryCommand, SFNClient } from '@aws-sdk/client-sfn'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { currentClients } from '../../lib/task.ts'
import { loadFunctions } from '../../local/functions.ts'
import { executionArn } from '../../local/machine/arn.ts'
import type { Handler } from '../../local/machine/tasks.ts'
import { useFronts } from '../e2e/fronts.ts'
import { filesPrefix, fullReset, useResetStack, withVariables } from '../e2e/reset-stack.ts'
import { useBundledChild } from '../support/bundled-child.ts'
import { inFullForm, isFull, rounds, tried } from '../support/trust.ts'
import { copiedBy, copiesOf, cutOf, dropLists, listingOf } from './synthetic-files.ts'

/** A terabyte in so many tables, a hundred of them large (50 million rows of 180 bytes), and so many files. */
const tables = rounds({ short: 300, full: 5_000 })
const files = rounds({ short: 20_000, full: 1_000_000 })
const large = 100
const sizes = { large: 9e9, small: (1e12 - large * 9e9) / (tables - large) }
/** How much more it is of what docs/scale.md says that Count lists in its time. In the short form most is the beginning. */
const most = (files: number) => rounds({ short: 1, full: 5_500_000 / files })
/** EXPORT_BATCH_BYTES, as it is by default. */
const exportBatchBytes = 8 * 2 ** 30
/** Each function's memory in serverless.yml, in MiB, and the seconds that it has of the share of a core that comes with it. */
const limits = { count: { MiB: 1_024, seconds: (900 * 1_024) / 1_769 }, seal: { MiB: 1_769, seconds: 900 } }

const countIn = useBundledChild(new URL('./count-child.ts', import.meta.url))
const sealIn = useBundledChild(new URL('./seal-child.ts', import.meta.url))

type Measured = { counted: unknown; peakMiB: number; seconds: number; cpuSeconds: number }
let counted: Measured | undefined
const asked = new Map<string, number>()

/** The real Count, claim and Finish; the steps between are asked, and do nothing. */
async function stepsOfNothing(): Promise<Record<string, Handler>> {
  const { finish } = (await loadFunctions()) as { finish: Handler }
  const count: Handler = async (event) => {
    counted = (await countIn([JSON.stringify(event), JSON.stringify(sizes)])) as Measured
    return counted.counted
  }
  const nothing = (name: string): Handler => {
    return async () => {
      asked.set(name, (asked.get(name) ?? 0) + 1)
      return {}
    }
  }
  const others = [
    'export',
    'copy',
    'load',
    'compare',
    'seal',
    'wipe',
    'restore',
    'putback',
    'verify',
    'prune',
    'hooks',
  ]
  return { count, finish, ...Object.fromEntries(others.map((name) => [name, nothing(name)])) }
}

const reset = useResetStack({ loadFunctions: stepsOfNothing })
const fronts = useFronts(reset)
let client: SFNClient

beforeAll(async () => {
  const endpoint = reset.stack.env.AWS_ENDPOINT_URL_SFN ?? ''
  client = new SFNClient({
    ...{ endpoint, region: 'us-east-1' },
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
  await reset.seed({ users: 0, files: 0, keys: 0 })
  await reset.stack.sql.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  for (let from = 1; from <= tables; from += 500) {
    await reset.stack.sql.query(`
      DO $$ BEGIN
        FOR i IN ${from}..${Math.min(from + 499, tables)} LOOP
          EXECUTE format('CREATE TABLE %I (id bigint PRIMARY KEY, world int, at timestamptz, title text, body text, meta jsonb)',
            CASE WHEN i <= ${large} THEN 'large_' ELSE 'small_' END || i);
        END LOOP;
      END $$`)
  }
  // As a database knows it that wiped as much before, on a large compute.
  await reset.stack.admin.query(`UPDATE taskmaster_reset.runs SET wiped = '{}', started_at = now(),
    locked = '{"bytes": 1000000000000, "milliseconds": 300000}'`)
}, 180_000)
afterAll(() => client?.destroy())

describe(`a reset of a terabyte in ${tables} tables, and of ${files} files`, () => {
  it.runIf(isFull)(
    `is planned within the time and memory of Count, and goes through the machine with small payloads ${inFullForm}`,
    async () => {
      fronts.s3.faults = [listingOf(files, filesPrefix), dropLists]
      const request = { ...fullReset, rehearse: false }
      const ended = await withVariables(fronts.variables, () => reset.run(request, 'whole'))
      // All states were gone through, and Finish sees that they did nothing.
      expect([ended.status, ended.error]).toEqual(['FAILED', 'WipeIncomplete'])
      const { plan } = await reset.row('whole')
      const { batches } = plan.database
      expect(plan.database.bytes).toBeCloseTo(1e12, -4)
      expect(batches).toBeGreaterThanOrEqual(1e12 / exportBatchBytes)
      expect(batches).toBeLessThan((1.2 * 1e12) / exportBatchBytes)
      expect(plan.database.tables).toHaveLength(tables)
      const cut = cutOf(files)
      expect(plan.files).toMatchObject(cut)
      expect(cut.batches).toBeLessThanOrEqual(1_000)
      // Beside the tables the export has the cache, and makes the batches one moment.
      const times = { export: batches + 2, copy: cut.batches, seal: 1, wipe: 1 + cut.batches + 1 }
      expect(Object.fromEntries(asked)).toMatchObject(times)

      const { peakMiB, seconds, cpuSeconds } = counted as Measured
      const events = await eventsOf('whole')
      const largest = Math.max(...events.map(({ bytes }) => bytes))
      tried('scale', { tables, files, events: events.length, largest, seconds, cpuSeconds, peakMiB })
      expect(peakMiB).toBeLessThan(limits.count.MiB)
      expect(cpuSeconds * most(files)).toBeLessThan(limits.count.seconds)
      expect(events.length).toBeLessThan(25_000)
      for (const { name, bytes } of events) expect(bytes, name).toBeLessThanOrEqual(32 * 1024)
      for (const { state, inputBytes, outputBytes } of reset.machine.taskPayloads('whole'))
        expect(Math.max(inputBytes, outputBytes), state).toBeLessThanOrEqual(32 * 1024)
    },
    3_600_000,
  )

  it.runIf(isFull)(
    `is sealed, as far as its files go, within the time and memory of Seal ${inFullForm}`,
    async () => {
      const { backups, config } = await currentClients()
      const run = { runId: 'sealed', attempt: 0, tried: 'once' }
      const backupId = '2026-11-22T19-05-33Z-3f9a2c'
      fronts.s3.faults = [
        copiedBy(backups, run, files),
        listingOf(files, copiesOf(config.BACKUP_PREFIX, backupId)),
      ]
      const planned = cutOf(files)
      const measured = await sealIn(
        [JSON.stringify({ run, backupId, planned, rehearse: false })],
        fronts.variables,
      )
      const { held, peakMiB, seconds, cpuSeconds } = measured
      tried('seal of files', { files, seconds, cpuSeconds, peakMiB })
      expect(held).toMatchObject({ objects: files, bytes: planned.bytes, vanished: 0 })
      expect(peakMiB).toBeLessThan(limits.seal.MiB)
      expect(cpuSeconds * most(files)).toBeLessThan(limits.seal.seconds)
    },
    3_600_000,
  )
})

/** Each event of the execution's history, with the bytes of what a state was given or gave. */
async function eventsOf(name: string): Promise<{ name: string; bytes: number }[]> {
  const found: { name: string; bytes: number }[] = []
  let nextToken: string | undefined
  do {
    const page = await client.send(
      new GetExecutionHistoryCommand({ executionArn: executionArn(name), nextToken, maxResults: 1000 }),
    )
    for (const event of page.events ?? []) {
      const { stateEnteredEventDetails: entered, stateExitedEventDetails: exited } = event
      const text = entered?.input ?? exited?.output ?? ''
      found.push({ name: entered?.name ?? exited?.name ?? event.type ?? '', bytes: Buffer.byteLength(text) })
    }
    nextToken = page.nextToken
  } while (nextToken !== undefined)
  return found
}
