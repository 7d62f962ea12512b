import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import type { BackedUpTable } from '../../lib/backup/sections/database.ts'
import { speeds as keySpeeds, planCache } from '../../lib/cache/plan.ts'
import type { Config } from '../../lib/config/variables.ts'
import { bytesUnproved } from '../../lib/database/base/share.ts'
import {
  checkComparing,
  checkComparingHeld,
  checkLookingHeld,
  speeds as tableSpeeds,
} from '../../lib/database/plan/single-works.ts'
import { LimitExceeded } from '../../lib/errors.ts'
import { invocationMs } from '../../lib/executions/invocation.ts'
import { speeds as fileSpeeds, planFiles } from '../../lib/files/plan.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { countAll } from '../../lib/run/count.ts'
import { listSizes } from '../../lib/s3/list.ts'
import type { Planning } from '../../lib/store.ts'
import { startCache } from '../cache/cache-stack.ts'
import { configured, useDatabase } from '../database/database-stack.ts'
import { prefix, useFiles } from '../files/files-stack.ts'
import { smallPages } from '../files/s3-front.ts'
import { withSizes } from './invented-sizes.ts'

const seconds = invocationMs / 1000
const gb = 1_000_000_000
const connection = undefined as never // of a planner that asks no database

const asked: Planning = {
  ...{ run: { runId: 'run', attempt: 0, tried: 'once' }, operation: 'reset', takesBackup: true },
  startedAt: '2026-11-22T12:00:00Z',
  ...{ dryRun: true, rehearse: false, takeOver: false, backup: null, selection: {} },
  preserve: { tables: [], rows: {}, excluded: [], files: [], keys: [] },
}

