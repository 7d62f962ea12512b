import { describe, expect, it } from 'vitest'
import { originOf, proofOf } from '../../console/backups/proof.ts'
import { heldBy, restoreLabel, consequencesOf as restoring } from '../../console/backups/restoring.ts'
import { ago, bytes, duration, listed } from '../../console/numbers.ts'
import { consequencesOf, resetLabel, staysWith } from '../../console/overview/consequences.ts'
import { contentsOf, shareOfTable, wipedBy } from '../../console/overview/contents.ts'
import { obstaclesTo } from '../../console/overview/obstacles.ts'
import { backupAddress, routeOf, runAddress } from '../../console/route.ts'
import { headlineOf, sentenceOf } from '../../console/runs/wording.ts'
import type { Backup } from '../../lib/http/backups.ts'
import type { Options } from '../../lib/http/options.ts'
import type { Run } from '../../lib/http/run.ts'
import { type Outcome, type TargetState, TargetState as TargetStates } from '../../lib/run/outcome.ts'
import { type Target, targets } from '../../lib/run/strategy.ts'

const table = { label: null, estimated: false, bytes: 8192, keptRows: 0, keepRows: null }
const database = {
  available: true as const,
  mark: 'staging',
  protected: false,
  serverVersion: '18.4',
  estimated: false,
  tables: [
    { ...table, name: 'public.worlds', rows: 12_000, action: 'wiped' as const },
    { ...table, name: 'public.users', rows: 350, action: 'keeps some rows' as const, keptRows: 5 },
    { ...table, name: 'public.plans', rows: 3, action: 'kept' as const, keptRows: 3 },
  ],
  unmanaged: [],
  warnings: [],
  problem: null,
}
const files = {
  available: true as const,
  mark: 'staging',
  bucket: 'files',
  prefix: 'stories/',
  unmatched: [],
}
const options: Options = {
  environment: 'staging',
  claimed: true,
  protected: false,
  strategies: [],
  database,
  files: {
    ...files,
    ...{ objects: 330, bytes: 9000, preservedObjects: 10, preservedBytes: 100, approximate: false },
  },
  cache: {
    ...{ available: true, mark: 'staging', prefix: '*', unmatched: [], approximate: false },
    ...{ keys: 1024, preservedKeys: 0 },
  },
}
const down = { available: false as const, reason: { name: 'StoreUnavailable', message: 'It is off' } }
const session = {
  name: 'ci',
  scopes: ['read', 'backup', 'reset'],
  environment: 'staging',
  protected: false,
  version: '1',
}
const backup: Backup = {
  backupId: '2026-11-22T19-05-33Z-3f9a2c',
  environment: 'staging',
  strategy: 'full',
  startedAt: '2026-11-22T19:05:33.000Z',
  sealedAt: '2026-11-22T19:06:33.000Z',
  rehearsedAt: null,
  rows: 12_345,
  files: 320,
  keys: null,
  bytes: 5000,
  consistency: 'snapshot',
  lateAttempts: 0,
  authentic: 'signed',
  pinned: false,
}

describe('what a reset says before it is confirmed', () => {
  it('counts only what goes, not what is preserved', () => {
    expect(resetLabel(wipedBy(options, 'full'))).toBe('Back up and wipe 12,345 rows, 320 files, 1,024 keys')
    expect(resetLabel(wipedBy(options, 'cache-only'))).toBe('Back up and wipe 1,024 keys')
    expect(listed(contentsOf(options))).toBe('12,353 rows, 330 files, 1,024 keys')
  })

  it('names an estimate an estimate', () => {
    const many = { ...options, cache: { ...options.cache, approximate: true } } as Options
    expect(resetLabel(wipedBy(many, 'cache-only'))).toBe('Back up and wipe about 1,024 keys')
    expect(resetLabel(wipedBy(many, 'files-only'))).toBe('Back up and wipe 320 files')
  })

  it('does not count a store that is down as empty', () => {
    expect(wipedBy({ ...options, database: down }, 'full')).toMatchObject({ rows: null, files: 320 })
  })

  it('counts a table that no plan can be made for as staying', () => {
    const unplanned = { ...table, name: 'public.worlds', rows: 7, action: null }
    expect(shareOfTable(unplanned)).toEqual({ goes: 0, stays: 7, estimated: false })
    const nothing = { ...options, database: { ...database, tables: [unplanned] } }
    expect(wipedBy(nothing, 'database-only').rows).toBe(0)
    expect(staysWith(nothing, 'database-only')).toContain('7 rows of public.worlds')
  })

  it('says what stays: other stores, kept tables, kept rows, preserved files', () => {
    expect(staysWith(options, 'full')).toEqual([
      '5 rows of public.users',
      '3 rows of public.plans',
      '10 files that are preserved',
    ])
    expect(staysWith(options, 'cache-only')).toEqual(['all of the database', 'all of the files'])
    expect(consequencesOf(options, 'cache-only').join(' ')).toContain(
      'What stays: all of the database and all of the files.',
    )
  })
})

