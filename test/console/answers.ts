import type { Page } from 'playwright-core'
import type { BackupAnswer, BackupDetails } from '../../lib/http/answers/backup.ts'
import type { Options } from '../../lib/http/answers/options.ts'
import type { Run } from '../../lib/http/answers/run.ts'
import type { Session } from '../../lib/http/answers/session.ts'
import { backup, backupDetails, options, run } from '../../lib/http/document/examples.ts'
import type { Status } from '../../lib/run/status/status.ts'

/** Answers of the API that take rare stores, or long ones, to come about. */

export const session: Session = {
  ...{ name: 'ci', scopes: ['read', 'backup'], expiresAt: '2027-01-01T00:00:00.000Z' },
  ...{ environment: 'staging', protected: false, version: '1.2.3' },
  where: {
    ...{ database: 'db.example/taskmaster', cache: 'cache.example' },
    ...{ files: 's3://files/made/', backups: 's3://backups/.taskmaster/backups/' },
  },
}

const table = { label: null, estimated: false, bytes: 10, keptRows: 0, keepRows: null }
const database = options.database as Extract<Options['database'], { available: true }>
const files = options.files as Extract<Options['files'], { available: true }>

/** Much is in the way: no name in a store, a plan that cannot be made, a cache that is down. */
export const troubled: Options = {
  ...options,
  claimed: false,
  abridged: true,
  strategies: [...options.strategies, { ...options.strategies[0]!, name: 'cache-only', clears: ['cache'] }],
  database: {
    ...database,
    tables: [
      ...database.tables,
      { ...table, name: 'public.secret', rows: null, action: null },
      { ...table, name: 'public.logs', rows: 1234, estimated: true, action: 'wiped' },
    ],
    unmanaged: [...database.unmanaged, { name: 'public.spatial', reason: 'of an extension' }],
    warnings: [
      { code: 'LargeObjects', message: 'Large objects stay' },
      { code: 'UnloggedTables', message: 'A crash empties cached' },
    ],
    problem: { name: 'PreservationConflict', message: 'users is kept, and references logs' },
  },
  files: { ...files, mark: null },
}
export const protectedOnes: Options = {
  ...options,
  protected: true,
  database: { ...database, tables: [], unmanaged: [] },
  files: { ...files, objects: 1, preservedObjects: 1 },
  cache: {
    ...{ available: true, mark: 'staging', prefix: 'app:', keys: 3000, preservedKeys: 1000 },
    ...{ unmatched: [], approximate: true },
  },
}

