import { describe, expect, it } from 'vitest'
import { type FilesLeft, filesEnd } from '../../lib/files/outcome.ts'
import type { FilesRestored } from '../../lib/files/restore/results.ts'
import type { FilesWiped } from '../../lib/files/wipe.ts'
import type { RunRow } from '../../lib/ledger/runs.ts'

type Ending = Parameters<typeof filesEnd.end>[0]

const row = (more: Partial<RunRow>) =>
  ({
    ...{ runId: 'r', operation: 'reset', status: 'running', phase: 'Seal', waiting: null, progress: {} },
    ...{ backupId: 'b', wiped: null, restored: null, ...more },
  }) as RunRow
const at = (phase: string, more: Partial<RunRow> = {}) => row({ phase, wiped: {}, ...more })
const held = { prefix: '', objects: 7, bytes: 70, vanished: 0, index: null }
const reset: Ending = {
  ...{ row: row({}), summary: { planned: { batches: 2 }, restore: null }, clears: true, dryRun: false },
  ...{ exact: false, succeeded: false, held, unread: false },
}
const end = (ending: Partial<Ending>, left: Partial<FilesLeft> = {}) =>
  filesEnd.end({ ...reset, ...ending }, { wiped: [], restored: [], ...left })
const countsOf = (...of: Parameters<typeof end>) => end(...of).counts
const stateOf = (...of: Parameters<typeof end>) => countsOf(...of).state
const wiped = (more: Partial<FilesWiped> = {}): FilesWiped => ({
  ...{ batch: 0, objects: 1, bytes: 10, changed: 0, appeared: 0, failures: 0, failed: [], ...more },
})

describe('what a reset did to the files', () => {
  it('is that they were backed up, with what the backup holds, until their turn comes', () => {
    const backedUp = { state: 'backed_up', objects: 7, bytes: 70 }
    expect(countsOf({})).toEqual(backedUp)
    expect(countsOf({ row: at('Wipe database') })).toEqual(backedUp)
    expect(countsOf({ held: null })).toEqual({ state: 'untouched', objects: 0, bytes: 0 })
  })

  it('is partly wiped from when their turn came until every batch is without a failure', () => {
    expect(stateOf({ row: at('Wipe files') })).toBe('partly_wiped')
    expect(stateOf({ row: at('Wipe database') }, { wiped: [wiped()] })).toBe('partly_wiped')
    expect(stateOf({ row: at('Wipe files') }, { wiped: [wiped(), wiped({ failures: 1 })] })).toBe(
      'partly_wiped',
    )
    expect(countsOf({ row: at('Wipe files') }, { wiped: [wiped(), wiped()] })).toEqual({
      ...{ state: 'wiped', objects: 2, bytes: 20 },
    })
  })

  it('is that no file is there, when there was none, once their turn has come', () => {
    const none = { summary: { planned: { batches: 0 }, restore: null }, held: null }
    expect(stateOf(none)).toBe('untouched')
    expect(stateOf({ ...none, row: at('Wipe database') })).toBe('wiped')
    expect(stateOf({ ...none, row: row({ phase: 'Wipe files' }) })).toBe('wiped')
    expect(stateOf({ ...none, succeeded: true })).toBe('wiped')
    for (const other of [{ dryRun: true }, { clears: false }, { row: row({ operation: 'backup' }) }])
      expect(stateOf({ ...none, succeeded: true, ...other })).toBe('untouched')
  })

  it('is nothing where it was not to act, or where the plan cannot be understood', () => {
    expect(stateOf({ row: at('Wipe cache'), clears: false })).toBe('backed_up')
    expect(stateOf({ row: at('Wipe cache'), summary: null })).toBe('backed_up')
  })

  it('is not known where results cannot be read, from their turn on, and never that they were left alone', () => {
    expect(stateOf({ unread: true, row: at('Wipe database') })).toBe('backed_up')
    for (const phase of ['Wipe files', 'Wipe cache'])
      expect(countsOf({ unread: true, row: at(phase) })).toEqual({ state: 'unknown', objects: 0, bytes: 0 })
    const restored = row({ operation: 'restore', phase: 'Restore cache', restored: {} })
    expect(stateOf({ unread: true, row: restored })).toBe('unknown')
    expect(stateOf({ row: restored })).toBe('backed_up')
  })

  it('is undone where S3 refused a deletion, and a warning for each number that is not none', () => {
    const failed = [{ key: 'a.txt', code: 'AccessDenied' }]
    const left = { wiped: [wiped({ changed: 1, failures: 1, failed }), wiped({ appeared: 2, failures: 1 })] }
    expect(end({}, left)).toMatchObject({
      shortfall: {
        wipe: '2 files could not be deleted (for example a.txt: AccessDenied)',
        restore: null,
      },
      warnings: [
        {
          code: 'FilesChangedLater',
          message: '1 file changed after the backup, and was not deleted',
        },
        { code: 'FilesAppeared', message: '2 files came after the backup, and were not deleted' },
        {
          code: 'FilesNotDeleted',
          message: '2 files could not be deleted (for example a.txt: AccessDenied)',
        },
      ],
    })
    const [changed] = end({ row: row({ backupId: null }) }, left).warnings
    expect(changed?.message).toBe('1 file changed after the count, and was not deleted')
    expect(end({}, { wiped: [wiped({ changed: 1 })] }).shortfall.wipe).toBeNull()
    expect(end({}, { wiped: [wiped()] }).warnings).toEqual([])
  })

  it('is undone where the machine came to its end and a batch was never begun', () => {
    const one = 'of 2 batches of files 1 was never begun'
    expect(end({ succeeded: true }, { wiped: [wiped()] }).shortfall).toEqual({ wipe: one, restore: null })
    expect(end({ succeeded: true }).shortfall.wipe).toBe('of 2 batches of files 2 were never begun')
    for (const other of [{ dryRun: true }, { clears: false }, { row: row({ operation: 'backup' }) }])
      expect(end({ succeeded: true, ...other }).shortfall).toEqual({ wipe: null, restore: null })
    const back = row({ operation: 'reset-to' })
    const restoring = (batches: number, left: Partial<FilesLeft>) =>
      end(
        {
          ...{ row: back, succeeded: true },
          summary: { planned: { batches: 2 }, restore: { files: { batches } } },
        },
        left,
      ).shortfall
    expect(restoring(2, {})).toEqual({ wipe: null, restore: 'of 2 batches of files 2 were never begun' })
    expect(restoring(0, {})).toEqual({ wipe: null, restore: null })
  })
})