describe('what stands in the way', () => {
  const reason = (changed: Partial<Options>, scopes = session.scopes, active?: Run) =>
    obstaclesTo(['database'], {
      session: { ...session, scopes },
      options: { ...options, ...changed },
      active,
    })

  it('is nothing where nothing does', () => {
    expect(reason({})).toEqual({ reset: null, dryRun: null, backup: null })
  })

  it('is a scope that the token lacks, for that operation only', () => {
    expect(reason({}, ['read', 'backup'])).toMatchObject({
      reset: expect.stringContaining('"reset"'),
      backup: null,
    })
  })

  it('is the protection of the environment, for what wipes only', () => {
    const { reset, dryRun, backup } = reason({ protected: true })
    expect(reset).toContain('protected')
    expect([dryRun, backup]).toEqual([null, null])
  })

  it('is a run that is active, or that nobody claimed the environment, for whatever would begin', () => {
    for (const found of [reason({}, session.scopes, {} as Run), reason({ claimed: false })])
      expect(Object.values(found)).toEqual([expect.any(String), expect.any(String), expect.any(String)])
    expect(reason({}, session.scopes, {} as Run).backup).toContain('Another run is active')
    expect(reason({ claimed: false }).dryRun).toContain('is not claimed yet')
  })

  it('is a store that is down, when the operation needs it', () => {
    expect(reason({ database: down }).backup).toBe('The database cannot be reached: It is off')
    expect(reason({ cache: down }).reset).toBeNull()
  })

  it('is a plan that cannot be made, for what wipes only', () => {
    const problem = { name: 'PreservationConflict', message: 'users is kept and references worlds' }
    const { reset, backup } = reason({ database: { ...database, problem } })
    expect([reset, backup]).toEqual([problem.message, null])
  })
})

describe('what a restore says before it is confirmed', () => {
  it('offers only the stores that the backup holds, and counts those that are chosen', () => {
    expect(heldBy(backup)).toEqual(['database', 'files'])
    expect(restoreLabel(backup, ['database', 'files'])).toBe('Back up, then put back 12,345 rows, 320 files')
    expect(restoreLabel(backup, [])).toBe('Choose what to put back')
  })

  it('says that files that came later stay, unless they are to be removed', () => {
    const about = { environment: 'staging', chosen: ['files' as const], present: '' }
    expect(restoring(backup, { ...about, exact: false }).join(' ')).toContain('stay and are reported')
    expect(restoring(backup, { ...about, exact: true }).join(' ')).toContain('go too')
  })

  it('tells a backup that was loaded from one that was only read back', () => {
    expect(proofOf({ ...backup, rehearsedAt: backup.sealedAt }).label).toBe('Rehearsed')
    const text = (lateAttempts: number) =>
      proofOf({ ...backup, rehearsedAt: backup.sealedAt, lateAttempts }).text
    expect([text(0), text(1)]).toEqual([
      expect.not.stringContaining('read back only'),
      expect.stringContaining('Rows that changed after that, until the wipe, were read back only'),
    ])
    expect(proofOf(backup)).toMatchObject({ label: 'Read back', text: expect.stringContaining('not loaded') })
  })

  it('says of a backup that nobody known signed why, and what that may mean', () => {
    expect(originOf('signed')).toContain('it is what was backed up')
    expect(originOf('unsigned')).toMatch(/no signature\. Whoever can write .* may have made or changed it/)
    expect(originOf('unknown key')).toMatch(/key that is not known here\. Whoever can write .* changed it/)
  })
})