const { labels: _, note: __, run: ___, kept: ____, ...sealed } = backup
const days = Array.from({ length: 30 }, (_, ago) =>
  new Date(Date.UTC(2026, 9, 24 + ago)).toISOString().slice(0, 10),
)
/** Thirty nights of which some failed, with a baseline and what comes next. */
export const status: Status = {
  lastProved: {
    ...{ backupId: backup.backupId, strategy: 'full', startedAt: backup.startedAt },
    rehearsedAt: backup.rehearsedAt,
  },
  dueEveryHours: 24,
  next: {
    ...{ name: 'nightly', at: '2026-11-23T03:00:00.000Z', operation: 'reset', strategy: 'full' },
    to: 'baseline',
  },
  labelled: [{ label: 'baseline', ...sealed }],
  unseenLabels: ['before'],
  backups: { count: 31, bytes: 3_100_000_000, older: 0 },
  nights: days.map((day, at) => {
    const ended = ['succeeded', 'succeeded_with_warnings', 'failed', 'cancelled', 'of another version'][
      at % 5
    ]
    return at === 0
      ? { day, runId: null, operation: null, status: null }
      : { day, runId: `night-${at}`, operation: 'reset-to', status: ended ?? null }
  }),
  storage: days.map((day, at) => ({ day, bytes: at * 1_000_000 })),
}
/** The same as if `now` were the evening of the last night, and most nights had gone well; with a baseline that holds so much. */
export function quietStatusAt(now: Date, held: { rows: number; files: number; keys: number }): Status {
  const hours = (count: number) => new Date(now.getTime() + count * 3_600_000).toISOString()
  const day = (ago: number) => hours(-24 * ago).slice(0, 10)
  const ended = (ago: number) =>
    ago === 19 ? 'failed' : ago % 11 === 7 ? 'succeeded_with_warnings' : 'succeeded'
  return {
    ...status,
    lastProved: status.lastProved && { ...status.lastProved, startedAt: hours(-19) },
    next: status.next && { ...status.next, at: hours(5) },
    labelled: status.labelled.map((baseline) => ({ ...baseline, ...held })),
    unseenLabels: [],
    nights: status.nights.map((night, at) =>
      at < 2
        ? { ...night, day: day(29 - at), runId: null, operation: null, status: null }
        : { ...night, day: day(29 - at), status: ended(29 - at) },
    ),
    storage: status.storage.map((_, at) => ({
      day: day(29 - at),
      bytes: at < 2 ? 0 : 90_000_000 + at * 1_500_000,
    })),
  }
}
/** Nothing was backed up yet, and nothing will be by itself. */
export const emptyStatus: Status = {
  ...{
    lastProved: null,
    dueEveryHours: null,
    next: null,
    labelled: [],
    unseenLabels: [],
    backups: { count: 0, bytes: 0, older: 0 },
  },
  nights: days.map((day) => ({ day, runId: null, operation: null, status: null })),
  storage: days.map((day) => ({ day, bytes: 0 })),
}

/** Five hundred nights, each with what took it, and why it is kept; the newest first. */
const manyBackups: BackupAnswer[] = Array.from({ length: 500 }, (_, ago) => {
  const startedAt = new Date(Date.UTC(2026, 10, 22, 3) - ago * 86_400_000).toISOString()
  const reset = { runId: `run-${ago}`, operation: 'reset-to', requestedBy: 'schedule' }
  return {
    ...{ ...backup, startedAt, sealedAt: startedAt, rehearsedAt: ago % 3 === 0 ? startedAt : null },
    backupId: `${startedAt.slice(0, 19).replaceAll(':', '-')}Z-${ago.toString(16).padStart(6, '0')}`,
    bytes: 1_000_000 + ago * 10_000,
    ...{ strategy: ago % 10 === 9 ? 'cache-only' : 'full', pinned: ago === 400 },
    ...{ labels: ago === 300 ? ['baseline'] : [], note: ago === 300 ? 'After the import of January' : null },
    run:
      ago % 2 === 0 ? reset : ago === 499 ? null : { ...reset, operation: 'backup', requestedBy: 'api:ci' },
    kept: ago < 7 ? [`number ${ago + 1} of the last 7 (full)`] : [],
  }
})

/** As the service lists them, filtered and in pages. */
export function pageOfMany(url: string): object {
  const { searchParams } = new URL(url)
  const [q, strategy] = [searchParams.get('q')?.toLowerCase(), searchParams.get('strategy')]
  const after = manyBackups.filter(({ backupId }) => backupId < (searchParams.get('before') ?? '~'))
  const page = after.slice(0, Number(searchParams.get('limit')))
  const backups = page.filter(
    (one) =>
      (q === undefined ||
        `${one.backupId} ${one.labels} ${one.note} ${one.run?.requestedBy}`.toLowerCase().includes(q)) &&
      (strategy === null || one.strategy === strategy) &&
      (!searchParams.has('pinned') || one.pinned),
  )
  const kept = searchParams.has('kept')
  const next = page.length < after.length ? page.at(-1)?.backupId : null
  return { backups: backups.map((one) => (kept ? one : { ...one, kept: null })), unreadable: [], next }
}

