import { describe, expect, test } from 'vitest'
import { agreeing, bytes, counted, utc } from '../../lib/amounts.ts'
import type { Outcome } from '../../lib/run/outcome.ts'
import { subjectSentence, subjectStates } from '../../lib/run/subject-state.ts'
import { nextStepsOf } from '../../lib/run/words/next-steps.ts'
import { amountOf, stateWords } from '../../lib/run/words/outcome.ts'
import { wouldBackUp } from '../../lib/run/words/would-words.ts'
import { type TargetState, targetStates } from '../../lib/store.ts'
import { visible, visibleName } from '../../lib/visible.ts'
import { asFlags } from '../../local/cli/as-flags.ts'
import { textOfPrune } from '../../local/cli/commands/prune.ts'
import { helpOf } from '../../local/cli/help.ts'
import { stepsOf } from '../../local/cli/run/steps.ts'
import { showOptions } from '../../local/cli/show/options.ts'
import { documentOf, showOutcome } from '../../local/cli/show/outcome.ts'

const states = (database: TargetState, files: TargetState, cache: TargetState): Outcome['targets'] => ({
  database: { state: database, rows: 1, tables: { 'public.users': 1 } },
  files: { state: files, objects: 1, bytes: 1 },
  cache: { state: cache, keys: 1 },
})
const outcome: Outcome = {
  ...{ runId: 'r', operation: 'reset', strategy: 'full', status: 'succeeded', backupId: 'b', error: null },
  ...{ backupPrefix: 's3://bucket/b/', targets: states('wiped', 'wiped', 'wiped'), warnings: [] },
  ...{ startedAt: '2026-11-22T19:05:33.120Z', finishedAt: '2026-11-22T19:05:35.620Z' },
}
const error = { name: 'StoreUnavailable', message: 'S3 is away' }
const failed = (targets: Outcome['targets'], more: Partial<Outcome> = {}): Outcome => ({
  ...{ ...outcome, status: 'failed', error, targets },
  ...more,
})
const around = { plan: null, environment: 'staging' }

describe('numbers and times', () => {
  test('one is not told as many, and many are grouped', () => {
    expect([0, 1, 2, 1234567].map((count) => counted(count, 'row'))).toEqual([
      ...['0 rows', '1 row', '2 rows', '1,234,567 rows'],
    ])
    expect(
      [1, 2].map((count) => `${counted(count, 'pass', 'passes')} ${agreeing(count, 'is', 'are')}`),
    ).toEqual([...['1 pass is', '2 passes are']])
  })

  test('bytes are told in the unit that they fill', () => {
    expect([0, 1, 1023, 1024, 1.5 * 2 ** 20, 2 ** 30 - 1, 2 ** 50].map(bytes)).toEqual([
      ...['0 B', '1 B', '1023 B', '1.0 KiB', '1.5 MiB', '1024.0 MiB', '1024.0 TiB'],
    ])
  })

  test('what a terminal would obey is shown as its escape, and a line end only where it is not the name itself', () => {
    const obeyed = [
      '\u0000',
      '\u001b',
      '\u007f',
      '\u009b',
      '\u00ad',
      '\u200b',
      '\u200f',
      '\u2028',
      '\u202e',
      '\u2066',
    ]
    for (const one of [...obeyed, '\u061c', '\u115f', '\u180e', '\ufeff', '\ufff9', '\ud800', '\r'])
      expect(visible(`a${one}b`)).toBe(`a\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}b`)
    expect(visible('a\u{e0041}b')).toBe('a\\udb40\\udc41b')
    const harmless = 'añb\u{1F600}\u2019\u05d0\n\tc'
    expect(visible(harmless)).toBe(harmless)
    expect(visibleName('a\n\tb\u202e')).toBe('a\\u000a\\u0009b\\u202e')
  })

  test('a time has its zone, which is that of the ids, wherever it was written', () => {
    expect(utc('2026-11-22T21:05:33.999+02:00')).toBe('2026-11-22 19:05:33 UTC')
    expect(utc(new Date('2026-11-22T19:05:33Z'))).toBe('2026-11-22 19:05:33 UTC')
    expect(utc('soon')).toBe('soon')
  })
})