describe('too much of the database for one invocation', () => {
  const database = useDatabase()
  let lanes: number

  beforeAll(async () => {
    await database.sql.query('CREATE SCHEMA app; CREATE TABLE app.large (id int PRIMARY KEY)')
    const answer = await database.sql.query(
      `SELECT current_setting('max_parallel_workers_per_gather')::int AS workers`,
    )
    lanes = 1 + answer.rows[0].workers
  })

  /** State "Count" of a backup of one table that is said to have so many bytes. */
  async function count(runId: string, bytes: number, request: object, config: Partial<Config>) {
    await database.sql.query(`UPDATE taskmaster_reset.runs SET status = 'failed' WHERE status = 'running'`)
    const clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'], ...config })
    return countAll(
      withSizes(clients, () => bytes),
      {
        request: { operation: 'backup', strategy: 'database-only', rehearse: false, ...request },
        ...{ runId, attempt: 0, startedAt: new Date().toISOString() },
      },
    )
  }

  const oneBatch = { EXPORT_BATCH_BYTES: 2 ** 50 }
  it.each([
    ['to export as one batch', () => tableSpeeds.export.fast, {}, oneBatch, /^Exporting the largest batch/],
    ['to make one moment', () => tableSpeeds.fingerprint.fast * lanes, {}, {}, /^Comparing the batches/],
    ['to rehearse', () => tableSpeeds.compare.fast, { rehearse: true }, {}, /^Comparing what .* loaded/],
  ])(
    'is refused by Count with the figure, before anything is written, and passes just below: %s',
    async (_what, speed, request, config, says) => {
      const most = speed() * seconds
      const runId = randomUUID()
      const refused = count(runId, most * 1.001, request, config)
      await expect(refused).rejects.toThrow(LimitExceeded)
      await expect(refused).rejects.toThrow(says)
      await expect(refused).rejects.toThrow(
        /\(\d+\.\d GiB\) would take .* has 840 s\. Nothing was touched; .*EXCLUDE_TABLES/,
      )
      for await (const { key } of listSizes(database.storage, [`.taskmaster/runs/${runId}/`]))
        expect(key).toBeUndefined()

      const passed = randomUUID()
      await count(passed, most * 0.999, { ...request, dryRun: true }, config)
      const { rows } = await database.sql.query('SELECT plan FROM taskmaster_reset.runs WHERE run_id = $1', [
        passed,
      ])
      expect(rows[0].plan.database.bytes).toBe(most * 0.999)
      const warned = { code: 'MayTakeTooLong', message: expect.stringMatching(says) }
      expect(rows[0].plan.warnings).toContainEqual(warned)
    },
  )

  it('to make one moment is warned of, but not refused, where the last wipe was slow: that was another day', async () => {
    const slow = { bytes: 2 ** 27, milliseconds: 20_000 }
    await count(randomUUID(), gb, {}, {})
    await database.sql.query(`UPDATE taskmaster_reset.runs SET wiped = '{}', locked = $1`, [slow])
    const runId = randomUUID()
    await count(runId, 20 * gb, { dryRun: true }, {})
    const { rows } = await database.sql.query('SELECT plan FROM taskmaster_reset.runs WHERE run_id = $1', [
      runId,
    ])
    const message = expect.stringMatching(/^Comparing the batches .* would take about \d+ to 2,981 s/)
    expect(rows[0].plan.warnings).toContainEqual({ code: 'MayTakeTooLong', message })
    await database.sql.query('UPDATE taskmaster_reset.runs SET wiped = NULL, locked = NULL')
  })

  it('to rehearse of a backup is refused by what its tables have at least, and warned of by its JSON', () => {
    const most = tableSpeeds.compare.fast * seconds
    // Compressed they may be twice what they make.
    const held = (least: number, plain: number) => [
      { rows: 0, columns: [], parts: [{ bytes: 2 * least, plain }] } as unknown as BackedUpTable,
    ]
    expect(() => checkComparingHeld(held(most + gb, 9 * most))).toThrow(LimitExceeded)
    expect(checkComparingHeld(held(most - gb, 9 * most))).toMatchObject([{ code: 'MayTakeTooLong' }])
    expect(checkComparingHeld(held(1, gb))).toEqual([])
    expect(checkComparingHeld([])).toEqual([])
  })

  it('to rehearse is refused by what the base holds no proof of, and warned of by all, where something is taken over', () => {
    const most = tableSpeeds.compare.fast * seconds
    const held = (provedAt: string | null): [string, BackedUpTable] => {
      const parts = [
        { bytes: 3, provedAt: '2026-11-22T03:00:00Z' },
        { bytes: 1, provedAt },
      ]
      return ['large', { parts } as unknown as BackedUpTable]
    }
    const tables = [
      { name: 'large', bytes: 5 * most },
      { name: 'small', bytes: 7 },
    ]
    const unproved = (...base: [string, BackedUpTable][]) => bytesUnproved(tables, new Map(base))
    expect(unproved()).toBe(5 * most + 7)
    expect(unproved(held(null))).toBe((5 / 4) * most + 7)
    expect(unproved(held('2026-11-22T03:00:00Z'))).toBe(7)
    expect(() => checkComparing({ most: 5 * most, least: unproved(held(null)) })).toThrow(LimitExceeded)
    expect(checkComparing({ most: 5 * most, least: 7 })).toMatchObject([{ code: 'MayTakeTooLong' }])
  })

  it('to compare of two backups is refused or warned of by the rows of what is not the same in both', async () => {
    const table = (name: string, fingerprint: string, rows: number) =>
      ({ name, rows, fingerprint, parts: [] }) as unknown as BackedUpTable
    const looking = (rows: number, other = '2') =>
      withConnection(database.clients, (connection) =>
        checkLookingHeld(
          connection,
          [table('a', '1', rows), table('gone', '1', 9 * rows)],
          [table('a', other, rows), table('later', '1', 9 * rows)],
        ),
      )
    const most = (tableSpeeds.hashes.fast * seconds) / 2
    await expect(looking(most * 1.001)).rejects.toThrow(LimitExceeded)
    expect(await looking(most * 0.999)).toMatchObject([{ code: 'MayTakeTooLong' }])
    expect(await looking(most * 1.001, '1')).toEqual([])
  })

  it('is said by nothing where there is little', async () => {
    const runId = randomUUID()
    await count(runId, gb, { dryRun: true }, {})
    const { rows } = await database.sql.query('SELECT plan FROM taskmaster_reset.runs WHERE run_id = $1', [
      runId,
    ])
    expect(rows[0].plan.warnings).toEqual([])
  })
})

