import type { HistoryEvent } from '@aws-sdk/client-sfn'
import { describe, expect, test } from 'vitest'
import type { SealedBackup } from '../../lib/backup/sealed-backup.ts'
import { causeOfEnd } from '../../lib/executions/cause.ts'
import { backup, run } from '../../lib/http/document/examples.ts'
import type { RunRow } from '../../lib/ledger/runs.ts'
import { backupLine } from '../../local/cli/commands/backups.ts'
import { outcomeOf, outcomeWithoutRow } from '../../local/cli/run/outcome-of.ts'
import { type Step, stepsOf, stepsOfRun } from '../../local/cli/run/steps.ts'
import { progressOn } from '../../local/cli/show/progress.ts'
import { closing, runLine, summaryOf, underWay } from '../../local/cli/show/run.ts'

const at = (second: number) => new Date(Date.UTC(2026, 10, 22, 19, 5, second))
const config = { BACKUP_BUCKET: 'backups', BACKUP_PREFIX: 'kept/' }
const row: RunRow = {
  ...{ runId: 'r', operation: 'reset', strategy: 'full', requestedBy: null, idempotencyKey: null },
  ...{ requestDigest: '', status: 'running', phase: 'Seal', attempt: 0, backupId: 'b', plan: null },
  ...{ progress: {}, wiped: null, restored: null, failure: null, outcome: null, fence: 1, waiting: null },
  ...{ locked: null, planDigest: null, late: null, latestInvocation: null, closingUntil: null },
  ...{ startedAt: at(0), heartbeatAt: at(20), finishedAt: null },
}

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
    expect(summaryOf({ ...row, status: 'cancelled' }).backupId).toBeNull()
    expect(told({ status: 'failed', closingUntil: at(30) })[0]).toBe('failed, closing')
  })

  test('that is about a backup names it, and what became of it', () => {
    const restore = { operation: 'restore', strategy: null, plan: { restore: { backupId: 'a' } } }
    expect(told({ ...restore, phase: 'Count' })[1]).toBe('from a')
    expect(told({ ...restore, phase: 'Restore files' })[1]).toBe('from a, safety backup b')
    expect(told({ operation: 'restore', plan: null })[1]).toBe('')
    const subject = { backupId: 'x', state: 'partly_deleted', objects: 1, bytes: 1 }
    const about = { operation: 'delete', plan: { subject: { backupId: 'x' } }, status: 'failed' }
    expect(told({ ...about, outcome: { ...outcome, subject } })).toEqual(['failed', 'x partly deleted'])
    expect(told(about)[1]).toBe('x')
    expect(summaryOf({ ...row, ...about })).toMatchObject({ backupId: 'x', restoredBackupId: null })
  })

  test('that is dry succeeds in nothing: it says whether the run would be refused', () => {
    const status = (more: Partial<RunRow>) => told({ plan: dry, status: 'succeeded', ...more })[0]
    const refusal = { name: 'LimitExceeded', message: 'Too much' }
    expect(status({ outcome })).toBe('dry run: would not be refused')
    expect(status({ outcome, plan: { ...dry, refusal } })).toBe('dry run: would be refused (LimitExceeded)')
    const error = { name: 'StoreUnavailable', message: 'S3 is away' }
    expect(status({ status: 'failed', outcome: { ...outcome, error } })).toBe('dry run, failed')
    expect(status({ status: 'running' })).toBe('dry run, running')
    expect(summaryOf({ ...row, plan: dry }).dryRun).toBe(true)
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
})

