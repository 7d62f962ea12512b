import { describe, expect, it, vi } from 'vitest'
import type { Backup } from '../../lib/backup/read.ts'
import type { Config } from '../../lib/config/variables.ts'
import { chooseRestoreActions } from '../../lib/database/plan/actions/restore-actions.ts'
import { BackupDamaged, messageOf } from '../../lib/errors.ts'
import { type Fence, spanOf } from '../../lib/ledger/fence.ts'
import { failureOfEnded } from '../../lib/run/finish/execution-end.ts'
import { checkConfirmation } from '../../lib/run/guard.ts'
import type { ResetOptions } from '../../lib/run/options.ts'
import { type Outcome, reduced, shortened } from '../../lib/run/outcome.ts'
import { filesOf, type Plan, restoredFilesOf, sealedAs } from '../../lib/run/planning/plan.ts'
import { checkLimits } from '../../lib/run/planning/planning.ts'
import { idempotencyKeyOf, parseRequest } from '../../lib/run/request.ts'
import { isUnclaimed } from '../../lib/run/words/claim-state.ts'
import { nextStepsOf } from '../../lib/run/words/next-steps.ts'
import { nowAndAfter, restoredStores, whatRestoreMeans } from '../../lib/run/words/now-and-after.ts'
import { refusalOf, type WouldDo, wouldDoOf } from '../../lib/run/words/would-do.ts'
import { wouldBeRefused, wouldCall, wouldLeave, wouldLines } from '../../lib/run/words/would-words.ts'
import { sharedCheck } from '../../lib/s3/fence-check.ts'
import { cut } from '../../lib/visible.ts'
import { catalogWith, key, table as tableOf } from '../database/made-catalog.ts'

const down = { available: false as const, reason: { name: 'DatabaseBusy', message: 'It is locked' } }

