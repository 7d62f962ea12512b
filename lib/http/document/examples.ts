import type * as z from 'zod'
import type { ToldRows } from '../../database/schema/differing-rows.ts'
import type { BackupAnswer, BackupDetails } from '../answers/backup.ts'
import type { Options } from '../answers/options.ts'
import type { Run } from '../answers/run.ts'
import type { RunRequest } from '../answers/run-request.ts'

// Whole bodies for the document. A test checks each against its schema.

const backupId = '2026-11-22T19-05-33Z-3f9a2c'
const runId = '7f9c24e5-1f0a-4b8e-9d63-0c1b1a2d3e4f'
const [startedAt, sealedAt, finishedAt] = ['33.000', '41.210', '44.870'].map(
  (second) => `2026-11-22T19:05:${second}Z`,
) as [string, string, string]

type Examples = Record<string, { summary: string; value: z.input<typeof RunRequest> }>

/** One for each operation, and the way to look before anything is changed. */
export const requests: Examples = {
  dryRun: {
    summary: 'What a reset would do',
    value: { operation: 'reset', strategy: 'full', dryRun: true },
  },
  reset: {
    summary: 'A reset of everything after a backup, with a folder and sessions kept',
    value: {
      operation: 'reset',
      strategy: 'full',
      preserve: { files: ['pinned/'], keys: ['taskmaster:session:*'] },
      confirm: 'staging',
    },
  },
  resetTo: {
    summary: 'Everything back to the baseline, after a backup of what is there',
    value: { operation: 'reset', strategy: 'full', to: 'baseline', confirm: 'staging' },
  },
  baseline: {
    summary: 'A backup that is the baseline from now on',
    value: { operation: 'backup', label: 'baseline', pin: true, note: 'The filled shop of release 12' },
  },
  backup: { summary: 'A backup that is loaded and compared', value: { operation: 'backup', rehearse: true } },
  restore: {
    summary: 'Everything back as it was in a backup',
    value: { operation: 'restore', backupId, exact: true, confirm: 'staging' },
  },
  verify: { summary: 'Is a backup still whole?', value: { operation: 'verify', backupId } },
  diff: { summary: 'What became of it all since a backup?', value: { operation: 'diff', backupId } },
  diffRows: {
    summary: 'Which rows of a table are others than in a backup?',
    value: { operation: 'diff', backupId, rows: { table: 'public.users', limit: 5 } },
  },
  delete: { summary: 'Delete a backup', value: { operation: 'delete', backupId, confirm: 'staging' } },
  claim: { summary: "Write the environment's name", value: { operation: 'claim', confirm: 'staging' } },
}

export const toldRows: ToldRows = {
  name: 'public.users',
  ...{ before: 240, now: 241, extra: 1, missing: 0, changed: 1 },
  columns: ['id', 'name', 'role'],
  key: ['id'],
  limit: 5,
  leftOut: 0,
  rows: [
    { kind: 'extra', now: ['241', 'Ada', null] },
    { kind: 'changed', before: ['7', 'Grace', 'admin'], now: ['7', 'Grace', 'editor'] },
  ],
}

export const started = { runId, address: `/v1/runs/${runId}` }

export const run: Run = {
  runId,
  operation: 'reset',
  strategy: 'full',
  status: 'succeeded',
  phase: 'Finish',
  attempt: 0,
  requestedBy: 'api:ci',
  dryRun: false,
  backupId,
  to: null,
  restoredBackupId: null,
  target: null,
  startedAt,
  heartbeatAt: finishedAt,
  finishedAt,
  closingUntil: null,
  progress: { 'Export database': { done: 1240, total: 1240 }, 'Copy files': { done: 12, total: 12 } },
  steps: { 'Export database': { from: startedAt, to: sealedAt } },
  waiting: null,
  cancellable: false,
  plan: {
    database: { rows: 1240, tables: 7, batches: 1 },
    files: { objects: 12, bytes: 48_213, batches: 1 },
    cache: { keys: 96 },
    wipes: ['database', 'files', 'cache'],
    backsUp: ['database', 'files', 'cache'],
    rehearse: true,
  },
  wouldDo: null,
  outcome: {
    runId,
    operation: 'reset',
    strategy: 'full',
    status: 'succeeded',
    backupId,
    backupPrefix: `s3://taskmaster-staging-backups/.taskmaster/backups/${backupId}/`,
    targets: {
      database: { state: 'wiped', rows: 1240, tables: { 'public.users': 240, 'public.stories': 1000 } },
      files: { state: 'wiped', objects: 12, bytes: 48_213 },
      cache: { state: 'wiped', keys: 96 },
    },
    warnings: [],
    error: null,
    startedAt,
    finishedAt,
  },
  error: null,
}

export const backup: BackupAnswer = {
  backupId,
  environment: 'staging',
  strategy: 'full',
  startedAt,
  sealedAt,
  rehearsedAt: sealedAt,
  rows: 1240,
  files: 12,
  keys: 96,
  bytes: 96_113,
  consistency: 'snapshot',
  lateAttempts: 0,
  authentic: 'signed',
  pinned: false,
  labels: ['baseline'],
  note: 'After the import of November',
  run: { runId, operation: 'reset', requestedBy: 'api:ci' },
  kept: null,
}

export const backupDetails: BackupDetails = {
  ...backup,
  tables: [{ name: 'public.users', rows: 240, bytes: 9120 }],
  parts: [
    { part: 'manifest.json', bytes: 5120, rows: null, kind: 'manifest' },
    { part: 'database/public.users/00000.jsonl.zst', bytes: 9120, rows: 240, kind: 'database' },
  ],
  preserved: { tables: [], rows: { 'public.users': "role = 'admin'" }, files: ['pinned/'], keys: [] },
  warnings: [],
  next: null,
}

const all = ['database', 'files', 'cache'] as const

export const options: Options = {
  environment: 'staging',
  claimed: true,
  protected: false,
  strategies: [
    {
      name: 'full',
      clears: [...all],
      preserves: [],
      description:
        'Clears the tables of public, the files and the cache keys. Preserves only what is said to be preserved.',
    },
  ],
  database: {
    available: true,
    mark: 'staging',
    protected: false,
    serverVersion: '18.4',
    estimated: false,
    tables: [
      {
        name: 'public.users',
        label: 'User',
        rows: 240,
        estimated: false,
        bytes: 65_536,
        action: 'keeps some rows',
        keptRows: 4,
        keepRows: "role = 'admin'",
      },
    ],
    unmanaged: [{ name: 'public.__drizzle_migrations', reason: 'bookkeeping of migrations' }],
    warnings: [],
    problem: null,
  },
  files: {
    available: true,
    mark: 'staging',
    bucket: 'taskmaster-staging-files',
    prefix: 'generated_stories/',
    objects: 12,
    bytes: 48_213,
    preservedObjects: 3,
    preservedBytes: 12_004,
    unmatched: [],
    approximate: false,
  },
  cache: {
    available: false,
    reason: {
      name: 'StoreUnavailable',
      message:
        'The cache did not answer within 1.8 s: it is down, or busy, or still waking up. Ask again in a moment',
    },
  },
}