test('a backup in the list says what it holds, how it was proved, and what is to be known before it is loaded', () => {
  const held: SealedBackup = { ...backup, environment: 'staging', rehearsedAt: at(50).toISOString() }
  const told = (more: Partial<SealedBackup> = {}) => backupLine({ ...held, ...more }, at(3600 + 42))
  expect(told()).toEqual([
    ...[held.backupId, 'staging', 'full', '1,240 rows', '12 files', '96 keys', '93.9 KiB', '60 minutes old'],
    ...['rehearsed 2026-11-22 19:05:50 UTC', '', ''],
  ])
  const unsure = told({ rehearsedAt: null, authentic: 'unknown key', pinned: true, keys: null })
  expect(unsure.slice(5)).toEqual([
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

describe('a run that left no outcome', () => {
  test('is one that failed, with the states that the ledger tells, and with what is not known', () => {
    const lost = outcomeOf({ ...row, status: 'abandoned', phase: 'Wipe files', wiped: {} }, config)
    expect(lost).toMatchObject({
      ...{ status: 'failed', backupId: 'b', backupPrefix: 's3://backups/kept/b/' },
      targets: { database: { state: 'wiped' }, files: { state: 'unknown' }, cache: { state: 'untouched' } },
      error: { name: 'RunLost' },
      ...{ startedAt: at(0).toISOString(), finishedAt: at(20).toISOString() },
    })
    expect(lost.error?.message).toMatch(
      /^Run r is abandoned in Wipe files and gave its last sign of life at 2026-11-22 19:05:20 UTC\. How far it got is not known; /,
    )
    const early = outcomeOf({ ...row, status: 'abandoned', finishedAt: at(40) }, config)
    expect(early).toMatchObject({ backupId: null, backupPrefix: null, finishedAt: at(40).toISOString() })
    expect(early.error?.message).not.toContain('not known')
  })

  test('says who called it off', () => {
    const failure = { error: 'Cancelled', message: 'Cancelled by cli root' }
    expect(outcomeOf({ ...row, status: 'cancelled', failure }, config).error).toEqual({
      ...{ name: 'Cancelled', message: 'Cancelled by cli root' },
    })
    expect(outcomeOf({ ...row, status: 'failed', outcome: run.outcome }, config)).toEqual(run.outcome)
  })

  const execution = {
    ...{ $metadata: {}, executionArn: 'x', stateMachineArn: 'y', status: 'FAILED' as const },
    ...{ error: 'LimitExceeded', cause: JSON.stringify({ errorMessage: 'Too much' }) },
    ...{ startDate: at(1), stopDate: at(2) },
    input: JSON.stringify({ operation: 'restore', dryRun: false }),
  }
  const step = (name: string): Step => ({
    ...{ name, state: 'failed', startedAt: at(1), endedAt: at(2), waiting: undefined, fraction: undefined },
  })

  test('nor a row has touched nothing, but where a step had begun to', () => {
    const refused = outcomeWithoutRow('r', execution, [step('Count')])
    expect(refused).toMatchObject({
      ...{ operation: 'restore', strategy: null, status: 'failed', backupId: null, warnings: [] },
      targets: { database: { state: 'untouched' }, files: { state: 'untouched' } },
      error: { name: 'LimitExceeded', message: 'Too much' },
      ...{ startedAt: at(1).toISOString(), finishedAt: at(2).toISOString() },
    })
    expect(refused.dryRun).toBeUndefined()
    const begun = ['Restore files', 'Wipe cache'].map(step)
    expect(outcomeWithoutRow('r', execution, begun).targets).toMatchObject({
      ...{ database: { state: 'untouched' }, files: { state: 'unknown' }, cache: { state: 'unknown' } },
    })
    const nobody = outcomeWithoutRow('r', undefined, [])
    expect(nobody.error).toEqual({ name: 'NotFound', message: 'There is no run r' })
  })

  test('nor a row, and was a dry run, says whether it is refused', () => {
    const input = JSON.stringify({ operation: 'reset', strategy: 'full', dryRun: true })
    const refusal = { name: 'LimitExceeded', message: 'Too much' }
    expect(outcomeWithoutRow('r', { ...execution, input }, [])).toMatchObject({ dryRun: true, refusal })
    const down = { ...execution, input, error: 'StoreUnavailable' }
    expect(outcomeWithoutRow('r', down, [])).toMatchObject({ dryRun: true, refusal: null })
  })

  test('has as its cause what Lambda reports, or the text, or how it ended', () => {
    const cause = (more: object) => causeOfEnd({ ...execution, ...more })
    expect(cause({})).toBe('Too much')
    expect(cause({ cause: 'by hand' })).toBe('by hand')
    expect(cause({ cause: undefined, status: 'ABORTED' })).toBe('The execution ended ABORTED without a cause')
  })
})

describe('the steps of an execution', () => {
  let id = 0
  const event = (type: HistoryEvent['type'], more: Partial<HistoryEvent> = {}): HistoryEvent => ({
    ...{ id: ++id, previousEventId: id - 1, type, timestamp: at(id % 60) },
    ...more,
  })
  const enter = (name: string, kind = 'Task') =>
    event(`${kind}StateEntered` as HistoryEvent['type'], { stateEnteredEventDetails: { name, input: '' } })
  const exit = (name: string, kind = 'Task') =>
    event(`${kind}StateExited` as HistoryEvent['type'], { stateExitedEventDetails: { name } })
  const told = (steps: readonly Step[]) => steps.map(({ name, state }) => [name, state])

  test('are done, have failed, or were cut off beside one that failed', () => {
    const events = [
      ...[enter('Count'), event('TaskSucceeded'), exit('Count')],
      ...[event('ParallelStateEntered', { stateEnteredEventDetails: { name: 'Back up' } })],
      ...[enter('Export database', 'Map'), enter('Copy files', 'Map')],
      ...[event('MapRunFailed'), exit('Copy files', 'Map')],
      ...[event('ParallelStateExited', { stateExitedEventDetails: { name: 'Back up' } }), enter('Finish')],
    ]
    expect(told(stepsOf(events, {}))).toEqual([
      ...[
        ['Count', 'done'],
        ['Export database', 'failed'],
        ['Copy files', 'failed'],
        ['Finish', 'running'],
      ],
    ])
    const timed = [enter('Seal'), event('TaskTimedOut'), exit('Seal')]
    expect(told(stepsOf(timed, {}))).toEqual([['Seal', 'failed']])
    const aborted = [enter('Seal'), event('ExecutionAborted')]
    expect(told(stepsOf(aborted, {}))).toEqual([['Seal', 'failed']])
  })

  test('that come again are told apart: the first has ended, the second is at work', () => {
    const again = [enter('Count'), event('TaskSucceeded'), exit('Count'), enter('Count')]
    expect(told(stepsOf(again, {}))).toEqual([
      ...[
        ['Count', 'done'],
        ['Count', 'running'],
      ],
    ])
    const ended = [...again, event('TaskSucceeded'), exit('Count')]
    const times = stepsOf(ended, {}).map(({ startedAt, endedAt }) => Number(endedAt) > Number(startedAt))
    expect(times).toEqual([true, true])
  })

  test('that are at work say how far they are, over the batches that have begun, and what they wait for', () => {
    const events = [enter('Wipe files', 'Map'), enter('Wipe cache')]
    const progress = {
      ...{ 'Wipe files/0': { done: 5, total: 10 }, 'Wipe files/1': { done: 0, total: 10 } },
      ...{ 'Wipe files too/0': { done: 9, total: 9 }, 'Wipe cache/0': { done: 0, total: 1 } },
    }
    const waiting = 'waiting for locks'
    const steps = stepsOfRun(events, { phase: 'Wipe cache', progress, waiting, plan: null })
    expect(steps.map(({ fraction }) => fraction)).toEqual([0.25, 0])
    expect(steps.map(({ waiting }) => waiting)).toEqual([undefined, waiting])
    expect(stepsOfRun(events, undefined).map(({ fraction }) => fraction)).toEqual([undefined, undefined])
  })

  test('leave out what the machine passes because there is nothing for it to do', () => {
    const maps = ['Export database', 'Copy files', 'Export cache', 'Rehearse', 'Load backup', 'Wipe files']
    const events = [...maps, 'Restore files'].map((name) => enter(name, 'Map'))
    const names = (plan: object) =>
      stepsOfRun([...events, enter('Wipe database')], { ...row, plan }).map(({ name }) => name)
    const none = { database: null, files: null, cache: null, restore: null }
    expect(names(none)).toEqual(['Wipe database'])
    const all = { database: {}, files: { batches: 2 }, cache: { keys: 1 } }
    expect(names(all)).toEqual([
      ...['Export database', 'Copy files', 'Export cache', 'Rehearse', 'Wipe files', 'Wipe database'],
    ])
    expect(names({ ...none, restore: { batches: 1, files: { batches: 1 } } })).toEqual([
      ...['Load backup', 'Restore files', 'Wipe database'],
    ])
    expect(names({ ...none, subject: { rehearse: true } })).toEqual(['Load backup', 'Wipe database'])
    expect(names({ ...none, subject: { rehearse: false } })).toEqual(['Wipe database'])
  })
})

describe('how far a run is', () => {
  const step = (name: string, more: Partial<Step> = {}): Step => ({
    ...{
      name,
      state: 'running',
      startedAt: at(0),
      endedAt: undefined,
      waiting: undefined,
      fraction: undefined,
    },
    ...more,
  })
  /** What is written to a stream: as it is, or as a terminal is told to draw it. */
  function screen(isTTY: boolean) {
    const written: string[] = []
    const write = (text: string) => written.push(text)
    const moveCursor = (_: number, lines: number) => written.push(`<${lines}>`)
    const stream = { isTTY, columns: 60, write, moveCursor, clearScreenDown() {} }
    return { view: progressOn(stream as unknown as NodeJS.WriteStream), written }
  }

  test('is one line per step where there is no terminal, when it has ended, and one per reason to wait', () => {
    const { view, written } = screen(false)
    const wait = (attempt: number) =>
      step('Wipe database', { waiting: `waiting for locks, try ${attempt} of 15; in the way: process 7` })
    view.show([step('Count')], undefined)
    view.show([step('Count', { state: 'done', endedAt: at(2) }), wait(1)], 'r')
    view.show([step('Count', { state: 'done', endedAt: at(2) }), wait(2)], 'r')
    view.show(
      [
        step('Count', { state: 'done', endedAt: at(2) }),
        step('Wipe database', { state: 'failed', endedAt: at(3) }),
      ],
      'r',
    )
    view.end()
    expect(written).toEqual([
      'Run r\n',
      '✓ Count             2.00 s\n',
      '… Wipe database     waiting for locks; in the way: process 7\n',
      '✗ Wipe database     3.00 s\n',
    ])
  })

  test('is drawn over itself on a terminal, as wide as that, and what comes after its end is not drawn over', () => {
    const { view, written } = screen(true)
    const done = step('Count', { state: 'done', endedAt: at(2) })
    const half = step('Seal', { fraction: 0.5, endedAt: at(1), state: 'failed' })
    view.show([done, half], 'r')
    view.show([done, half], 'r') // nothing new
    view.show([done, step('Seal', { endedAt: at(9), waiting: 'no more' })], 'r')
    view.end()
    view.show([done], undefined)
    const bar = (filled: number) => '█'.repeat(filled) + '░'.repeat(24 - filled)
    expect(written).toEqual([
      `Run r\n✓ Count             ${bar(24)}  2.00 s\n✗ Seal              ${bar(12)}  1.00 s\n`,
      '<-3>',
      `Run r\n✓ Count             ${bar(24)}  2.00 s\n… Seal              ${bar(0)}  9.00 s\n`,
      `✓ Count             ${bar(24)}  2.00 s\n`,
    ])
    const wide = screen(true)
    wide.view.show([step('x'.repeat(80))], undefined)
    expect(wide.written).toEqual([`… ${'x'.repeat(57)}\n`])
  })
})