describe('what a dry run says', () => {
  const table = (action: string, more: object = {}) => ({
    name: `public.${action}`,
    action,
    rows: 9,
    ...more,
  })
  const planned = {
    ...{ clears: ['database', 'files', 'cache'], dryRun: true, rehearse: true, warnings: [] },
    database: { tables: [table('truncate'), table('delete rows', { keptRows: 4 }), table('keep')] },
    files: { objects: 3, bytes: 30, preservedObjects: 1, preservedBytes: 10, batches: 1 },
    cache: { keys: 5, preservedKeys: 2 },
    restore: null,
  }
  const would = (
    more: object = {},
    operation = 'reset',
    error: { name: string; message: string } | null = null,
  ) => wouldDoOf({ ...planned, ...more }, operation, error) as WouldDo
  const lines = (one: WouldDo, operation = 'reset') =>
    wouldLines(one, operation).map(({ what, holds, would }) => `${what}: ${holds} ${would}`)

  it('of what wipes or replaces is also that hooks would be called around it, where there are any', () => {
    const says = (more: object, operation: string) => wouldCall(would(more, operation), operation)
    for (const [operation, said] of [
      ['reset', 'reset'],
      ['reset-to', 'reset'],
      ['restore', 'restore'],
    ] as const)
      expect(says({ hooks: true }, operation)).toBe(
        `Hooks are configured: those that are meant for it would be called before and after the ${said}; the dry run called none.`,
      )
    expect(says({ hooks: true }, 'backup')).toBeNull()
    expect(says({ hooks: false }, 'reset')).toBeNull()
    expect(says({}, 'reset')).toBeNull() // of an earlier version
  })

  it('of a reset is what goes and what stays of each store', () => {
    expect(would()).toMatchObject({ backsUp: true, rehearses: true, refusal: null, restores: null })
    expect(
      would().database?.tables.map(({ would, keptRows, rowsAfter }) => [would, keptRows, rowsAfter]),
    ).toEqual([
      ...[
        ['wiped', 0, 0],
        ['wiped', 4, 4],
        ['kept', 9, 9],
      ],
    ])
    expect(lines(would())).toEqual([
      'public.truncate: 9 rows would be wiped',
      'public.delete rows: 9 rows would be wiped but for 4 rows',
      'public.keep: 9 rows would stay',
      'files: 3 files, 30 B would be wiped but for 1 file',
      'cache: 5 keys would be wiped but for 2 keys',
    ])
    const nothingKept = {
      files: { ...planned.files, preservedObjects: 0 },
      cache: { ...planned.cache, preservedKeys: 0 },
    }
    expect(lines(would(nothingKept)).slice(3)).toEqual([
      'files: 3 files, 30 B would be wiped',
      'cache: 5 keys would be wiped',
    ])
  })

  it('of a backup is that all of it stays', () => {
    const one = would({}, 'backup')
    expect(one.database?.tables[1]).toMatchObject({ would: 'backed up', keptRows: 9, rowsAfter: 9 })
    expect(new Set(lines(one, 'backup').map((line) => line.replace(/^.*(rows|B|keys) /, '')))).toEqual(
      new Set(['would be backed up, and stay']),
    )
  })

  it('of a restore is what the backup holds, and what becomes of the others', () => {
    const restore = { backupId: 'b', exact: false, objects: 7, keys: 1 }
    const database = { tables: [table('truncate', { backedUpRows: 2 }), table('delete'), table('keep')] }
    expect(lines(would({ restore: { ...restore, files: null }, database }, 'restore'), 'restore')).toEqual([
      'public.truncate: 9 rows would be replaced by the 2 rows of the backup',
      'public.delete: 9 rows would be replaced by the 0 rows of the backup',
      'public.keep: 9 rows would stay',
      'files: 3 files, 30 B the 7 files of the backup would be put back; others would stay',
      'cache: 5 keys the 1 key of the backup would be put back; others would stay',
    ])
    const exact = would({ restore: { ...restore, files: null, exact: true } }, 'restore')
    expect(exact.restores).toEqual({ ...restore, exact: true })
    expect(lines(exact, 'restore')[4]).toContain('others would be removed')
  })

  it('names the stores that it would leave alone, and counts nothing of them', () => {
    const one = would({ clears: ['files'] })
    expect([one.database, one.cache]).toEqual([null, null])
    expect(wouldLeave(one)).toEqual(['database', 'cache'])
    expect(wouldLeave(would({ clears: ['database', 'cache'] }))).toEqual(['files'])
    expect(wouldLeave(would())).toEqual([])
  })

  it('is nothing for a run that is not dry, or has no plan', () => {
    expect(wouldDoOf({ ...planned, dryRun: false }, 'reset', null)).toBeNull()
    expect(wouldDoOf(null, 'reset', null)).toBeNull()
    expect(would({ warnings: [{ code: 'NoBackup', message: 'none' }] }).backsUp).toBe(false)
  })

  it('is a refusal when a rule refuses it, and not when a store failed', () => {
    const noted = { name: 'EnvironmentProtected', message: 'it is protected' }
    const error = (name: string) => ({ name, message: 'any' })
    expect(refusalOf(noted, null)).toEqual(noted)
    expect(refusalOf(null, null)).toBeNull()
    for (const name of ['NotFound', 'LimitExceeded', 'InvalidRequest', 'RunActive'])
      expect(refusalOf(noted, error(name))?.name).toBe(name)
    for (const name of ['StoreUnavailable', 'NobodyKnows']) expect(refusalOf(null, error(name))).toBeNull()
    expect(refusalOf(noted, error('StoreUnavailable'))).toEqual(noted)
    expect(wouldBeRefused(would({ refusal: noted }))).toBe(
      'would be refused: EnvironmentProtected: it is protected',
    )
    expect(wouldBeRefused(would())).toBeNull()
  })
})

