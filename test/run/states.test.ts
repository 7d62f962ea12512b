import { describe, expect, it } from 'vitest'
import type { Manifest } from '../../lib/backup/manifest.ts'
import { CacheRestored } from '../../lib/cache/restore/restore.ts'
import type { CacheWiped } from '../../lib/cache/wipe/wipe.ts'
import { warnOfStaleViews } from '../../lib/database/outcome.ts'
import type { DatabaseRestored } from '../../lib/database/restore/restore.ts'
import type { FilesRestored } from '../../lib/files/restore/results.ts'
import type { FilesWiped } from '../../lib/files/wipe.ts'
import type { RunRow } from '../../lib/ledger/runs.ts'
import { endOfStores } from '../../lib/run/finish/stores-end.ts'
import { describeSubject } from '../../lib/run/finish/subject.ts'
import { sealedBackupOf, statesInLedger } from '../../lib/run/finish/target-states.ts'
import type { Outcome } from '../../lib/run/outcome.ts'
import { PlanSummary } from '../../lib/run/planning/plan-summary.ts'
import { hasBegun, type Target, targets, toldOf } from '../../lib/store.ts'

const row = (more: Partial<RunRow>) =>
  ({
    ...{ runId: 'r', operation: 'reset', status: 'running', phase: 'Seal', waiting: null, progress: {} },
    ...{ backupId: 'b', wiped: null, restored: null, ...more },
  }) as RunRow
const manifest = {
  backupId: 'b',
  database: { rows: 7, tables: [{ name: 'public.a', rows: 7 }] },
  files: { objects: 7, bytes: 7 },
  cache: { keys: 7 },
} as unknown as Manifest
const wiped = (failures = 0): FilesWiped => ({
  ...{ batch: 0, objects: 1, bytes: 1, changed: 0, appeared: 0, failures, failed: [] },
})
const cacheWiped = (left: number): CacheWiped => ({ keys: 1, late: 0, left, warnings: [] })
/** `batches` null: a plan that cannot be understood. */
type Facts = {
  row: RunRow
  clears: readonly Target[]
  dryRun: boolean
  batches: number | null
  succeeded: boolean
  manifest: Manifest | null
  files: readonly FilesWiped[]
  cache: CacheWiped | null
  unread: boolean
}
const reset: Facts = {
  ...{ row: row({}), clears: targets, dryRun: false, batches: 2, succeeded: false },
  ...{ manifest, files: [], cache: null, unread: false },
}
const summaryOf = (more: object) =>
  PlanSummary.parse({
    clears: targets,
    dryRun: false,
    warnings: [],
    files: null,
    cache: null,
    restore: null,
    ...more,
  })

function states(facts: Partial<Facts>): string[] {
  const { row, clears, dryRun, batches, succeeded, manifest, files, cache, unread } = { ...reset, ...facts }
  const left = {
    database: { wiped: null, restored: null },
    files: { wiped: files, restored: [] },
    cache: { wiped: cache, restored: null },
  }
  const summary = batches === null ? null : summaryOf({ clears, dryRun, files: { batches } })
  const known = { row: { ...row, plan: {} }, summary, manifest, left, succeeded, unread }
  return Object.values(endOfStores(known).targets).map(({ state }) => state)
}

