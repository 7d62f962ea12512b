import { describe, expect, test } from 'vitest'
import type { SealedBackup } from '../../../lib/backup/sealed-backup.ts'
import { backup, run } from '../../../lib/http/document/examples.ts'
import type { RunRow } from '../../../lib/ledger/runs.ts'
import { backupLine } from '../../../local/cli/commands/backups.ts'
import { closing, runDocument, runLine, stepTimes, underWay } from '../../../local/cli/show/run.ts'
import { at, row } from '../row.ts'

describe('a run in the list of runs', () => {
  const told = (more: Partial<RunRow>) => runLine({ ...row, ...more }).slice(4)
  const outcome = run.outcome
  const dry = {
    dryRun: true,
    clears: [],
    warnings: [],
    database: null,
    files: null,
    cache: null,
    restore: null,
  }

  test('has its time, its id, how it stands, and the backup that it sealed: never one that is not sealed', () => {
    expect(runLine(row)).toEqual(['2026-11-22 19:05:00 UTC', 'r', 'reset', 'full', 'running', ''])
    expect(told({ phase: 'Wipe database' })).toEqual(['running', 'b'])
    expect(told({ status: 'succeeded', outcome })).toEqual(['succeeded', outcome?.backupId])
    expect(told({ status: 'failed', outcome: { ...outcome, backupId: null } })).toEqual(['failed', ''])
    expect(runDocument({ ...row, status: 'cancelled' }).backupId).toBeNull()
    expect(told({ status: 'failed', closingUntil: at(30) })[0]).toBe('failed, closing')
  })

  test('that is about a backup names it, and what became of it', () => {
    const restore = { operation: 'restore', strategy: null, plan: { restore: { backupId: 'a' } } }
    expect(told({ ...restore, phase: 'Count' })[1]).toBe('from a')
    expect(told({ ...restore, phase: 'Restore files' })[1]).toBe('from a, safety backup b')
    expect(told({ operation: 'restore', plan: null })[1]).toBe('')
    const to = { operation: 'reset-to', plan: { restore: { backupId: 'a', to: 'baseline' } } }
    expect(runLine({ ...row, ...to, phase: 'Restore files' }).slice(2)).toEqual([
      ...['reset', 'full', 'running', 'to baseline (a), safety backup b'],
    ])
    expect(underWay({ ...row, ...to })).toContain('Run r (reset full to baseline) is in "Seal".')
    const subject = { backupId: 'x', state: 'partly_deleted', objects: 1, bytes: 1 }
    const about = { operation: 'delete', plan: { subject: { backupId: 'x' } }, status: 'failed' }
    expect(told({ ...about, outcome: { ...outcome, subject } })).toEqual(['failed', 'x partly deleted'])
    expect(told(about)[1]).toBe('x')
    expect(runDocument({ ...row, ...about })).toMatchObject({ backupId: 'x', restoredBackupId: null })
  })

  test('that is dry succeeds in nothing: it says whether the run would be refused', () => {
    const status = (more: Partial<RunRow>) => told({ plan: dry, status: 'succeeded', ...more })[0]
    const refusal = { name: 'LimitExceeded', message: 'Too much' }
    expect(status({ outcome })).toBe('dry run: would not be refused')
    expect(status({ outcome, plan: { ...dry, refusal } })).toBe('dry run: would be refused (LimitExceeded)')
    const error = { name: 'StoreUnavailable', message: 'S3 is away' }
    expect(status({ status: 'failed', outcome: { ...outcome, error } })).toBe('dry run, failed')
    expect(status({ status: 'running' })).toBe('dry run, running')
    expect(runDocument({ ...row, plan: dry }).dryRun).toBe(true)
  })

  test('is told by itself to be closing for as long as a function of it may be at work', () => {
    expect(closing(row)).toBe('')
    expect(closing({ closingUntil: at(30) })).toBe(
      'It is closing: a function of it may be at work until 2026-11-22 19:05:30 UTC; the next run can begin when that has ended.\n',
    )
  })

  test('and by itself says where it is, what it waits for, and whether it can be cancelled', () => {
    expect(underWay({ ...row, waiting: 'waiting for locks' })).toBe(
      'Run r (reset full) is in "Seal", waiting for locks.\nStarted 2026-11-22 19:05:00 UTC, last sign of life 2026-11-22 19:05:20 UTC.\nIt has changed nothing yet. To cancel it: npm run -s cli -- cancel r\n',
    )
    expect(underWay({ ...row, phase: 'Wipe files' })).toMatch(/\nIt cannot be cancelled any more\.\n$/)
    expect(underWay({ ...row, operation: 'claim', strategy: null })).toMatch(
      /^Run r \(claim\) .*any more\.\n$/s,
    )
  })

  test('and how long each step took, in their order; of one that did not end that it did not', () => {
    const steps = {
      Seal: { from: at(9).toISOString(), to: at(11).toISOString() },
      'Export database': { from: at(1).toISOString(), to: at(9).toISOString() },
      'Wipe database': { from: at(12).toISOString(), to: null },
    }
    expect(stepTimes(steps)).toBe(
      '\n  Export database  8.00 s\n  Seal             2.00 s\n  Wipe database    did not end\n',
    )
    expect(stepTimes(steps, true)).toMatch(/\n {2}Wipe database {4}at work\n$/)
    expect([stepTimes(null), stepTimes({})]).toEqual(['', ''])
  })
})

test('a backup in the list says what it holds, how it was proved, and what is to be known before it is loaded', () => {
  const held: SealedBackup = { ...backup, environment: 'staging', rehearsedAt: at(50).toISOString() }
  const nameless = { labels: [], note: null }
  const told = (more: Partial<SealedBackup> = {}, names: Parameters<typeof backupLine>[2] = nameless) =>
    backupLine({ ...held, ...more }, at(3600 + 42), names)
  expect(told()).toEqual([
    ...[held.backupId, 'staging', 'full', '1,240 rows', '12 files', '96 keys', '93.9 KiB', '60 minutes old'],
    ...['rehearsed 2026-11-22 19:05:50 UTC', '', '', '', ''],
  ])
  expect(told({}, { labels: ['baseline', 'spring'], note: 'before the fair' }).slice(-2)).toEqual([
    ...['baseline, spring', 'before the fair'],
  ])
  const unsure = told({ rehearsedAt: null, authentic: 'unknown key', pinned: true, keys: null })
  expect(unsure.slice(5, -2)).toEqual([
    '',
    '93.9 KiB',
    '60 minutes old',
    'sealed, read back',
    'UNKNOWN KEY',
    'pinned',
  ])
  expect(told({ lateAttempts: 1 })[8]).toMatch(/^rehearsed .*, later rows read back$/)
  expect(told({ rehearsedAt: null, rows: null })[8]).toBe('sealed, read back')
  expect(told({ rehearsedAt: null, rows: null, keys: null })[8]).toBe('sealed, copies found')
})
