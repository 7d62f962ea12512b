import { expect, test } from 'vitest'
import { runOfRow } from '../../lib/http/answers/run-of-row.ts'
import type { RunRow } from '../../lib/ledger/runs.ts'

const at = (minute: number) => new Date(Date.UTC(2026, 10, 22, 19, minute))

/** What Count leaves of a plan. */
const plan = {
  clears: ['database', 'files', 'cache'],
  dryRun: false,
  rehearse: true,
  warnings: [{ code: 'CacheUnavailable', message: 'x' }],
  database: {
    batches: 2,
    tables: [
      { name: 'public.users', action: 'truncate', rows: 20 },
      { name: 'public.stories', action: 'truncate', rows: 3 },
    ],
  },
  files: { objects: 4, bytes: 400, batches: 1 },
  cache: { keys: 5 },
  restore: null,
}
const row: RunRow = {
  ...{ runId: 'run', operation: 'reset', strategy: 'full', requestedBy: 'api:ci', idempotencyKey: null },
  ...{ requestDigest: '', status: 'running', phase: 'Wipe database', attempt: 1, backupId: 'backup', plan },
  progress: {
    'Export database/0': { done: 10, total: 20 },
    'Export database/1': { done: 3, total: 3 },
    'Copy files/0': { done: 4, total: 4 },
  },
  ...{ wiped: null, restored: null, failure: null, outcome: null },
  ...{ startedAt: at(0), heartbeatAt: at(5), finishedAt: null, closingUntil: null, fence: 1 },
  ...{
    waiting: 'waiting for locks',
    locked: null,
    planDigest: null,
    late: null,
    latestInvocation: null,
    targetBackupId: null,
    steps: null,
  },
}
const told = (change: Partial<RunRow>) => runOfRow({ ...row, ...change })

test('a run tells what stands in its row: who it is, how far it is, and what it acts on', () => {
  expect(told({})).toEqual({
    ...{ runId: 'run', operation: 'reset', strategy: 'full', status: 'running', phase: 'Wipe database' },
    ...{
      attempt: 1,
      requestedBy: 'api:ci',
      dryRun: false,
      backupId: 'backup',
      restoredBackupId: null,
      target: null,
    },
    ...{ startedAt: '2026-11-22T19:00:00.000Z', heartbeatAt: '2026-11-22T19:05:00.000Z' },
    ...{ finishedAt: null, closingUntil: null, waiting: 'waiting for locks', cancellable: true },
    // Over all of its batches.
    progress: { 'Export database': { done: 13, total: 23 }, 'Copy files': { done: 4, total: 4 } },
    plan: {
      database: { rows: 23, tables: 2, batches: 2 },
      files: { objects: 4, bytes: 400, batches: 1 },
      cache: { keys: 5 },
      ...{ wipes: plan.clears, backsUp: plan.clears, rehearse: true },
    },
    ...{ wouldDo: null, outcome: null, error: null, to: null, steps: null },
  })
})

test('one that is over waits for nothing, and says until when an invocation of it may be alive', () => {
  const { waiting, cancellable, finishedAt, closingUntil } = told({
    ...{ status: 'cancelled', finishedAt: at(6), closingUntil: at(20) },
  })
  expect([waiting, cancellable, finishedAt, closingUntil]).toEqual([
    ...[null, false, '2026-11-22T19:06:00.000Z', '2026-11-22T19:20:00.000Z'],
  ])
})

test('only a reset says that it wipes, and without a backup none says that it backs up', () => {
  const none = { ...plan, warnings: [{ code: 'NoBackup', message: 'x' }] }
  const does = (operation: string, of: object = plan) => {
    const { wipes, backsUp } = told({ operation, plan: of }).plan ?? {}
    return [wipes?.length, backsUp?.length]
  }
  expect([does('backup'), does('reset'), does('restore')]).toEqual([
    [0, 3],
    [3, 3],
    [0, 3],
  ])
  expect([does('reset', none), does('restore', none)]).toEqual([
    [3, 0],
    [0, 0],
  ])
})

test('a verify and a delete name the backup that they are of, and a restore the one that it puts back', () => {
  const subject = { backupId: 'other', rehearse: false }
  const verify = told({ operation: 'verify', backupId: null, plan: { ...plan, clears: [], subject } })
  expect([verify.backupId, verify.plan?.rehearse]).toEqual(['other', false])
  const restore = told({
    operation: 'restore',
    plan: { ...plan, restore: { backupId: 'first', files: null } },
  })
  expect([restore.backupId, restore.restoredBackupId]).toEqual(['backup', 'first'])
  const early = told({ plan: null, backupId: null })
  expect([early.plan, early.dryRun, early.backupId]).toEqual([null, false, null])
})

test('what a step noted is why a run ended, and not while it goes on; of one that was taken over nobody knows', () => {
  const failure = { error: 'StoreUnavailable', message: 'S3 does not answer', phase: 'Copy files' }
  expect(told({ failure }).error).toBeNull()
  const why = { name: 'StoreUnavailable', message: 'S3 does not answer' }
  expect([told({ failure, status: 'failed' }).error, told({ failure, status: 'cancelled' }).error]).toEqual([
    ...[why, why],
  ])
  for (const lost of [{ failure }, { failure: null }])
    expect(told({ ...lost, status: 'abandoned' }).error).toEqual({
      name: 'RunLost',
      message: expect.stringContaining('last sign of life at 2026-11-22 19:05:00 UTC, in Wipe database'),
    })
})

test('a run whose plan a later version wrote, with more in it, is told all the same', () => {
  const later = {
    ...plan,
    later: 1,
    preserve: { tables: [], rows: {}, excluded: [], files: [], keys: [], later: [] },
    warnings: [{ code: 'CacheUnavailable', message: 'x', later: 1 }],
    database: { ...plan.database, unmanaged: [{ name: 'public.old', reason: 'x', later: 1 }] },
  }
  expect(told({ plan: later })).toEqual(told({}))
})

test('a run tells how long each step took; what is no such list tells nothing', () => {
  const from = '2026-11-22T19:05:33+00:00'
  expect(told({ steps: { Seal: { from, to: '2026-11-22 19:05:34.5+00' }, Finish: { from } } }).steps).toEqual(
    {
      Seal: { from: '2026-11-22T19:05:33.000Z', to: '2026-11-22T19:05:34.500Z' },
      Finish: { from: '2026-11-22T19:05:33.000Z', to: null },
    },
  )
  for (const steps of [null, 'x', { Seal: 5 }, { Seal: { from: 'never' } }])
    expect(told({ steps }).steps).toBeNull()
})

test('a reset that goes back to a backup tells what it was called, and which one that is', () => {
  const restore = { backupId: 'b', exact: true, to: 'baseline', files: null }
  expect(told({ operation: 'reset-to', plan: { ...plan, restore } })).toMatchObject({
    ...{ to: 'baseline', restoredBackupId: 'b' },
  })
})