describe('what a restore changes, before it is confirmed', () => {
  const tables = [
    { name: 'public.a', rows: 1 },
    { name: 'public.hidden', rows: null },
    { name: 'public.new', rows: 3 },
  ]
  const options = {
    database: { available: true, tables },
    files: { available: true, objects: 1, bytes: 10 },
    cache: { available: true, keys: 2 },
  } as unknown as ResetOptions
  const named = ['public.a', 'public.hidden', 'public.gone', 'public.out']
  const backup = {
    database: { tables: named.map((name) => ({ name, rows: 5 })) },
    files: { objects: 4, bytes: 2048 },
    cache: { keys: 6 },
  } as unknown as Backup
  const request = { exact: false, without: ['public.out'] }
  const told = (more: Partial<ResetOptions> = {}, asked: Partial<Parameters<typeof nowAndAfter>[2]> = {}) =>
    nowAndAfter({ ...options, ...more }, backup, { ...request, ...asked }).map(({ what, now, after }) => [
      ...[what, now, after],
    ])

  it('is told of each table, the files and the cache', () => {
    expect(told()).toEqual([
      ['public.a', '1 row', '5 rows'],
      ['public.hidden', 'not readable', '5 rows'],
      ['public.gone', 'no such table', 'refused: create it, or leave it out'],
      ['public.out', 'no such table', 'left out'],
      ['public.new', '3 rows', 'stays: it is not in the backup'],
      ['files', '1 file, 10 B', '4 files, 2.0 KiB, and those that are not in the backup'],
      ['cache', '2 keys', '6 keys, and those that are not in the backup'],
    ])
    expect(told({}, { exact: true }).slice(5)).toEqual([
      ['files', '1 file, 10 B', '4 files, 2.0 KiB'],
      ['cache', '2 keys', '6 keys'],
    ])
  })

  it('says which tables stay where only some are to be put back, as far as it is told', () => {
    const then = (asked: { tables: string[]; includeParents?: boolean }) =>
      told({}, { without: undefined, ...asked }).map(([what, , fate]) => `${what}: ${fate}`)
    expect(then({ tables: ['public.a'] })).toEqual(
      expect.arrayContaining(['public.a: 5 rows', 'public.hidden: stays', 'public.gone: stays']),
    )
    expect(then({ tables: ['public.a', 'parts'] })).toContain(
      'public.out: stays, unless it is a partition of what is named',
    )
    expect(then({ tables: ['public.a'], includeParents: true })).toContain(
      'public.out: stays, unless what is named refers to it',
    )
  })

  it('is told of a store that cannot be asked, too', () => {
    expect(told({ database: down, files: down, cache: down }).slice(-3)).toEqual([
      ['public.out', 'not known: DatabaseBusy', 'left out'],
      ['files', 'not known: DatabaseBusy', '4 files, 2.0 KiB, and those that are not in the backup'],
      ['cache', 'not known: DatabaseBusy', '6 keys, and those that are not in the backup'],
    ])
    expect(told({ database: down })[0]).toEqual(['public.a', 'not known: DatabaseBusy', '5 rows'])
  })

  it('is only of what is put back, and held', () => {
    expect(told({}, { targets: ['cache'] }).map(([what]) => what)).toEqual(['cache'])
    const filesOnly = { ...backup, database: null, cache: null } as Backup
    expect(restoredStores(filesOnly, request)).toEqual(['files'])
    expect(restoredStores(backup, { ...request, targets: ['files', 'database'] })).toEqual([
      'database',
      'files',
    ])
  })

  it('is said in words for the stores that are put back', () => {
    expect(whatRestoreMeans(['files', 'cache'], { exact: false })).toEqual([
      'Files and cache keys of the backup replace those of the same name; those that are not in it stay.',
    ])
    expect(whatRestoreMeans(['cache'], { exact: true })).toEqual([
      'Cache keys of the backup replace those of the same name; those that are not in it are removed.',
    ])
    expect(whatRestoreMeans(['database'], { exact: true })).toEqual([
      expect.stringMatching(
        /^All rows of these tables become those of the backup, also .* a reset would keep/,
      ),
    ])
  })
})