describe('what remains to be done', () => {
  const says = (one: Outcome) => nextStepsOf(one).map(({ says, restore }) => [says, restore])

  test('after a reset is only to know how to put back what went, or that nothing can', () => {
    expect(says(outcome)).toEqual([['To put back what was wiped:', 'b']])
    expect(says({ ...outcome, backupId: null })).toEqual([
      ['No backup was taken: what was wiped cannot come back.', null],
    ])
    expect(says({ ...outcome, dryRun: true })).toEqual([])
  })

  test('after a failure depends on whether anything was changed', () => {
    const backedUp = states('backed_up', 'backed_up', 'untouched')
    const again = 'Nothing was wiped or replaced. Remove the cause, and start the reset again.'
    expect(says(failed(backedUp))).toEqual([[again, null]])
    for (const state of targetStates.filter((one) => !['untouched', 'backed_up'].includes(one))) {
      const [first, second] = says(failed(states('untouched', state, 'untouched')))
      expect(first?.[0]).toBe(
        `The reset is not finished: database untouched, files ${stateWords[state]}, cache untouched. Remove the cause, and start it again; what it wiped already stays wiped until then.`,
      )
      expect(second).toEqual(['To put back what was wiped:', 'b'])
    }
  })

  test('after a run that was called off is nothing: it says itself that nothing was changed', () => {
    const called = { error: { name: 'Cancelled', message: 'Cancelled by cli root' } }
    for (const operation of ['backup', 'reset', 'restore']) {
      const backedUp = states('untouched', 'untouched', 'untouched')
      expect(says(failed(backedUp, { ...called, operation }))).toEqual([])
    }
  })

  test('after a restore is to go back, and after a failed one to start it again', () => {
    const restore = { operation: 'restore', strategy: null, restoredBackupId: 'a' }
    const done = { ...outcome, ...restore, targets: states('restored', 'untouched', 'untouched') }
    expect(says(done)).toEqual([['To go back to what was there before the restore:', 'b']])
    expect(says({ ...done, targets: states('restored', 'restored', 'untouched') })[0]?.[0]).toBe(
      'To go back to what was there before the restore, but for files and cache keys that only this restore brought:',
    )
    const to = { operation: 'reset-to', strategy: 'full', to: { name: 'baseline', backupId: 'a' } }
    expect(says({ ...done, ...to })).toEqual([['To go back to what was there before the reset:', 'b']])
    expect(says(failed(states('restored', 'partly_restored', 'backed_up'), to))[0]?.[0]).toMatch(
      /^The reset is not finished: .* start the same reset again: twice is the same as once\.$/,
    )
    expect(showOutcome({ ...done, ...to }, around)).toMatch(/^Run \S+ \(reset full to baseline\) succeeded/)
    const [first, second] = says(failed(states('restored', 'partly_restored', 'backed_up'), restore))
    expect(first?.[0]).toMatch(
      /^The restore is not finished: database restored, files partly restored, cache backed up\. .*twice is the same as once\.$/,
    )
    expect(second?.[1]).toBe('b')
  })
})

test('the exit codes of a command are cut to what is true of each, and told whole by --help alone', () => {
  expect(helpOf('reset')).toContain(
    'Exit codes: 0 succeeded · 1 the run failed · 2 the request or the configuration is wrong · 3 refused by a guard · 4 another run is active · 130 Ctrl-C\n',
  )
  expect(helpOf()).toMatch(
    / 130 +Ctrl-C: the run was cancelled, or goes on, or was stopped with this process; /,
  )
  expect(helpOf()).toMatch(/ 3 +refused by a guard, or would be; /)
})