describe('what a run did to each store', () => {
  const at = (phase: string, more: Partial<RunRow> = {}) => row({ phase, wiped: {}, ...more })

  it('is that it was backed up, until its turn comes', () => {
    expect(states({})).toEqual(['backed_up', 'backed_up', 'backed_up'])
    expect(states({ manifest: null })).toEqual(['untouched', 'untouched', 'untouched'])
    expect(states({ manifest: { ...manifest, database: null, files: null, cache: null } })).toEqual([
      ...['untouched', 'untouched', 'untouched'],
    ])
    expect(states({ row: row({ phase: 'Wipe database' }) })).toEqual(['backed_up', 'backed_up', 'backed_up'])
    expect(states({ row: at('Wipe database') })).toEqual(['wiped', 'backed_up', 'backed_up'])
  })

  it('is partly wiped from when its turn came until every batch is without a failure', () => {
    expect(states({ row: at('Wipe files') })).toEqual(['wiped', 'partly_wiped', 'backed_up'])
    expect(states({ row: at('Wipe database'), files: [wiped()] })[1]).toBe('partly_wiped')
    expect(states({ row: at('Wipe files'), files: [wiped(), wiped(1)] })[1]).toBe('partly_wiped')
    expect(states({ row: at('Wipe files'), files: [wiped(), wiped()] })[1]).toBe('wiped')
    expect(states({ row: at('Wipe cache'), files: [wiped(), wiped()] })).toEqual([
      ...['wiped', 'wiped', 'partly_wiped'],
    ])
    expect(states({ row: at('Wipe cache'), cache: cacheWiped(1) })[2]).toBe('partly_wiped')
    expect(states({ row: at('Wipe cache'), cache: cacheWiped(0) })[2]).toBe('wiped')
  })

  it('is that no file is there, when there was none, once their turn has come', () => {
    const none = { batches: 0, manifest: null }
    expect(states({ ...none })[1]).toBe('untouched')
    expect(states({ ...none, row: at('Wipe database') })[1]).toBe('wiped')
    expect(states({ ...none, row: row({ phase: 'Wipe files' }) })[1]).toBe('wiped')
    expect(states({ ...none, succeeded: true })[1]).toBe('wiped')
    for (const other of [{ dryRun: true }, { clears: [] }, { row: row({ operation: 'backup' }) }])
      expect(states({ ...none, succeeded: true, ...other })[1]).toBe('untouched')
  })

  it('is nothing where it was not to act, or where the plan cannot be understood', () => {
    const facts = { row: at('Wipe cache'), clears: ['database'] as const }
    expect(states(facts)).toEqual(['wiped', 'backed_up', 'backed_up'])
    expect(states({ row: at('Wipe cache'), batches: null })[1]).toBe('backed_up')
  })

  it('is not known where results cannot be read, from its turn on, and never that it was left alone', () => {
    const unread = true
    expect(states({ unread, row: at('Wipe database') })).toEqual(['wiped', 'backed_up', 'backed_up'])
    expect(states({ unread, row: at('Wipe files') })).toEqual(['wiped', 'unknown', 'backed_up'])
    expect(states({ unread, row: at('Wipe cache') })).toEqual(['wiped', 'unknown', 'unknown'])
    const restored = row({ operation: 'restore', phase: 'Restore cache', restored: {} })
    expect(states({ unread, row: restored })).toEqual(['restored', 'unknown', 'unknown'])
    expect(states({ row: restored })).toEqual(['restored', 'backed_up', 'partly_restored'])
  })

  it('is told by the ledger alone, for a run that left no outcome', () => {
    const told = (more: Partial<RunRow>) => Object.values(statesInLedger(row(more)))
    expect(told({ phase: 'Seal' })).toEqual(['untouched', 'untouched', 'untouched'])
    expect(told({ phase: 'Wipe database' })).toEqual(['unknown', 'untouched', 'untouched'])
    // Its transaction holds the run's row: once that is over, what it did not record it did not do.
    expect(told({ phase: 'Wipe database', status: 'abandoned' })).toEqual([
      ...['untouched', 'untouched', 'untouched'],
    ])
    expect(told({ phase: 'Wipe cache', wiped: {}, status: 'abandoned' })).toEqual([
      ...['wiped', 'unknown', 'unknown'],
    ])
    expect(told({ operation: 'restore', phase: 'Restore files', restored: {} })).toEqual([
      ...['restored', 'unknown', 'untouched'],
    ])
  })

  it('has begun with its phase or what it told, and not while it waits', () => {
    const begun = (more: Partial<RunRow>) => targets.filter((target) => hasBegun(row(more), target))
    expect(begun({ phase: 'Wipe files' })).toEqual(['database', 'files'])
    expect(begun({ phase: 'Wipe files', operation: 'restore' })).toEqual([])
    expect(begun({ phase: 'Restore cache', operation: 'restore' })).toEqual([...targets])
    expect(begun({ phase: 'Wipe database', waiting: 'waiting for locks' })).toEqual([])
    expect(begun({ phase: 'Wipe files', operation: 'backup' })).toEqual([])
    expect(begun({ progress: { 'Wipe cache/0': { done: 0, total: 1 } } })).toEqual(['cache'])
    const progress = { 'Wipe cache/0': { done: 3, total: 9 }, 'Wipe cache/1': { done: 4, total: 9 } }
    const other = { 'Wipe caches/0': { done: 8, total: 9 }, 'Export cache/0': { done: 8, total: 9 } }
    expect(toldOf(row({ progress: { ...progress, ...other } }), 'Wipe cache')).toBe(7)
  })

  it('is in a sealed backup when its manifest is there, or when something was changed', () => {
    expect(sealedBackupOf(row({}), null)).toBeNull()
    expect(sealedBackupOf(row({ backupId: 'planned' }), manifest)).toBe('b')
    for (const more of [
      { phase: 'Wipe database' },
      { phase: 'Restore files' },
      { wiped: {} },
      { restored: {} },
    ])
      expect(sealedBackupOf(row(more), null), JSON.stringify(more)).toBe('b')
  })
})

type Restored = {
  database: DatabaseRestored | null
  files: FilesRestored[]
  batches: number
  cache: CacheRestored | null
  exact: boolean
  unread: boolean
}