describe('what a restore did to the files', () => {
  const batch = (more: Partial<FilesRestored> = {}): FilesRestored => ({
    ...{ batch: 0, objects: 2, bytes: 20, unchanged: 3, unchangedBytes: 30, extra: 0, deleted: 0 },
    ...{ changedMeanwhile: 0, changed: [], failures: 0, failed: [], ...more },
  })
  const restore = (restored: FilesRestored[], more: Partial<Ending> = {}) =>
    end(
      {
        row: row({ operation: 'restore' }),
        summary: { planned: { batches: 2 }, restore: { files: { batches: 2 } } },
        ...more,
      },
      { restored },
    )
  const begun = row({ operation: 'restore', phase: 'Restore files' })

  it('is nothing before their turn, and the numbers of what was put back after it', () => {
    expect(restore([]).counts).toEqual({ state: 'backed_up', objects: 7, bytes: 70 })
    expect(restore([batch(), batch()]).counts).toEqual({ state: 'restored', objects: 10, bytes: 100 })
  })

  it('is partly restored while a batch is missing, and where something failed or changed meanwhile', () => {
    expect(restore([], { row: begun }).counts).toEqual({ state: 'partly_restored', objects: 0, bytes: 0 })
    for (const left of [
      [batch()],
      [batch(), batch({ failures: 1 })],
      [batch({ changedMeanwhile: 1 }), batch()],
    ])
      expect(restore(left).counts.state).toBe('partly_restored')
    const none = { summary: { planned: { batches: 2 }, restore: null } }
    expect(restore([], none).counts.state).toBe('backed_up')
  })

  it('stays unknown where it is', () => {
    const unknown = { state: 'unknown', objects: 0, bytes: 0 }
    expect(restore([batch(), batch()], { row: begun, unread: true }).counts).toEqual(unknown)
  })

  it('is a failure only where S3 refused something, by number and an example', () => {
    const undone = (...left: FilesRestored[]) => restore(left).shortfall
    expect(undone(batch({ changedMeanwhile: 3 }))).toEqual({ wipe: null, restore: null })
    const failed = [{ key: 'a.txt', code: 'AccessDenied' }]
    expect(undone(batch({ failures: 1 }), batch({ failures: 2, failed })).restore).toBe(
      '3 files could not be put back or removed (for example a.txt: AccessDenied)',
    )
    expect(undone(batch({ failures: 1 })).restore).toBe('1 file could not be put back or removed')
  })

  it('is a warning for each number that is not none', () => {
    expect(restore([batch()]).warnings).toEqual([])
    const left = [batch({ extra: 1, changedMeanwhile: 2, failures: 1 }), batch({ extra: 1 })]
    expect(restore(left).warnings).toEqual([
      {
        code: 'FilesNotInBackup',
        message: '2 files are not in the backup and were left; "exact": true removes them',
      },
      {
        code: 'FilesChangedMeanwhile',
        message: '2 files changed after the safety backup, so they were left as they are',
      },
      { code: 'FilesNotRestored', message: '1 file could not be put back or removed' },
    ])
    expect(restore(left, { exact: true }).warnings[0]?.message).toBe(
      '2 files are not in the backup and could not be removed: they came or changed meanwhile, or S3 refused it',
    )
  })
})