test('what a message advises to say is told as the command line says it', () => {
  const told: [string, string][] = [
    [
      'claim it: {"operation":"claim","confirm":"staging"}',
      'claim it: npm run -s cli -- claim --confirm staging',
    ],
    ['to reset it, say "confirm": "staging"', 'to reset it, say --confirm staging'],
    ['say "allowForeign": true', 'say --allow-foreign'],
    ['say "allowUnsigned": true', 'say --allow-unsigned'],
    ['were left; "exact": true removes them', 'were left; --exact removes them'],
    ['say "without": ["public.a","public.b"]', 'say --without public.a --without public.b'],
    [`say "without": ["public.it's, two words"]`, `say --without 'public.it'\\''s, two words'`],
    ['say "targets": ["database", "cache"]', 'say --target database --target cache'],
    ['"without" leaves out', '--without leaves out'],
    [`say "without": ["two words"]`, `say --without 'two words'`],
    ['the table "without_name" stays', 'the table "without_name" stays'],
  ]
  for (const [message, wanted] of told) expect(asFlags(message)).toBe(wanted)
})

test.each([
  'A right request: {"operation":"reset","strategy":"full","confirm":"staging"}',
  'A right one: {"operation":"verify","backupId":"b","rehearse":true}',
  'say "rehearse": "auto"',
  `Unexpected token 'x', "{"without": [x]}" is not valid JSON`,
  `Unexpected token 'x', ..."exact": [x],"confir"... is not valid JSON`,
  'a table of the name "confirm": "a\\x"',
])('%s is no advice that the command line says otherwise, and stays as it is', (message) => {
  expect(asFlags(message)).toBe(message)
})