function endOfRestore(restored: Partial<Restored>, more: Partial<RunRow> = {}) {
  const { database = null, files = [], batches = 2, cache = null, exact = false, unread = false } = restored
  const left = {
    database: { wiped: null, restored: database },
    files: { wiped: [], restored: files },
    cache: { wiped: null, restored: cache },
  }
  const restore = { backupId: 'a', exact, files: { batches } }
  const about = row({ operation: 'restore', plan: {}, ...(database && { restored: database }), ...more })
  return endOfStores({
    ...{ row: about, summary: summaryOf({ restore }), manifest, left, succeeded: false, unread },
  })
}

describe('what a restore did to each store', () => {
  const before: Outcome['targets'] = {
    database: { state: 'backed_up', rows: 7, tables: { 'public.a': 7 } },
    files: { state: 'backed_up', objects: 7, bytes: 7 },
    cache: { state: 'backed_up', keys: 7 },
  }
  const batch = (more: Partial<FilesRestored> = {}): FilesRestored => ({
    ...{ batch: 0, objects: 2, bytes: 20, unchanged: 3, unchangedBytes: 30, extra: 0, deleted: 0 },
    ...{ changedMeanwhile: 0, changed: [], failures: 0, failed: [], ...more },
  })
  const cache = (more: Partial<CacheRestored> = {}) =>
    CacheRestored.parse({ keys: 2, unchanged: 3, expired: 0, extra: 0, deleted: 0, warnings: [], ...more })
  const told = (restored: Partial<Restored>, more: Partial<RunRow> = {}) =>
    endOfRestore(restored, more).targets
  const rows = {
    rows: 4,
    tables: { 'public.a': 4 },
    lateParts: 0,
    newColumns: [],
    unchanged: [],
    differing: [],
    warnings: [],
    views: null,
  }

  it('is nothing before its turn, and the numbers of what was put back after it', () => {
    expect(told({})).toEqual(before)
    expect(told({ database: rows, files: [batch(), batch()], cache: cache() })).toEqual({
      database: { state: 'restored', rows: 4, tables: { 'public.a': 4 } },
      files: { state: 'restored', objects: 10, bytes: 100 },
      cache: { state: 'restored', keys: 5 },
    })
  })

  it('is partly restored while a batch is missing, and where something failed or changed meanwhile', () => {
    expect(told({}, { phase: 'Restore files' }).files).toEqual({
      state: 'partly_restored',
      objects: 0,
      bytes: 0,
    })
    for (const files of [
      [batch()],
      [batch(), batch({ failures: 1 })],
      [batch({ changedMeanwhile: 1 }), batch()],
    ])
      expect(told({ files }).files.state).toBe('partly_restored')
    expect(told({ batches: 0 }).files.state).toBe('backed_up')
    expect(told({ cache: cache({ changedMeanwhile: 1 }) }).cache.state).toBe('partly_restored')
    const progress = { 'Restore cache/0': { done: 3, total: 9 } }
    expect(told({}, { phase: 'Restore cache', progress }).cache).toEqual({
      state: 'partly_restored',
      keys: 3,
    })
  })

  it('is unknown from its turn on where results cannot be read', () => {
    const unknown = {
      files: { state: 'unknown', objects: 0, bytes: 0 },
      cache: { state: 'unknown', keys: 0 },
    }
    const { files } = unknown
    expect(told({ unread: true }, { phase: 'Restore files' })).toEqual({ ...before, files })
    expect(told({ unread: true }, { phase: 'Restore cache' })).toEqual({ ...before, ...unknown })
  })

  it('is a failure only where S3 refused something, by number and an example', () => {
    const shortfalls = (files: FilesRestored[]) => endOfRestore({ files }).shortfalls.restore
    expect(shortfalls([batch({ changedMeanwhile: 3 })])).toEqual([])
    const failed = [{ key: 'a.txt', code: 'AccessDenied' }]
    expect(shortfalls([batch({ failures: 1 }), batch({ failures: 2, failed })])).toEqual([
      '3 files could not be put back or removed (for example a.txt: AccessDenied)',
    ])
    expect(shortfalls([batch({ failures: 1 })])).toEqual(['1 file could not be put back or removed'])
  })

  it('is a warning for each number that is not none, beside those of the steps', () => {
    const warningsOf = (restored: Partial<Restored>) => endOfRestore(restored).warnings
    expect(warningsOf({ database: rows, files: [batch()], cache: cache() })).toEqual([])
    const own = { code: 'Own', message: 'of a step' }
    const files = [batch({ extra: 1, changedMeanwhile: 2, failures: 1 }), batch({ extra: 1 })]
    const all = { files, cache: cache({ extra: 1, expired: 2, warnings: [own] }) }
    expect(warningsOf({ ...all, database: { ...rows, warnings: [own] } })).toEqual([
      own,
      {
        code: 'FilesNotInBackup',
        message: '2 files are not in the backup and were left; "exact": true removes them',
      },
      {
        code: 'FilesChangedMeanwhile',
        message: '2 files changed after the safety backup, so they were left as they are',
      },
      { code: 'FilesNotRestored', message: '1 file could not be put back or removed' },
      {
        code: 'KeysNotInBackup',
        message: '1 cache key is not in the backup and was left; "exact": true removes it',
      },
      { code: 'KeysExpired', message: '2 cache keys had outlived their time and were left out' },
      own,
    ])
  })
})