describe('what happened, in plain words', () => {
  const outcome = (state: Outcome['targets']['database']['state'], backupId: string | null): Outcome => ({
    runId: 'r',
    operation: 'reset',
    strategy: 'full',
    status: 'succeeded',
    backupId,
    backupPrefix: null,
    targets: {
      database: { state, rows: 1, tables: { 'public.users': 1 } },
      files: { state: 'untouched', objects: 0, bytes: 0 },
      cache: { state: 'untouched', keys: 0 },
    },
    warnings: [],
    error: null,
    startedAt: backup.startedAt,
    finishedAt: backup.sealedAt,
  })

  it('says of wiped rows whether there is a backup of them', () => {
    expect(sentenceOf(outcome('wiped', 'b'), 'database')).toBe('1 row in 1 table: wiped, and in the backup.')
    expect(sentenceOf(outcome('wiped', null), 'database')).toBe(
      '1 row in 1 table: wiped. There is no backup.',
    )
  })

  it('claims nothing that is not known', () => {
    expect(sentenceOf(outcome('partly_wiped', 'b'), 'database')).toContain('not sure that it ended')
    expect(sentenceOf(outcome('partly_restored', 'b'), 'database')).toContain('not sure that it ended')
  })
})

describe('how a run ended, in one sentence', () => {
  const untouched = { state: 'untouched' as const }
  const run: Run = {
    ...{
      runId: 'r',
      operation: 'reset',
      strategy: 'full',
      status: 'failed',
      phase: 'Wipe files',
      attempt: 0,
    },
    ...{ requestedBy: null, dryRun: false, backupId: null, restoredBackupId: null, progress: {}, plan: null },
    ...{ startedAt: backup.startedAt, heartbeatAt: backup.sealedAt, finishedAt: backup.sealedAt },
    ...{ closingUntil: null, waiting: null, cancellable: false, wouldDo: null, outcome: null, error: null },
  }
  const ended = (targets: Partial<Record<Target, TargetState>>): Run => ({
    ...run,
    outcome: {
      ...{ runId: 'r', operation: 'reset', strategy: 'full', status: 'failed', backupId: 'b' },
      targets: {
        database: { ...untouched, rows: 0, tables: {}, ...stateOf(targets.database) },
        files: { ...untouched, objects: 0, bytes: 0, ...stateOf(targets.files) },
        cache: { ...untouched, keys: 0, ...stateOf(targets.cache) },
      },
      ...{ backupPrefix: null, warnings: [], error: null },
      ...{ startedAt: run.startedAt, finishedAt: backup.sealedAt },
    },
  })
  const stateOf = (state: TargetState | undefined) => (state === undefined ? {} : { state })

  it('says that nothing was changed only when nothing was', () => {
    expect(headlineOf(ended({}), [])).toBe('Failed after 1 min 0 s. Nothing was wiped or replaced.')
    expect(headlineOf(ended({ database: 'backed_up', files: 'backed_up' }), [])).toContain(
      'Nothing was wiped',
    )
    const changed = TargetStates.options.filter((state) => !['untouched', 'backed_up'].includes(state))
    expect(changed.length).toBeGreaterThan(3)
    for (const state of changed) {
      for (const target of targets) {
        const headline = headlineOf(ended({ [target]: state }), [])
        expect(headline, `${target} ${state}`).not.toContain('Nothing was')
        expect(headline, `${target} ${state}`).toContain(target)
      }
    }
  })
})

describe('numbers and addresses', () => {
  it('reads as people say it', () => {
    expect(listed({ rows: 1, files: 0, keys: null })).toBe('1 row, 0 files')
    expect([bytes(0), bytes(1023), bytes(1536)]).toEqual(['0 B', '1023 B', '1.5 KiB'])
    expect([duration(850), duration(200_000), duration(7_500_000)]).toEqual([
      '0.8 s',
      '3 min 20 s',
      '2 h 5 min',
    ])
    const now = new Date(backup.startedAt)
    const before = (minutes: number) => new Date(now.getTime() - minutes * 60_000).toISOString()
    expect([0, 5, 125, 3000].map((minutes) => ago(now, before(minutes)))).toEqual([
      'just now',
      '5 minutes ago',
      '2 hours ago',
      '2 days ago',
    ])
  })

  it('finds a run or a backup again by its address, whatever its id holds', () => {
    for (const id of ['2026-11-22T19-05-33Z-3f9a2c', "odd id/with'%", '100%']) {
      expect(routeOf(runAddress(id))).toEqual({ view: 'run', runId: id })
      expect(routeOf(backupAddress(id))).toEqual({ view: 'backup', backupId: id })
    }
    expect(['', '#', '#/'].map((hash) => routeOf(hash).view)).toEqual(['overview', 'overview', 'overview'])
    expect(['#/x', '#/runs/1/2', '#/runs/%'].map((hash) => routeOf(hash).view)).toEqual([
      'unknown',
      'unknown',
      'run',
    ])
  })
})