describe('the end of a run', () => {
  test('is told with its time, its states in words, and the command that puts back what went', () => {
    expect(
      showOutcome(outcome, around),
    ).toBe(`Run r (reset full) succeeded after 2.50 s, at 2026-11-22 19:05:35 UTC.

  database  wiped  1 row in 1 table
  files     wiped  1 file, 1 B
  cache     wiped  1 key

Backup: s3://bucket/b/

To put back what was wiped:

  npm run -s cli -- restore b --confirm staging
`)
    const deleted = showOutcome(outcome, { ...around, isDeleted: true })
    expect(deleted).toContain('\nBackup: s3://bucket/b/ (deleted since)\n')
    expect(deleted).toContain('The backup b was deleted since: it cannot put anything back any more.')
    expect(deleted).not.toContain('restore b')
    // A stack that ends now takes its backups with it.
    expect(showOutcome(outcome, { ...around, isGone: true })).not.toContain('restore b')
  })

  test('holds no state as the JSON has it, and no amount of what was left alone or is not known', () => {
    for (const state of targetStates) {
      const text = showOutcome(failed(states(state, state, state)), around)
      expect(text).not.toMatch(/\w_\w/)
      const amounts = [
        state === 'untouched' || state === 'unknown',
        amountOf(failed(states(state, state, state)), 'files') === '',
      ]
      expect(amounts[0]).toBe(amounts[1])
    }
    expect(amountOf(failed(states('untouched', 'partly_wiped', 'untouched')), 'files')).toBe(
      'known to be gone: 1 file, 1 B',
    )
    const long = {
      ...outcome,
      targets: { ...outcome.targets, database: { state: 'wiped' as const, rows: 9, tables: {} } },
    }
    expect(amountOf(long, 'database')).toBe('9 rows') // and not "in 0 tables"
    const takenOver = { backupId: 'a', rows: 1_490_000, exported: 10_000, bytes: 7 }
    const wiped = { state: 'wiped' as const, rows: 9, tables: { 'public.users': 9 }, takenOver }
    const partly = { ...outcome, targets: { ...outcome.targets, database: wiped } }
    expect(amountOf(partly, 'database')).toBe(
      "9 rows in 1 table; the run's backup took over 1,490,000 rows of a, and 10,000 were exported",
    )
  })

  test('of a restore tells the backup that was put back, or was to be, from the one that it wrote', () => {
    const restore = { operation: 'restore', strategy: null, restoredBackupId: 'a' }
    expect(showOutcome({ ...outcome, ...restore }, around)).toContain(
      '\nPut back: a\n\nSafety backup: s3://bucket/b/\n',
    )
    const text = showOutcome(failed(states('untouched', 'untouched', 'untouched'), restore), around)
    expect(text).toContain('\nWas to be put back: a\n')
    expect(text).not.toContain('Put back')
  })

  test('is that of a cancelled or an abandoned one by these words', () => {
    const ended = failed(states('untouched', 'untouched', 'untouched'))
    expect(showOutcome(ended, { ...around, status: 'cancelled' })).toMatch(
      /^Run r \(reset full\) cancelled after /,
    )
    expect(showOutcome(ended, { ...around, status: 'abandoned' })).toMatch(
      /^Run r \(reset full\) abandoned after /,
    )
  })

  test('that never began says that nothing was touched, but for a claim, which writes before it has its row', () => {
    const ended = failed(states('untouched', 'untouched', 'untouched'), { backupPrefix: null })
    const text = (operation: string) => showOutcome({ ...ended, operation }, { ...around, didNotBegin: true })
    expect(text('reset')).toBe(
      'Reset full did not begin; nothing was touched.\n\nStoreUnavailable: S3 is away\n',
    )
    expect(text('claim')).toMatch(
      /^Claim failed; some of the stores may carry the environment's name by now\. /,
    )
    expect(text('claim')).not.toContain('nothing')
  })

  test('of a verify or a delete names the backup and what was found', () => {
    const subject = { backupId: 'x', objects: 2, bytes: 2048 }
    const told = subjectStates.map((state) => subjectSentence({ ...subject, state }))
    expect(told).toEqual([
      'The backup x was read, 2 objects, 2.0 KiB: every object is what was written.',
      'The backup x was read, 2 objects, 2.0 KiB: every object is what was written, and every row was loaded and is the one that was backed up.',
      'The backup x was compared with what is there now.',
      'The backup x is damaged: 2 objects, 2.0 KiB were read, and not all of it is what was written.',
      'The backup x is deleted: 2 objects, 2.0 KiB.',
      'The backup x is no backup any more; what is left of its objects is deleted by the next prune.',
      'The backup x is kept as it was.',
      'What the backup x is worth could not be told.',
    ])
  })

  test('of a diff is a table of what is not as it was, and of what a restore would do about it', () => {
    const table = { before: 9, now: 8, extra: 0, missing: 1, changed: 0 }
    const difference: Outcome['difference'] = {
      database: {
        equal: 2,
        tables: [
          { name: 'public.a', ...table },
          { name: 'public.b', ...table, extra: 2, changed: 3 },
          { name: 'public.c', ...table, extra: 1, changed: null },
          { name: 'public.d', ...table, now: null },
          { name: 'public.e', ...table, before: null },
          { name: 'public.f', ...table, obstacle: 'its column x is no longer there' },
        ],
        sequences: [
          {
            name: 'public.s',
            before: { lastValue: '4', isCalled: true },
            now: { lastValue: '7', isCalled: true },
          },
        ],
      },
      files: { before: 4, now: 4, extra: 1, missing: 1, changed: 0, bytes: 2048 },
      cache: { before: 1, now: 3, extra: 2, missing: 0, changed: 0, expired: 0, uncompared: 1 },
    }
    const diff = { ...outcome, operation: 'diff', strategy: null, backupPrefix: null }
    expect(
      showOutcome({ ...diff, difference }, around)
        .split('\n\n')[1]
        ?.split('\n'),
    ).toEqual([
      '                     in the backup  now      a restore',
      '  public.a           9 rows         8 rows   would bring back 1 row',
      '  public.b           9 rows         8 rows   would bring back 1 row, change back 3 rows and remove 2 rows',
      '  public.c           9 rows         8 rows   would bring back 1 row and remove 1 row (no primary key is known: a changed row is removed and brought back)',
      '  public.d           9 rows         none     would be refused: create it, or leave it out',
      '  public.e           none           8 rows   would leave it',
      '  public.f           9 rows                  not compared: its column x is no longer there',
      '  sequence public.s  4              7        would set it back',
      '  files              4 files        4 files  would bring back 1 file and leave 1 file that the backup has not (copies 2.0 KiB)',
      '  cache              1 key          3 keys   would leave 2 keys that the backup has not and write 1 key that could not be compared',
      '',
    ])
    const none = { database: { equal: 3, tables: [], sequences: [] }, files: null, cache: null }
    expect(showOutcome({ ...diff, difference: none }, around)).toContain(
      '\nAll that the backup holds is there as it was.\n',
    )
  })

  test('of keys that changed says that another time to live is such a change: a reset gives them the one that they had', () => {
    const changed = { before: 50, now: 50, extra: 0, missing: 0, changed: 50, expired: 0, uncompared: 0 }
    const difference = { database: null, files: null, cache: changed }
    const diff = { ...outcome, operation: 'diff', strategy: null, backupPrefix: null, difference }
    expect(showOutcome(diff, around)).toContain(
      'would change back 50 keys (another time to live counts as a change)\n',
    )
  })

  test('of a dry run that finds nothing to change is about what would be put back, not about all that the backup holds', () => {
    const difference = {
      database: { equal: 1, tables: [], sequences: [] },
      files: null,
      cache: null,
    }
    const restore = { ...outcome, operation: 'restore', dryRun: true as const, difference }
    const text = showOutcome(restore, around)
    expect(text).toContain('\nAll that would be put back is there as it was.\n')
    expect(text).not.toContain('the backup holds')
  })

  test('with warnings says so, and tells each as the command line says what it advises', () => {
    const warnings = [{ code: 'FilesNotInBackup', message: 'were left; "exact": true removes them' }]
    const text = showOutcome({ ...outcome, status: 'succeeded_with_warnings', warnings }, around)
    expect(text).toMatch(/^Run r \(reset full\) succeeded, with warnings, after 2\.50 s, at /)
    expect(text).toContain('\nWarning FilesNotInBackup: were left; --exact removes them\n')
  })

  test('of a verify, a diff or a delete has no table of stores, and of a repeat says that it is the first', () => {
    for (const operation of ['claim', 'verify', 'diff', 'delete'])
      expect(showOutcome({ ...outcome, operation }, around)).not.toContain('database')
    expect(showOutcome(outcome, { ...around, repeats: 'r' })).toMatch(/^The same request was sent before; /)
  })

  test('of a dry run is what the run would do, and would not touch; when it would be refused, that comes first', () => {
    const tables = [{ name: 'public.users', action: 'truncate', rows: 3, keptRows: 0 }]
    const plan = {
      ...{ dryRun: true, clears: ['database', 'files'], warnings: [], database: { tables } },
      ...{ files: { objects: 1, bytes: 1, batches: 1 }, cache: null, restore: null },
    }
    const dry = { ...outcome, dryRun: true as const, targets: states('untouched', 'untouched', 'untouched') }
    expect(
      showOutcome(dry, { ...around, plan }),
    ).toBe(`The dry run r (reset full) took 2.50 s; nothing was wiped, replaced or backed up.

With this request, the reset would do this:

  public.users  3 rows       would be wiped
  files         1 file, 1 B  would be wiped

It would not touch: cache.

First a backup of what is there now would be written, and read back byte for byte, but not loaded; without it nothing would be wiped. S3 would copy the files, and each copy would be found again, with its size and ETag.
`)
    const refusal = { name: 'BackupUnsigned', message: 'say "allowUnsigned": true' }
    const refused = showOutcome({ ...dry, status: 'failed', error: refusal }, { ...around, plan })
    expect(refused).toMatch(
      /^reset full would be refused: BackupUnsigned: say --allow-unsigned\n\nThe dry run r \(reset full\) took /,
    )
    expect(refused).toContain('the reset would do this if it were not refused:')
    expect(documentOf({ ...dry, error: refusal }, plan)).toMatchObject({ dryRun: true, wouldDo: { refusal } })
    expect(documentOf(dry, null)).toEqual({ ...dry, plan: null, wouldDo: null })
    expect(documentOf(outcome, { ...plan, dryRun: false })).toBe(outcome)
  })

  test('of a dry run that could not tell says so, and not that it would be refused', () => {
    const text = showOutcome(
      failed(states('untouched', 'untouched', 'untouched'), { dryRun: true, refusal: null }),
      around,
    )
    expect(text).toBe(
      'The dry run r (reset full) failed, so whether the reset would be refused is not known. StoreUnavailable: S3 is away\n',
    )
  })
})

