import { describe, expect, it } from 'vitest'
import { type CacheLeft, cacheEnd } from '../../lib/cache/outcome.ts'
import { CacheRestored } from '../../lib/cache/restore/restore.ts'
import type { CacheWiped } from '../../lib/cache/wipe/wipe.ts'
import type { RunRow } from '../../lib/ledger/runs.ts'

type Ending = Parameters<typeof cacheEnd.end>[0]

const row = (more: Partial<RunRow>) =>
  ({
    ...{ runId: 'r', operation: 'reset', status: 'running', phase: 'Seal', waiting: null, progress: {} },
    ...{ backupId: 'b', wiped: null, restored: null, ...more },
  }) as RunRow
const at = (phase: string, more: Partial<RunRow> = {}) => row({ phase, wiped: {}, ...more })
const reset: Ending = {
  ...{ row: row({}), summary: { planned: {}, restore: null }, clears: true, dryRun: false, exact: false },
  ...{ succeeded: false, held: { prefix: '*', keys: 7, parts: [] }, unread: false },
}
const end = (ending: Partial<Ending>, left: Partial<CacheLeft> = {}) =>
  cacheEnd.end({ ...reset, ...ending }, { wiped: null, restored: null, ...left })
const countsOf = (...of: Parameters<typeof end>) => end(...of).counts
const stateOf = (...of: Parameters<typeof end>) => countsOf(...of).state
const wiped = (more: Partial<CacheWiped> = {}): CacheWiped => ({
  ...{ keys: 1, late: 0, left: 0, warnings: [], ...more },
})
const own = { code: 'Own', message: 'of a step' }

describe('what a reset did to the cache', () => {
  it('is that it was backed up, with the keys that the backup holds, until its turn comes', () => {
    expect(countsOf({})).toEqual({ state: 'backed_up', keys: 7 })
    expect(countsOf({ row: at('Wipe files') })).toEqual({ state: 'backed_up', keys: 7 })
    expect(countsOf({ held: null })).toEqual({ state: 'untouched', keys: 0 })
  })

  it('is partly wiped from when its turn came until no key is left', () => {
    const progress = { 'Wipe cache/0': { done: 3, total: 9 } }
    expect(countsOf({ row: at('Wipe cache', { progress }) })).toEqual({ state: 'partly_wiped', keys: 3 })
    const left = { wiped: wiped({ left: 1 }) }
    expect(stateOf({ row: at('Wipe cache') }, left)).toBe('partly_wiped')
    expect(countsOf({ row: at('Wipe cache') }, { wiped: wiped() })).toEqual({ state: 'wiped', keys: 1 })
  })

  it('is nothing where it was not to act', () => {
    expect(stateOf({ row: at('Wipe cache'), clears: false })).toBe('backed_up')
  })

  it('is not known where results cannot be read, from its turn on, and never that it was left alone', () => {
    expect(stateOf({ unread: true, row: at('Wipe files') })).toBe('backed_up')
    expect(countsOf({ unread: true, row: at('Wipe cache') })).toEqual({ state: 'unknown', keys: 0 })
    const restored = row({ operation: 'restore', phase: 'Restore cache', restored: {} })
    expect(stateOf({ unread: true, row: restored })).toBe('unknown')
  })

  it('is undone where keys are left, and has the warnings of its step', () => {
    const left = { wiped: wiped({ left: 1, warnings: [own] }) }
    expect(end({}, left)).toMatchObject({
      shortfall: { wipe: '1 cache key is still there', restore: null },
      warnings: [own],
    })
    expect(end({}, { wiped: wiped() }).shortfall.wipe).toBeNull()
  })

  it('is undone where the machine came to its end and nobody wiped it or put a key back', () => {
    const ended = (operation: string) => end({ row: row({ operation }), succeeded: true }).shortfall
    expect(ended('reset')).toEqual({ wipe: 'the cache was not wiped', restore: null })
    for (const operation of ['restore', 'reset-to'])
      expect(ended(operation)).toEqual({ wipe: null, restore: 'the cache was not put back' })
    const nothing = { wipe: null, restore: null }
    expect(ended('backup')).toEqual(nothing)
    for (const other of [{ dryRun: true }, { clears: false }])
      expect(end({ succeeded: true, ...other }).shortfall).toEqual(nothing)
    expect(end({ succeeded: true }, { wiped: wiped() }).shortfall).toEqual(nothing)
  })
})

describe('what a restore did to the cache', () => {
  const keys = (more: Partial<CacheRestored> = {}) =>
    CacheRestored.parse({ keys: 2, unchanged: 3, expired: 0, extra: 0, deleted: 0, warnings: [], ...more })
  const restore = (restored: CacheRestored | null, more: Partial<Ending> = {}) =>
    end({ row: row({ operation: 'restore' }), ...more }, { restored })
  const progress = { 'Restore cache/0': { done: 3, total: 9 } }
  const begun = row({ operation: 'restore', phase: 'Restore cache', progress })

  it('is nothing before its turn, and after it the keys of what was put back or was as in the backup already', () => {
    expect(restore(null).counts).toEqual({ state: 'backed_up', keys: 7 })
    expect(restore(keys()).counts).toEqual({ state: 'restored', keys: 5 })
  })

  it('is partly restored until it ends, with the keys that it told, and where some changed meanwhile', () => {
    expect(restore(keys({ changedMeanwhile: 1 })).counts.state).toBe('partly_restored')
    expect(restore(null, { row: begun }).counts).toEqual({ state: 'partly_restored', keys: 3 })
  })

  it('stays unknown where it is', () => {
    expect(restore(null, { row: begun, unread: true }).counts).toEqual({ state: 'unknown', keys: 0 })
  })

  it('is a warning for each number that is not none, beside those of the step', () => {
    expect(restore(keys()).warnings).toEqual([])
    expect(restore(keys({ extra: 1, expired: 2, warnings: [own] })).warnings).toEqual([
      {
        code: 'KeysNotInBackup',
        message: '1 cache key is not in the backup and was left; "exact": true removes it',
      },
      { code: 'KeysExpired', message: '2 cache keys had outlived their time and were left out' },
      own,
    ])
  })

  it('that is exact and left keys does not advise to say what it was told', () => {
    expect(restore(keys({ extra: 2 }), { exact: true }).warnings).toEqual([
      {
        code: 'KeysNotInBackup',
        message:
          '2 cache keys are not in the backup and could not be removed: they are of a type that no backup holds, changed again and again, or are too large to be compared',
      },
    ])
  })
})