/** Pinned, signed by a key that is not known, of many parts, and of rows that changed while it was taken. */
export const longBackup: BackupDetails = {
  ...backupDetails,
  ...{ environment: 'staging', pinned: true, authentic: 'unknown key', consistency: 'reconciled' },
  parts: Array.from({ length: 60 }, (_, part) => ({
    ...{
      part: `cache/${String(part).padStart(5, '0')}.jsonl.zst`,
      bytes: 2048,
      rows: 7,
      kind: 'cache' as const,
    },
  })),
  warnings: [
    { code: 'FilesVanished', message: '2 files vanished' },
    { code: 'KeysExpired', message: '3 keys went' },
  ],
  next: 'cache/00059.jsonl.zst',
}

const { outcome, plan } = run
const error = { name: 'StoreUnavailable', message: 'S3 is away' }
export const failedReset: Run = {
  ...run,
  ...{ runId: 'failed', status: 'failed', phase: 'Wipe files', attempt: 1, error, abridged: true },
  outcome: {
    ...outcome!,
    ...{ status: 'failed', error },
    warnings: [
      { code: 'KeysExpired', message: '1 key went' },
      { code: 'FilesVanished', message: '4 files vanished' },
    ],
    targets: {
      ...outcome!.targets,
      database: { state: 'wiped', rows: 1240, tables: { 'public.a\u202eb': 1000, 'public.c': 240 } },
      files: { state: 'partly_wiped', objects: 5, bytes: 2048 },
      cache: { state: 'untouched', keys: 0 },
    },
  },
}
export const warnedRestore: Run = {
  ...run,
  ...{ runId: 'restored', operation: 'restore', strategy: null, restoredBackupId: 'older' },
  status: 'succeeded_with_warnings',
  outcome: { ...outcome!, operation: 'restore', strategy: null, restoredBackupId: 'older' },
}
export const verified: Run = {
  ...run,
  ...{ operation: 'verify', strategy: null, outcome: { ...outcome!, operation: 'verify', strategy: null } },
}
export const compared: Run = {
  ...run,
  ...{ operation: 'diff', strategy: null },
  outcome: {
    ...{ ...outcome!, operation: 'diff', strategy: null },
    subject: { backupId: 'older', state: 'compared', objects: 0, bytes: 0 },
    difference: {
      database: {
        equal: 6,
        tables: [{ name: 'public.users', before: 240, now: 239, extra: 0, missing: 1, changed: 2 }],
        sequences: [],
      },
      files: { before: 4, now: 4, extra: 0, missing: 0, changed: 0, bytes: 0 },
      cache: null,
    },
  },
}
export const dryRun: Run = {
  ...run,
  ...{ runId: 'dry', dryRun: true, backupId: null, outcome: { ...outcome!, dryRun: true, backupId: null } },
  wouldDo: {
    ...{ refusal: null, backsUp: false, rehearses: false, hooks: true, cache: null, restores: null },
    database: { tables: [{ name: 'public.users', would: 'wiped', rows: 240, keptRows: 4, rowsAfter: 4 }] },
    files: { objects: 1, bytes: 4, preservedObjects: 0, preservedBytes: 0 },
  },
}
export const running: Run = {
  ...run,
  ...{ runId: 'under way', status: 'running', phase: 'Wipe database', finishedAt: null, outcome: null, plan },
  ...{
    progress: { 'Wipe database': { done: 3, total: 7 } },
    waiting: 'waiting for locks',
    requestedBy: null,
  },
}
export const starting: Run = { ...running, status: 'starting', phase: null, plan: null, waiting: null }

/** Answers the page in the service's place: the last that is told for an address counts. */
export async function tell(page: Page, path: RegExp, json: object, status = 200): Promise<void> {
  await page.route(path, (route) => route.fulfill({ status, json }))
}

/** Opens a view by the link in the header, and waits until nothing of the one before is shown. */
export async function goTo(page: Page, view: 'Backups' | 'History'): Promise<void> {
  await page.getByRole('link', { name: view, exact: true }).click()
  await page.getByRole('heading', { level: 1, name: view, exact: true }).waitFor()
}