test('a dry run promises no more of the backup than would be done', () => {
  const would = {
    refusal: null,
    hooks: false,
    files: null,
    cache: { keys: 1, preservedKeys: 0 },
    restores: null,
  }
  const database = { tables: [] }
  const all = { ...would, database, backsUp: true, rehearses: true }
  expect(wouldBackUp(all, 'reset')).toContain(
    'loaded into a scratch schema, and compared row by row, but for what an earlier one proved lately; without it nothing would be wiped.',
  )
  expect(wouldBackUp({ ...all, rehearses: false }, 'reset')).toContain(
    'read back byte for byte, but not loaded;',
  )
  expect(wouldBackUp({ ...all, database: null }, 'restore')).toBe(
    'First a backup of what is there now would be written, and read back byte for byte; without it nothing would be replaced.',
  )
  expect(wouldBackUp({ ...all, backsUp: false }, 'reset')).toMatch(/^NO BACKUP /)

  // Files are copied by S3: nobody reads them back.
  const files = { objects: 1, bytes: 1, preservedObjects: 0, preservedBytes: 0 }
  const copied = ' S3 would copy the files, and each copy would be found again, with its size and ETag.'
  expect(wouldBackUp({ ...all, files }, 'reset')).toBe(wouldBackUp(all, 'reset') + copied)
  const filesOnly = { ...all, database: null, cache: null, files, rehearses: false }
  expect(wouldBackUp(filesOnly, 'reset')).toBe(
    `First a backup of what is there now would be taken; without it nothing would be wiped.${copied}`,
  )
  expect(wouldBackUp(filesOnly, 'backup')).toBe(`The backup would be taken.${copied}`)
})