describe('an outcome', () => {
  const outcome: Outcome = {
    ...{ runId: 'r', operation: 'reset', strategy: 'full', status: 'succeeded', backupId: 'b' },
    ...{ backupPrefix: null, warnings: [], error: null, startedAt: '', finishedAt: '' },
    targets: {
      database: { state: 'wiped', rows: 1, tables: { 'public.a': 1 } },
      files: { state: 'wiped', objects: 1, bytes: 1 },
      cache: { state: 'wiped', keys: 1 },
    },
  }

  it('that the ledger does not take keeps states and sums, and its error, and says what is left out', () => {
    const warnings = [{ code: 'Any', message: 'x' }]
    const short = reduced({ ...outcome, warnings }, 'it is too long')
    expect(short).toMatchObject({
      ...{ status: 'succeeded_with_warnings', error: null },
      targets: {
        database: { state: 'wiped', rows: 1, tables: {} },
        files: { objects: 1 },
        cache: { keys: 1 },
      },
      warnings: [
        {
          code: 'OutcomeReduced',
          message: expect.stringMatching(
            /^The ledger did not take .*\(it is too long\): .* 1 warning are left out/,
          ),
        },
      ],
    })
    const error = { name: 'E', message: 'x'.repeat(5_000) }
    const failed = reduced({ ...outcome, status: 'failed', error }, '')
    expect(failed.status).toBe('failed')
    expect(failed.error?.message).toMatch(/^x{1000}… \(shortened; the ledger did not take all of it\)$/)
  })

  it('is whole as long as it fits, and then without the names of tables, warnings last', () => {
    const long = (length: number) => ({
      ...outcome,
      warnings: [{ code: 'Any', message: 'x'.repeat(length) }],
    })
    expect(shortened(long(11_000))).toEqual(long(11_000))
    const tables = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`public.table_${n}`, 1]))
    const warnings = Array.from({ length: 12 }, (_, n) => ({ code: 'Any', message: `${n}` }))
    const wide = {
      ...{ ...outcome, warnings },
      targets: { ...outcome.targets, database: { ...outcome.targets.database, tables } },
    }
    expect(shortened(wide)).toEqual({
      ...{ ...outcome, warnings },
      targets: { ...outcome.targets, database: { ...outcome.targets.database, tables: {} } },
    })
    expect(shortened(long(13_000)).warnings[0]?.message).toMatch(
      /^x{1000}… \(shortened; the ledger has all of it\)$/,
    )
  })

  it('is cut between characters, and not at all when it fits', () => {
    expect(cut('abc', 3, 'x')).toBe('abc')
    expect(cut('abcd', 3, 'it is elsewhere')).toBe('abc… (shortened; it is elsewhere)')
    expect(cut('é"\u0001', 4, 'x')).toBe('é"… (shortened; x)')
    expect(cut('😀😀', 7, 'x')).toBe('😀… (shortened; x)')
  })

  it('of a backup that failed says that nothing was changed, and of one that ended nothing', () => {
    const backup = { ...outcome, operation: 'backup' }
    expect(nextStepsOf(backup)).toEqual([])
    const error = { name: 'StoreUnavailable', message: 'S3 is away' }
    expect(nextStepsOf({ ...backup, error })).toMatchObject([
      { says: 'Nothing was wiped or replaced. Remove the cause, and start the backup again.', restore: null },
    ])
    for (const operation of ['verify', 'diff', 'delete', 'claim'])
      expect(nextStepsOf({ ...backup, operation, error })).toEqual([])
  })
})

describe('the limits of a reset', () => {
  const table = (action: string, rows: number, keptRows = 0) => ({ action, rows, keptRows })
  const plan = {
    operation: 'reset',
    database: { tables: [table('truncate', 4), table('delete rows', 9, 7), table('keep', 99)] },
    files: { objects: 9, preservedObjects: 3 },
    cache: { keys: 9, preservedKeys: 3 },
  } as unknown as Plan
  const check = (limits: object, more: object = {}) =>
    checkLimits({ ...plan, ...more }, { config: limits } as unknown as Parameters<typeof checkLimits>[1])

  it('allow what they say, count what goes and not what is kept, and hold for a reset alone', () => {
    for (const name of ['MAX_ROWS', 'MAX_OBJECTS', 'MAX_KEYS']) {
      expect(() => check({ [name]: 6 })).not.toThrow()
      expect(() => check({ [name]: 5 }), name).toThrow(
        new RegExp(`^The reset would wipe 6 .*more than ${name}=5 allows`),
      )
      expect(() => check({ [name]: 0 }, { operation: 'restore' })).not.toThrow()
      expect(() => check({ [name]: 0 }, { database: null, files: null, cache: null })).not.toThrow()
    }
    expect(() => check({ MAX_ROWS: 0 }, { database: { tables: [table('delete', 1)] } })).toThrow(
      'wipe 1 row,',
    )
  })
})

it('a restore empties the tables that the backup holds, keeps all others, and lets no key stand in the way', () => {
  const tables = ['public.a', 'public.b', 'public.c'].map((name) => tableOf(name))
  const catalog = catalogWith({ tables, foreignKeys: [key('public.b', 'public.a')] })
  const { tables: planned } = chooseRestoreActions(catalog, { excluded: ['public.c'] }, [
    { name: 'public.a' },
    { name: 'public.c' },
  ])
  expect(planned.map(({ table, action }) => [table.name, action])).toEqual([
    ['public.a', 'truncate'],
    ['public.b', 'keep'],
  ])
})