it('an exact restore that left keys does not advise to say what it was told', () => {
  const cache = { keys: 5, unchanged: 0, expired: 0, extra: 2, deleted: 0, changedMeanwhile: 0, warnings: [] }
  expect(endOfRestore({ batches: 0, cache, exact: true }).warnings).toEqual([
    {
      code: 'KeysNotInBackup',
      message:
        '2 cache keys are not in the backup and could not be removed: they are of a type that no backup holds, changed again and again, or are too large to be compared',
    },
  ])
})

describe('materialized views', () => {
  const stale = (names: string[]) => names.map((name) => ({ name, reason: 'no right' }))

  it('are warned of by name and reason when they were tried in vain, or not tried at all', () => {
    expect(warnOfStaleViews(['public.v'], null)).toEqual([])
    expect(warnOfStaleViews(['public.v'], { views: { refreshed: ['public.v'], stale: [] } })).toEqual([])
    expect(warnOfStaleViews([], { views: null })).toEqual([])
    expect(warnOfStaleViews(['public.v'], { views: null })).toEqual([
      {
        code: 'ViewsNotRefreshed',
        message:
          'Materialized views that still show rows of before: public.v (the step ended before). Refresh them (REFRESH MATERIALIZED VIEW)',
      },
    ])
    const views = { refreshed: [], stale: stale(['public.w']) }
    expect(warnOfStaleViews(['public.v'], { views })[0]?.message).toContain(' before: public.w (no right). ')
  })

  it('are twenty at most, and the others are counted', () => {
    const message = (count: number) => {
      const names = Array.from({ length: count }, (_, n) => `v${n}`)
      return warnOfStaleViews([], { views: { refreshed: [], stale: stale(names) } })[0]?.message
    }
    expect(message(20)).toMatch(/v19 \(no right\)\. Refresh/)
    expect(message(22)).toMatch(/v19 \(no right\) and 2 more\. Refresh/)
  })
})

describe('the backup that a run was about', () => {
  const summary = { backupId: 'b', rehearse: false, objects: 9, bytes: 90 }
  const verified = { objects: 4, bytes: 40, warnings: [] }
  const found = { verified, compared: null, isSealed: true, hasTombstone: false }
  const error = (name: string) => ({ name, message: 'any' })

  it('was read, or loaded as well, or is damaged; and nothing is known of one that could not be read', () => {
    const of = (rehearse: boolean, failed: Outcome['error']) =>
      describeSubject({ ...summary, rehearse }, found, { operation: 'verify', error: failed })
    expect(of(false, null)).toEqual({ backupId: 'b', state: 'verified', objects: 4, bytes: 40 })
    expect(of(true, null).state).toBe('rehearsed')
    for (const name of ['BackupDamaged', 'RehearsalFailed'])
      expect(of(true, error(name)).state).toBe('damaged')
    expect(of(true, error('StoreUnavailable')).state).toBe('unknown')
    const compared = (failed: Outcome['error']) =>
      describeSubject(summary, found, { operation: 'diff', error: failed })
    expect(compared(null)).toEqual({ backupId: 'b', state: 'compared', objects: 0, bytes: 0 })
    expect(compared(error('DatabaseBusy')).state).toBe('kept')
    const unread = { operation: 'verify', error: null }
    expect(describeSubject(summary, { ...found, verified: null }, unread)).toMatchObject({
      objects: 0,
      bytes: 0,
    })
    expect(describeSubject(summary, null, unread)).toEqual({
      ...{ backupId: 'b', state: 'unknown', objects: 0, bytes: 0 },
    })
  })

  it('is deleted when nothing of it is left, and counted only then', () => {
    const of = (isSealed: boolean, hasTombstone: boolean) => {
      const about = { operation: 'delete', error: null }
      const { state, objects } = describeSubject(summary, { ...found, isSealed, hasTombstone }, about)
      return [state, objects]
    }
    expect(of(false, false)).toEqual(['deleted', 9])
    expect(of(false, true)).toEqual(['partly_deleted', 0])
    expect(of(true, true)).toEqual(['kept', 0])
  })
})