test('options calls an environment unclaimed only when a store lacks its name, not when one cannot be asked', () => {
  const down = { available: false as const, reason: { name: 'DatabaseBusy', message: 'It is locked' } }
  const held = { available: true as const, mark: 'local', unmatched: [], approximate: false }
  const files = {
    ...{ ...held, bucket: 'b', prefix: 'p/' },
    ...{ objects: 1, bytes: 1, preservedObjects: 0, preservedBytes: 0 },
  }
  const cache = { ...held, prefix: '*', keys: 1, preservedKeys: 0 }
  const about = { environment: 'local', protected: false, strategies: [], database: down, files, cache }
  expect(showOptions({ ...about, claimed: false })).toContain(
    'Environment "local": not known whether claimed, because not all stores can be asked; not protected.',
  )
  expect(showOptions({ ...about, claimed: false, cache: { ...cache, mark: null } })).toContain(
    'not claimed: runs',
  )
})

describe('prune', () => {
  const deleted = { objects: 3, bytes: 10, failures: 0, failed: [] }
  const backup = { sealedAt: '', strategy: 'full', deleted: null }
  const result = {
    ...{ dryRun: true, policy: {}, refused: null, left: [] },
    leftovers: [{ backupId: 'half', deleted }],
    backups: [
      { ...backup, backupId: 'new', keep: true, reasons: ['the newest full backup'] },
      { ...backup, backupId: 'old', keep: false, reasons: ['not among the last 1 (full)'], deleted },
    ],
  }

  test('says that something would go, how to let it go, and nothing of that when nothing would', () => {
    expect(textOfPrune(result)).toBe(`backup  strategy            size             why
new     full      stays                      the newest full backup
old     full      would go  3 objects, 10 B  not among the last 1 (full)
half              would go  3 objects, 10 B  what an earlier prune began to delete
Nothing was deleted. To delete what would go: npm run -s cli -- prune --delete
`)
    const nothing = { ...result, leftovers: [], backups: result.backups.slice(0, 1) }
    expect(textOfPrune(nothing)).toContain('\nThere is nothing to delete.\n')
    const left = [{ backupId: 'theirs', reason: 'of another environment' }]
    const others = textOfPrune({ ...nothing, left, leftovers: result.leftovers })
    expect(others).toMatch(/^theirs +stays +of another environment\n/m)
    expect(others).toContain('To delete what would go: ')
    expect(textOfPrune({ ...result, dryRun: false })).not.toContain('nothing to delete')
  })

  test('that is refused says of nothing that it is gone, and does not advise what would not help', () => {
    const refused = { ...result, dryRun: false, refused: 'the latest run failed' }
    expect(textOfPrune(refused)).not.toContain('gone')
    expect(textOfPrune(refused)).toContain('\nNothing was deleted: the latest run failed.\n')
    expect(textOfPrune({ ...refused, dryRun: true })).toContain(
      '\nNothing would be deleted: the latest run failed.\n',
    )
    expect(textOfPrune({ ...refused, dryRun: true })).not.toContain('--delete')
  })

  test('that could not delete everything says so', () => {
    const partly = [{ backupId: 'half', deleted: { ...deleted, failures: 1, failed: [] } }]
    const text = textOfPrune({ ...result, dryRun: false, leftovers: partly })
    expect(text).toMatch(/old +full +gone /)
    expect(text).toMatch(/half +partly gone /)
    expect(text).toContain('\n1 object could not be deleted; prune again.\n')
    const backups = result.backups.map((one) => ({
      ...one,
      deleted: { ...deleted, failures: 2, failed: [] },
    }))
    expect(textOfPrune({ ...result, dryRun: false, backups })).toContain('\n4 objects could not be deleted')
  })
})