describe('a confirmation', () => {
  const config = { ENVIRONMENT: 'staging', PROTECTED: false } as Config
  const check = (request: object, of: Partial<Config> = {}) =>
    checkConfirmation(parseRequest(request), { ...config, ...of })
  const backupId = '2026-11-22T19-05-33Z-3f9a2c'
  const taking: object[] = [
    { operation: 'reset', strategy: 'full' },
    { operation: 'restore', backupId },
    { operation: 'delete', backupId },
  ]
  const looking: object[] = [
    { operation: 'backup' },
    { operation: 'verify', backupId },
    { operation: 'reset', strategy: 'full', dryRun: true },
    { operation: 'restore', backupId, dryRun: true },
  ]

  it('is needed by whatever takes something away, and by a claim, and must be right wherever it is given', () => {
    for (const request of [...taking, { operation: 'claim' }]) {
      expect(() => check(request), JSON.stringify(request)).toThrow(
        /^confirm is missing, but this is .*"staging"/,
      )
      expect(() => check({ ...request, confirm: 'stagin' })).toThrow(/^confirm is "stagin", but this is/)
      expect(() => check({ ...request, confirm: 'staging' })).not.toThrow()
    }
    for (const request of looking) {
      expect(() => check(request), JSON.stringify(request)).not.toThrow()
      expect(() => check({ ...request, confirm: 'production' })).toThrow(/^confirm is "production"/)
    }
    expect(() => check({ operation: 'delete', backupId })).toThrow(
      `to delete the backup ${backupId}, say "confirm": "staging"`,
    )
    expect(() => check({ operation: 'claim' })).toThrow('to claim it, say "confirm": "staging"')
  })

  it('does not help in a protected environment, which may be looked at, backed up and claimed', () => {
    const isProtected = { PROTECTED: true }
    for (const request of taking)
      expect(() => check({ ...request, confirm: 'staging' }, isProtected)).toThrow('"staging" is protected')
    for (const request of [...looking, { operation: 'claim' }])
      expect(() => check({ ...request, confirm: 'staging' }, isProtected)).not.toThrow()
  })
})

it('a schedule that is delivered twice is one run, and two schedules of the same time are not', () => {
  const keyOf = (request: object) => idempotencyKeyOf(parseRequest(request))
  const scheduledTime = '2026-11-23T03:00:00Z'
  expect(keyOf({ operation: 'backup' })).toBeUndefined()
  expect(keyOf({ operation: 'backup', scheduledTime })).toBe(`schedule ${scheduledTime} backup full`)
  expect(keyOf({ operation: 'reset', strategy: 'cache-only', scheduledTime })).toBe(
    `schedule ${scheduledTime} reset cache-only`,
  )
  expect(keyOf({ operation: 'claim', scheduledTime })).toBe(`schedule ${scheduledTime} claim`)
  expect(keyOf({ operation: 'backup', scheduledTime, idempotencyKey: 'own' })).toBe('own')
})

it('a step that the plan does not have is refused by name', () => {
  const plan = {
    ...{ runId: 'r', attempt: 2, tried: 't', backupId: null, files: null, restore: null },
  } as Plan
  expect(() => sealedAs(plan)).toThrow('Run r was told to take no backup')
  expect(() => filesOf(plan)).toThrow('Run r does not act on the files')
  expect(() => restoredFilesOf(plan)).toThrow('Run r restores no files')
  expect(() => restoredFilesOf({ ...plan, restore: { files: null } } as Plan)).toThrow(
    'Run r restores no files',
  )
  const listed = { lists: 3, listsPerBatch: 4 }
  const whole = {
    ...plan,
    backupId: 'b',
    files: listed,
    restore: { files: { lists: 5, listsPerBatch: 6 } },
  } as Plan
  const run = { runId: 'r', attempt: 2, tried: 't' }
  expect([sealedAs(whole), filesOf(whole), restoredFilesOf(whole)]).toEqual([
    ...['b', { run, ...listed }, { run, lists: 5, listsPerBatch: 6 }],
  ])
})