describe('too many files for one invocation', () => {
  const stack = useFiles()

  it('to list are refused when its time is over, with the number that it got to', async () => {
    await stack.putMany(Array.from({ length: 5 }, (_, at) => `${prefix}${at}`))
    const over = new AbortController()
    stack.front.faults = [
      smallPages(2),
      ({ query }) => {
        if (query.has('continuation-token')) over.abort()
        return undefined
      },
    ]
    const listed = planFiles(stack.clients as never, connection, { ...asked, signal: over.signal })
    await expect(listed).rejects.toThrow(LimitExceeded)
    await expect(listed).rejects.toThrow(
      'The time of one invocation was over when 4 files below s3://files/generated_stories/ had been listed, and there are more. Nothing was touched; say a narrower FILES_PREFIX',
    )
    expect(await stack.keysIn('backups')).toEqual([])
  })

  it('in the backup that is restored are refused before its list is read', async () => {
    const most = fileSpeeds.readList.fast * seconds
    const of = (objects: number) => {
      const backup = { backupId: 'large', files: { prefix, objects, bytes: 0, vanished: 0, index: null } }
      return planFiles(stack.clients as never, connection, {
        ...asked,
        ...{ operation: 'restore', takesBackup: false, backup: backup as never },
      })
    }
    await expect(of(most + 1)).rejects.toThrow(
      /^Reading the list of files .*42,000,001 files\) .* Nothing was touched/,
    )
    await expect(of(most)).resolves.toMatchObject({ warnings: [{ code: 'MayTakeTooLong' }] })
    await expect(of(1_000_000)).resolves.toMatchObject({ warnings: [] })
  })
})

describe('too many keys for one invocation', () => {
  const cache = startCache()

  const plan = async (keys: number, about: Partial<Planning>) => {
    const { front, withPrefix } = await cache
    front.faults = [
      async (commands, forward) => {
        if (!commands.some(([name]) => name === 'DBSIZE')) return undefined
        const answer = await forward()
        const [, ...others] = JSON.parse(answer.body)
        return { ...answer, body: JSON.stringify([{ result: keys }, ...others]) }
      },
    ]
    return planCache(withPrefix('*') as never, connection, { ...asked, ...about })
  }

  it.each([
    ['to export', keySpeeds.export.fast, { operation: 'backup' }, /^Exporting the cache \(50,400,001 keys/],
    ['to wipe', keySpeeds.wipe.fast, { takesBackup: false }, /^Wiping the cache \(50,400,001 keys/],
  ] as const)('%s are refused with the figure, and pass just below', async (_what, speed, about, says) => {
    const most = speed * seconds
    const refused = plan(most + 1, about)
    await expect(refused).rejects.toThrow(LimitExceeded)
    await expect(refused).rejects.toThrow(says)
    await expect(plan(most, about)).resolves.toMatchObject({ warnings: [{ code: 'MayTakeTooLong' }] })
    await expect(plan(1_000_000, about)).resolves.toMatchObject({ warnings: [] })
  })

  it('to restore are refused with the figure, and pass just below', async () => {
    const most = keySpeeds.restore.fast * seconds
    const restore = (keys: number) =>
      plan(1, { operation: 'restore', takesBackup: false, backup: { cache: { keys } } as never })
    await expect(restore(most + 1)).rejects.toThrow(/^Restoring the cache \(18,480,001 keys/)
    await expect(restore(most)).resolves.toMatchObject({ warnings: [{ code: 'MayTakeTooLong' }] })
  })

  it('to count are refused when its time is over', async () => {
    const { clients, redis } = await cache
    await redis.mset('taskmaster:a', '1', 'taskmaster:b', '2')
    const counting = planCache(clients as never, connection, { ...asked, signal: AbortSignal.abort() })
    await expect(counting).rejects.toThrow(LimitExceeded)
    await expect(counting).rejects.toThrow(
      'The time of one invocation was over when 2 cache keys below "taskmaster:" had been counted',
    )
  })
})