describe('the steps of a run', () => {
  const at = (second: number) => new Date(Date.UTC(2026, 10, 22, 19, 5, second))
  const entered = (id: number, name: string) => ({
    id,
    type: 'TaskStateEntered' as const,
    timestamp: at(id),
    stateEnteredEventDetails: { name },
  })
  const exited = (id: number, name: string) => ({
    id,
    type: 'TaskStateExited' as const,
    timestamp: at(id),
    previousEventId: id - 1,
    stateExitedEventDetails: { name },
  })
  const failing = [entered(1, 'Finish failed'), exited(2, 'Finish failed')]
  const end = (type: 'ExecutionFailed' | 'ExecutionSucceeded') => ({ id: 3, type, timestamp: at(3) })
  const told = (events: Parameters<typeof stepsOf>[0]) =>
    stepsOf(events, {}).map(({ name, state }) => [name, state])

  test('end with a Finish that failed when the run did, although its failure was written down', () => {
    expect(told([...failing, end('ExecutionFailed')])).toEqual([['Finish', 'failed']])
  })

  test('end with a Finish that is done when only the answer of the first was lost', () => {
    expect(told([...failing, end('ExecutionSucceeded')])).toEqual([['Finish', 'done']])
  })

  test('do not say which it is before the run is over', () => {
    expect(told(failing)).toEqual([['Finish', 'running']])
  })
})