it('an environment is unclaimed when a store that can be asked lacks its name', () => {
  const store = (mark: string | null) => ({ available: true, mark })
  const about = (database: object, files: object, cache: object) =>
    isUnclaimed({ environment: 'local', database, files, cache } as unknown as ResetOptions)
  const [own, other, none] = [store('local'), store('other'), store(null)]
  expect(about(own, own, own)).toBe(false)
  for (const mark of [other, none])
    for (const at of [0, 1, 2])
      expect(about(...([own, own, own].with(at, mark) as [object, object, object]))).toBe(true)
  expect(about(down, own, own)).toBe(false)
})

describe('the end of an execution', () => {
  const told = { executionArn: 'arn:x', name: 'r' }

  it('is told with the error and the reason that it gave, or that nobody gave one', () => {
    expect(failureOfEnded({ ...told, status: 'FAILED', error: 'Own', cause: 'why' })).toEqual({
      Error: 'Own',
      Cause: expect.stringMatching(
        /^The execution arn:x failed before it could finish the run: why\. What was done/,
      ),
    })
    for (const [status, name, ended] of [
      ['FAILED', 'ExecutionFailed', 'failed'],
      ['TIMED_OUT', 'ExecutionTimedOut', 'took too long'],
      ['ABORTED', 'ExecutionAborted', 'was stopped'],
    ] as const)
      expect(failureOfEnded({ ...told, status, error: '', cause: null })).toEqual({
        Error: name,
        Cause: expect.stringContaining(
          `arn:x ${ended} before it could finish the run: nobody gave a reason.`,
        ),
      })
  })
})

describe('the span of an invocation', () => {
  it('ends before the deadline, by a tenth of what there is and by ten seconds at most', () => {
    let left = 1_000
    const span = spanOf('Copy files', () => left)
    span.check()
    expect(span.remaining).toBe(1_000)
    left = 101
    span.check()
    left = 100
    expect(() => span.check()).toThrow(/^The step "Copy files" has used up the 1 seconds of its invocation/)
    expect(span.signal.aborted).toBe(true)
    left = 1_000
    expect(() => span.check()).toThrow('has used up') // once it is over it stays so
    let long = 900_000
    const other = spanOf('Seal', () => long)
    long = 10_001
    other.check()
    long = 10_000
    expect(() => other.check()).toThrow('the 900 seconds')
    other.end()
    // A process that is not asked hears of it by its timer, as long before.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const silent = spanOf('Seal', () => 60_000)
      vi.advanceTimersByTime(53_999)
      expect(silent.signal.aborted).toBe(false)
      vi.advanceTimersByTime(1)
      expect(silent.signal.reason).toMatchObject({ name: 'OutOfTime' })
    } finally {
      vi.useRealTimers()
    }
  })

  it('ends with the invocation, after which nothing of it goes on', () => {
    const span = spanOf('Seal', () => 60_000)
    span.end()
    expect(() => span.check()).toThrow('The invocation of the step "Seal" has ended')
    expect(span.signal.aborted).toBe(true)
  })
})

it('requests that are sent at the same time share an answer of the ledger, for a moment, and a refusal', async () => {
  let asked = 0
  let isLost = false
  const fence = {
    check: async () => {
      asked++
      if (isLost) throw new Error('lost')
    },
  } as Fence
  const check = sharedCheck(fence)
  vi.useFakeTimers({ toFake: ['performance'] })
  try {
    await Promise.all([check(), check(), check()])
    vi.advanceTimersByTime(100)
    await check()
    expect(asked).toBe(1)
    isLost = true
    vi.advanceTimersByTime(1)
    await expect(Promise.all([check(), check()])).rejects.toThrow('lost')
    expect(asked).toBe(2)
    await expect(check()).rejects.toThrow('lost')
  } finally {
    vi.useRealTimers()
  }
})

it('what a library threw is told by its message, and of a statement only by its cause', () => {
  expect(messageOf(new BackupDamaged('it is damaged'))).toBe('it is damaged')
  const query = Object.assign(new Error('Failed query: insert secret'), {
    ...{ query: 'insert', params: ['secret'], cause: new Error('connection lost') },
  })
  expect(messageOf(query)).toBe('connection lost')
  expect([messageOf('text'), messageOf(undefined), messageOf({ message: 7 })]).toEqual([
    ...['text', 'undefined', '[object Object]'],
  ])
})
