import { describe, expect, it } from 'vitest'
import {
  deleteConsequences,
  exactLabel,
  restoreLabel,
  consequencesOf as restoring,
} from '../../console/backups/consequences-of-restore.ts'
import { missingOf } from '../../console/backups/needed-scopes.ts'
import { holdsOf } from '../../console/backups/parts.ts'
import { isProvedEarlier, originOf, proofOf } from '../../console/backups/proof.ts'
import { keptSentence, whyOf } from '../../console/backups/why.ts'
import { ago, clock, duration, listed, number } from '../../console/numbers.ts'
import { consequencesOf, resetLabel, staysWith } from '../../console/overview/consequences.ts'
import { obstaclesTo, reasonsOf } from '../../console/overview/obstacles.ts'
import { contentsOf, wipedBy } from '../../console/overview/shares.ts'
import { colourOf } from '../../console/page/icon.ts'
import { sentence } from '../../console/page/sentence.ts'
import { backupAddress, routeOf, runAddress } from '../../console/route.ts'
import { obstacleToCancelling } from '../../console/runs/obstacle-to-cancel.ts'
import { obstacleToPuttingBack } from '../../console/runs/putting-back.ts'
import { factsOf, tallyOf } from '../../console/runs/step-facts.ts'
import { stagesOf } from '../../console/runs/steps.ts'
import {
  aboutBackup,
  askedBy,
  cancelSentence,
  headlineOf,
  isActive,
  sentenceOf,
  staleSentence,
  statusOf,
  titleOf,
} from '../../console/runs/wording.ts'
import { shareOfTable } from '../../console/stores/share-of-table.ts'
import { bytes } from '../../lib/amounts.ts'
import type { BackupAnswer } from '../../lib/http/answers/backup.ts'
import type { Options } from '../../lib/http/answers/options.ts'
import type { Run } from '../../lib/http/answers/run.ts'
import type { Outcome } from '../../lib/run/outcome.ts'
import { freshnessOf } from '../../lib/run/status/freshness.ts'
import { scopeOf, strategies } from '../../lib/run/strategy.ts'
import { heldBy, storesIn } from '../../lib/run/words/held.ts'
import type { WouldDo } from '../../lib/run/words/would-do.ts'
import { type Target, type TargetState, targetStates, targets } from '../../lib/store.ts'

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
  expiresAt: null,
  name: 'ci',
  scopes: ['read', 'backup', 'reset'],
  environment: 'staging',
  protected: false,
  where: {
    database: 'db.example/app',
    cache: 'cache.example',
    files: 's3://files/',
    backups: 's3://backups/',
  },
  version: '1',
}
const backup: BackupAnswer = {
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
  ...{ labels: [], note: null, run: null, kept: null },
}

type Subject = NonNullable<Outcome['subject']>
const outcomeOf = (state: Outcome['targets']['database']['state'], backupId: string | null): Outcome => ({
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

/** A run that is over: a reset that failed. */
const over: Run = {
  ...{
    runId: 'r',
    operation: 'reset',
    strategy: 'full',
    status: 'failed',
    phase: 'Wipe files',
    attempt: 0,
  },
  ...{
    requestedBy: null,
    dryRun: false,
    backupId: null,
    restoredBackupId: null,
    target: null,
    progress: {},
    plan: null,
  },
  ...{ startedAt: backup.startedAt, heartbeatAt: backup.sealedAt, finishedAt: backup.sealedAt },
  ...{ closingUntil: null, waiting: null, cancellable: false, wouldDo: null, outcome: null, error: null },
  ...{ to: null, steps: null },
}

describe('what a reset says before it is confirmed', () => {
  it('counts only what goes, not what is preserved', () => {
    expect(resetLabel(options, 'full')).toBe('Back up and wipe 12,345 rows, 320 files, 1,024 keys')
    expect(resetLabel(options, 'cache-only')).toBe('Back up and wipe 1,024 keys')
    expect(listed(contentsOf(options))).toBe('12,353 rows, 330 files, 1,024 keys')
  })

  it('names an estimate an estimate', () => {
    const many = { ...options, cache: { ...options.cache, approximate: true } } as Options
    expect(resetLabel(many, 'cache-only')).toBe('Back up and wipe about 1,024 keys')
    expect(resetLabel(many, 'files-only')).toBe('Back up and wipe 320 files')
    const more = { ...options, files: { ...options.files, approximate: true } } as Options
    expect(resetLabel(more, 'files-only')).toBe('Back up and wipe about 320 files')
    expect(staysWith(more, 'files-only')).toContain('about 10 files that are preserved')
    const kept = { ...options, cache: { ...options.cache, preservedKeys: 24, approximate: true } } as Options
    expect(resetLabel(kept, 'cache-only')).toBe('Back up and wipe about 1,000 keys')
    expect(staysWith(kept, 'cache-only')).toContain('about 24 keys that are preserved')
    const tables = database.tables.map((one) => ({ ...one, estimated: one.name === 'public.plans' }))
    const large = { ...options, database: { ...database, tables } }
    expect(resetLabel(large, 'database-only')).toBe('Back up and wipe about 12,345 rows')
    expect(staysWith(large, 'database-only')).toContain('about 3 rows of public.plans')
    expect([options, many, more, large].map((one) => contentsOf(one).estimated)).toEqual([
      ...[false, true, true, true],
    ])
  })

  it('says in which order it goes, how each store is proved, and what becomes of what is written meanwhile', () => {
    expect(consequencesOf(options, 'full')).toEqual([
      'First a backup is taken of the database, the files, and the cache, also of what is preserved, and proved: the rows are read back, loaded into a scratch schema and compared, or only read back where the database is too large for that; the copies that S3 makes of the files are all found again, with the size and ETag it gave them; what is written of the keys is read back. If that fails, nothing is wiped.',
      'Then what is there is wiped from staging: 12,345 rows, 320 files, 1,024 keys. Rows that are written until the tables are locked for it go too; they are added to the backup first. Files that are written meanwhile stay, and are told. Keys that change before they are deleted are added to the backup first; one that is written again later stays.',
      'What stays: 5 rows of public.users, 3 rows of public.plans, and 10 files that are preserved.',
      'It can be cancelled until the wipe begins. After that, a restore of the backup puts back what was wiped.',
    ])
  })

  it('says that nothing stays only where nothing does: a kept table stays when it is empty, too', () => {
    const tables = database.tables.slice(0, 1)
    const [, , none] = consequencesOf({ ...options, database: { ...database, tables } }, 'database-only')
    expect(none).toBe('What stays: all of the files and all of the cache.')
    const bare = { ...options, files: { ...options.files, preservedObjects: 0 } } as Options
    const [, , nothing] = consequencesOf({ ...bare, database: { ...database, tables } }, 'full')
    expect(nothing).toBe(
      'Nothing of these stores stays but the ledger of the runs and the name of the environment.',
    )
    const empty = { ...table, name: 'public.plans', rows: 0, action: 'kept' as const }
    const unmanaged = [{ name: 'public.spatial', reason: 'of an extension' }]
    const kept = staysWith({ ...bare, database: { ...database, tables: [empty], unmanaged } }, 'full')
    expect(kept).toEqual(['0 rows of public.plans', '1 unmanaged table'])
    const [, , one] = consequencesOf({ ...bare, database: { ...database, tables: [empty] } }, 'full')
    expect(one).toBe('What stays: 0 rows of public.plans.')
    const keys = { ...options, cache: { ...options.cache, preservedKeys: 2 } } as Options
    expect(staysWith(keys, 'files-only')).toEqual([
      ...['all of the database', 'all of the cache', '10 files that are preserved'],
    ])
  })

  it('does not count a store that is down as empty', () => {
    expect(wipedBy({ ...options, database: down }, 'full')).toMatchObject({ rows: null, files: 320 })
    const away = { ...options, files: down, cache: down }
    expect(contentsOf(away)).toEqual({ rows: 12_353, files: null, keys: null, estimated: false })
    expect(resetLabel(away, 'full')).toBe(
      'Back up and wipe 12,345 rows, the files (not counted), the cache (not counted)',
    )
    // Down for a moment: the wipe would take its rows all the same.
    const [, goes] = consequencesOf({ ...options, database: down }, 'full')
    expect(goes).toContain('wiped from staging: 320 files, 1,024 keys, the database (not counted). ')
    expect(resetLabel({ ...options, database: down }, 'database-only')).toBe(
      'Back up and wipe the database (not counted)',
    )
  })

  it('counts a table that no plan can be made for as staying', () => {
    const unplanned = { ...table, name: 'public.worlds', rows: 7, action: null }
    expect(shareOfTable(unplanned)).toEqual({ goes: 0, stays: 7, estimated: false })
    const nothing = { ...options, database: { ...database, tables: [unplanned] } }
    expect(wipedBy(nothing, 'database-only').rows).toBe(0)
    expect(staysWith(nothing, 'database-only')).toContain('7 rows of public.worlds')
  })

  it('keeps a number out of a name beside it that is read from the right', () => {
    const kept = { ...table, name: 'public.\u05e9\u05d5\u05dc\u05d7\u05df', rows: 3, action: 'kept' as const }
    const right = { ...options, database: { ...database, tables: [kept] } }
    expect(staysWith(right, 'full')).toContain('3 rows of \u2068public.\u05e9\u05d5\u05dc\u05d7\u05df\u2069')
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

  it('calls a sum of tables that are not all told an estimate, and says so', () => {
    const cut: Options = { ...options, abridged: true }
    expect(resetLabel(cut, 'database-only')).toBe('Back up and wipe about 12,345 rows')
    expect(consequencesOf(cut, 'full').join(' ')).toContain('more tables than one answer holds')
    expect(consequencesOf(cut, 'files-only').join(' ')).not.toContain('tables')
  })

  it('counts one as one', () => {
    const one = { ...options, cache: { ...options.cache, keys: 1, preservedKeys: 1 } } as Options
    expect(staysWith(one, 'cache-only')).toContain('1 key that is preserved')
    expect(resetLabel({ ...one, cache: { ...one.cache, preservedKeys: 0 } } as Options, 'cache-only')).toBe(
      'Back up and wipe 1 key',
    )
  })

  it('speaks of the stores of the strategy, and of no others', () => {
    const words: Record<Target, RegExp> = {
      database: /\brows?\b/i,
      files: /\bfiles?\b/i,
      cache: /\b(keys?|cache)\b/i,
    }
    for (const strategy of strategies) {
      const { clears, preserves } = scopeOf(strategy)
      const said = consequencesOf(options, strategy).filter((sentence) => !sentence.startsWith('What stays'))
      for (const target of clears) expect(said.join(' '), strategy).toMatch(words[target])
      for (const target of preserves) expect(said.join(' '), strategy).not.toMatch(words[target])
    }
    expect(consequencesOf(options, 'cache-only').join(' ')).not.toContain('scratch')
    // Files are copied by S3, and not read back.
    expect(consequencesOf(options, 'files-only').join(' ')).not.toContain('read back')
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
      reset: 'The token "ci" may not do this: it lacks the scope "reset".',
      dryRun: expect.stringContaining('"reset"'),
      backup: null,
    })
  })

  it('is the protection of the environment, for what wipes only', () => {
    const { reset, dryRun, backup } = reason({ protected: true })
    expect(reset).toContain('protected')
    expect([dryRun, backup]).toEqual([null, null])
  })

  it('is a run that is active, or that nobody claimed the environment, for whatever would begin', () => {
    const files = { ...options.files, mark: null } as Options['files']
    for (const found of [reason({}, session.scopes, {} as Run), reason({ files })])
      expect(Object.values(found)).toEqual([expect.any(String), expect.any(String), expect.any(String)])
    expect(reason({}, session.scopes, {} as Run).backup).toContain('Another run is active')
    expect(reason({ files }).dryRun).toContain('is not claimed yet')
  })

  it('is a store that is down, when the operation needs it', () => {
    // Whether it carries the name is not known then: that is not to be claimed.
    expect(reason({ claimed: false, database: down }).backup).toBe('The database cannot be read: It is off')
    expect(reason({ claimed: false, cache: down }).reset).toBeNull()
    const of = (stores: Target[], changed: Partial<Options>) =>
      obstaclesTo(stores, { session, options: { ...options, ...changed }, active: undefined })
    expect(of(['cache'], { cache: down }).reset).toBe('The cache cannot be read: It is off')
    expect(of(['files'], { files: down }).backup).toBe('The files cannot be read: It is off')
    expect(of(['files'], { cache: down })).toEqual({ reset: null, dryRun: null, backup: null })
    // The same reason for all three is told once.
    expect(reasonsOf(of(['cache'], { cache: down }))).toEqual(['The cache cannot be read: It is off'])
    expect(reasonsOf(reason({}, ['read']))).toHaveLength(2)
    expect(
      obstaclesTo([], { ...{ session, active: undefined }, options: { ...options, database: down } }),
    ).toEqual({
      reset: 'The database cannot be read: It is off',
      dryRun: 'The database cannot be read: It is off',
      backup: 'The database cannot be read: It is off',
    })
  })

  it('is a plan that cannot be made, for what wipes only', () => {
    const problem = { name: 'PreservationConflict', message: 'users is kept and references worlds' }
    const { reset, backup } = reason({ database: { ...database, problem } })
    expect([reset, backup]).toEqual([problem.message, null])
    const cacheOnly = {
      session,
      active: undefined,
      options: { ...options, database: { ...database, problem } },
    }
    expect(obstaclesTo(['cache'], cacheOnly).reset).toBeNull()
  })
})

describe('what a restore says before it is confirmed', () => {
  it('offers only the stores that the backup holds, and counts those that are chosen', () => {
    expect(storesIn(heldBy(backup))).toEqual(['database', 'files'])
    expect(restoreLabel(backup, ['database', 'files'])).toBe('Back up, then put back 12,345 rows, 320 files')
    expect(restoreLabel(backup, [])).toBe('Choose what to put back')
  })

  it('says that files that came later stay, unless they are to be removed', () => {
    const about = { environment: 'staging', chosen: ['files' as const], present: undefined }
    expect(restoring(backup, { ...about, exact: false }).join(' ')).toContain('those that are not in it stay')
    expect(restoring(backup, { ...about, exact: true }).join(' ')).toContain('are removed')
  })

  it('says that nothing is preserved, of which moment the rows will be, and backs up what is chosen', () => {
    const about = { environment: 'staging', exact: false, present: contentsOf(options) }
    const rows = restoring(backup, { ...about, chosen: ['database'] })
    expect(rows[0]).toBe(
      'First a safety backup is taken of what is there now (12,353 rows), so this can be undone.',
    )
    const estimated = { ...about.present, estimated: true }
    expect(restoring(backup, { ...about, present: estimated, chosen: ['files', 'database'] })[0]).toContain(
      'now (about 12,353 rows, about 330 files), so',
    )
    expect(rows[1]).toContain(
      'those of 2026-11-22 19:05:33 UTC; they are put into staging in one transaction',
    )
    expect(rows[2]).toContain('also of tables that a reset would keep')
    const unpreserved = restoring(backup, { ...about, chosen: ['database'], preserves: false })
    expect(unpreserved.join(' ')).not.toContain('would keep')
    expect(rows.join(' ')).not.toMatch(/files|keys/)
    expect(rows.at(-1)).toBe('It can be cancelled until rows are replaced.')
    const files = restoring(backup, { ...about, chosen: ['files'] })
    expect(files.join(' ')).not.toContain('rows')
    expect(files.at(-1)).toBe('It can be cancelled until files are replaced.')
    expect(restoring(backup, { ...about, chosen: [] })).toEqual([])
  })

  it('says what is refused to be deleted', () => {
    const [gone, refused] = deleteConsequences(backup)
    expect(gone).toBe(
      'The backup of 2026-11-22 19:05:33 UTC is deleted, with all that it holds: 12,345 rows, 320 files. It cannot be restored afterwards.',
    )
    expect(refused).toContain('of each strategy the newest')
  })

  it('tells a backup that was loaded from one that was only read back', () => {
    expect(proofOf({ ...backup, rehearsedAt: backup.sealedAt, files: null })).toEqual({
      level: 'rehearsed',
      label: 'Rehearsed',
      text: 'Every row was loaded into a scratch schema and found again; the oldest proof is of 2026-11-22 19:06:33 UTC. What was written was read back byte for byte.',
    })
    const text = (lateAttempts: number) =>
      proofOf({ ...backup, rehearsedAt: backup.sealedAt, lateAttempts }).text
    expect([text(0), text(1)]).toEqual([
      expect.not.stringContaining('read back only'),
      expect.stringContaining('Rows that changed after that, until the wipe, were read back only'),
    ])
    const [before, none] = ['2026-11-21T19:06:33Z', null]
    expect(
      [before, backup.sealedAt, none].map((rehearsedAt) => isProvedEarlier({ ...backup, rehearsedAt })),
    ).toEqual([true, false, false])
    expect(proofOf(backup)).toMatchObject({ label: 'Read back', text: expect.stringContaining('not loaded') })
  })

  it('says of files alone that their copies were found, not that anything was read back', () => {
    const { label, text } = proofOf({ ...backup, rows: null, keys: null })
    expect(label).toBe('Copies found')
    expect(text).not.toContain('read back')
    expect(text).toBe(
      "S3's copies of the files were all found, with the size and ETag that it had given them. It holds no rows that could be loaded.",
    )
    expect(proofOf({ ...backup, rows: null, keys: 5, files: null })).toMatchObject({
      label: 'Read back',
      text: 'What was written was read back byte for byte. It holds no rows that could be loaded.',
    })
  })

  it('counts in a part what it holds: rows are only in those of the database', () => {
    const kinds = ['database', 'files', 'cache'] as const
    expect(kinds.map((kind) => holdsOf({ kind, rows: 120 }))).toEqual(['120 rows', '120 files', '120 keys'])
    expect(holdsOf({ kind: 'manifest', rows: null })).toBe('')
  })

  it('offers to remove only what is of the stores that are put back', () => {
    expect(exactLabel(['database', 'files', 'cache'])).toContain('Remove files and cache keys that are not')
    expect(exactLabel(['files'])).toBe('Remove files that are not in the backup')
    expect(exactLabel(['database'])).toBeNull()
  })

  it('says of a backup that nobody known signed why, and what that may mean', () => {
    expect(originOf({ authentic: 'signed' })).toContain('it is what was backed up')
    const imported = { from: '2026-11-22T19-05-33Z-3f9a2c', by: 'cli ada', at: '2026-11-23T10:00:00Z' }
    expect(originOf({ authentic: 'signed', imported })).toMatch(
      /uploaded by cli ada: it is what lay in a folder/,
    )
    expect(originOf({ authentic: 'unsigned' })).toMatch(
      /no signature\. Whoever can write .* may have made or changed it/,
    )
    expect(originOf({ authentic: 'unknown key' })).toMatch(
      /key that is not known here\. Whoever can write .* changed it/,
    )
  })
})

describe('what happened, in plain words', () => {
  it('says of wiped rows whether there is a backup of them', () => {
    expect(sentenceOf(outcomeOf('wiped', 'b'), 'database')).toBe(
      '1 row in 1 table: wiped, and in the backup.',
    )
    expect(sentenceOf(outcomeOf('wiped', null), 'database')).toBe(
      '1 row in 1 table: wiped. There is no backup.',
    )
  })

  it('claims nothing that is not known', () => {
    expect(sentenceOf(outcomeOf('partly_wiped', 'b'), 'database')).toContain('not sure that it ended')
    expect(sentenceOf(outcomeOf('partly_restored', 'b'), 'database')).toContain('not sure that it ended')
  })

  it('says of each state what is gone, what is in the backup, and what to do', () => {
    const said = (state: TargetState, backupId: string | null) =>
      sentenceOf(outcomeOf(state, backupId), 'database')
    expect(targetStates.map((state) => [state, said(state, 'b'), said(state, null)])).toEqual(
      targetStates.map((state) => [state, ...expected[state]]),
    )
  })

  const expected: Record<TargetState, [covered: string, bare: string]> = {
    untouched: ['Nothing was done to it.', 'Nothing was done to it.'],
    backed_up: [
      '1 row in 1 table: in the backup, and not changed.',
      '1 row in 1 table: in the backup, and not changed.',
    ],
    wiped: ['1 row in 1 table: wiped, and in the backup.', '1 row in 1 table: wiped. There is no backup.'],
    partly_wiped: [
      'The wipe began and it is not sure that it ended. Known to be gone: 1 row in 1 table. All of it is in the backup: restore it, or run the reset again.',
      'The wipe began and it is not sure that it ended. Known to be gone: 1 row in 1 table. There is no backup. Run the reset again.',
    ],
    restored: ['1 row in 1 table: put back.', '1 row in 1 table: put back.'],
    partly_restored: [
      'Putting back began and it is not sure that it ended. Known to be back: 1 row in 1 table. Run the restore again; twice is the same as once.',
      'Putting back began and it is not sure that it ended. Known to be back: 1 row in 1 table. Run the restore again; twice is the same as once.',
    ],
    unknown: [
      'Its turn had come, and how far that got could not be read. What it held is in the backup. Look at the counts before you decide.',
      'Its turn had come, and how far that got could not be read. Look at the counts before you decide.',
    ],
  }

  it('tells what the backup took over apart from what was wiped', () => {
    const outcome = outcomeOf('wiped', 'b')
    const takenOver = { backupId: 'a', rows: 7, exported: 2, bytes: 9 }
    const database = { ...outcome.targets.database, takenOver }
    expect(sentenceOf({ ...outcome, targets: { ...outcome.targets, database } }, 'database')).toBe(
      "1 row in 1 table: wiped, and in the backup. The run's backup took over 7 rows of a, and 2 were exported.",
    )
  })

  it('counts of each store what it holds, and no tables where their names were too many to keep', () => {
    const outcome = outcomeOf('wiped', 'b')
    const held = (rows: number) => ({
      ...outcome,
      targets: {
        database: { state: 'wiped' as const, rows, tables: {} },
        files: { state: 'wiped' as const, objects: 2, bytes: 2048 },
        cache: { state: 'wiped' as const, keys: 7 },
      },
    })
    expect(targets.map((target) => sentenceOf(held(9), target))).toEqual([
      '9 rows: wiped, and in the backup.',
      '2 files (2.0 KiB): wiped, and in the backup.',
      '7 keys: wiped, and in the backup.',
    ])
    expect(sentenceOf(held(0), 'database')).toBe('0 rows in 0 tables: wiped, and in the backup.')
  })
})

describe('a run', () => {
  it('is called by its operation, its strategy, and whether it is a dry run', () => {
    const title = (operation: string, strategy: string | null, dryRun = false) =>
      titleOf({ operation, strategy, dryRun })
    expect(title('reset', 'full')).toBe('Reset, full')
    expect(title('backup', 'cache-only', true)).toBe('Dry run of backup, cache-only')
    expect(
      ['restore', 'claim', 'verify', 'diff', 'delete'].map((operation) => title(operation, null)),
    ).toEqual([...['Restore', 'Claim', 'Verification', 'Difference', 'Deletion']])
    expect([askedBy('api:ci'), askedBy(null)]).toEqual(['api:ci', 'not said'])
  })

  it('says in which stage it is, and what its step waits for', () => {
    const running: Run = { ...over, status: 'running', finishedAt: null, phase: 'Copy files' }
    const stages = stagesOf(running)
    const now = new Date(Date.parse(over.startedAt) + 200_000)
    expect(headlineOf(running, stages, now)).toBe(
      'Export database, Copy files, and Export cache: stage 2 of 5. Running for 3 min 20 s.',
    )
    expect(headlineOf({ ...running, waiting: 'waiting for locks; in the way: process 7' }, stages)).toMatch(
      /stage 2 of 5\. Running for .*\. It is waiting for locks; in the way: process 7\. Nothing is changed until it has them\.$/,
    )
    const unknown = { ...running, phase: 'Not a state of ours' }
    expect(headlineOf(unknown, stagesOf(unknown), now)).toBe('Running for 3 min 20 s.')
    expect(headlineOf({ ...running, status: 'starting', phase: null }, [])).toBe('The run is starting.')
  })

  it('that is over says how it ended, how long it took, and of what is not known that it is not', () => {
    const ended = (status: Run['status'], more: Partial<Run> = {}) =>
      headlineOf({ ...over, status, ...more }, [])
    expect(ended('succeeded')).toBe('Succeeded after 1 min 0 s.')
    expect(ended('succeeded_with_warnings')).toBe(
      'Succeeded after 1 min 0 s, with warnings that need a look.',
    )
    expect(ended('cancelled')).toBe('Cancelled after 1 min 0 s, before anything was changed.')
    expect(ended('abandoned', { finishedAt: null })).toBe(
      'It gave no sign of life for too long, and another run took its place. How far it got is not known.',
    )
    expect(ended('failed', { finishedAt: null })).toBe('Failed.')
    expect((['starting', 'running', 'succeeded'] as const).map((status) => isActive({ status }))).toEqual([
      ...[true, true, false],
    ])
  })
})

describe('how a run ended, in one sentence', () => {
  const untouched = { state: 'untouched' as const }
  const ended = (targets: Partial<Record<Target, TargetState>>): Run => ({
    ...over,
    outcome: {
      ...{ runId: 'r', operation: 'reset', strategy: 'full', status: 'failed', backupId: 'b' },
      targets: {
        database: { ...untouched, rows: 0, tables: {}, ...stateOf(targets.database) },
        files: { ...untouched, objects: 0, bytes: 0, ...stateOf(targets.files) },
        cache: { ...untouched, keys: 0, ...stateOf(targets.cache) },
      },
      ...{ backupPrefix: null, warnings: [], error: null },
      ...{ startedAt: over.startedAt, finishedAt: backup.sealedAt },
    },
  })
  const stateOf = (state: TargetState | undefined) => (state === undefined ? {} : { state })

  it('says that nothing was changed only when nothing was', () => {
    expect(headlineOf(ended({}), [])).toBe('Failed after 1 min 0 s. Nothing was wiped or replaced.')
    expect(headlineOf(ended({ database: 'backed_up', files: 'backed_up' }), [])).toContain(
      'Nothing was wiped',
    )
    const changed = targetStates.filter((state) => !['untouched', 'backed_up'].includes(state))
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

describe('a dry run', () => {
  const wouldDo: WouldDo = {
    ...{
      refusal: null,
      backsUp: true,
      rehearses: true,
      hooks: false,
      database: null,
      files: null,
      cache: null,
      restores: null,
    },
  }
  const dry: Run = { ...over, status: 'succeeded', dryRun: true, wouldDo }
  const refusal = { name: 'EnvironmentProtected', message: 'Nothing is wiped in it. Take a backup' }

  it('is marked as one in every list, and never as a run that succeeded', () => {
    for (const status of ['succeeded', 'succeeded_with_warnings', 'failed'] as const)
      expect(statusOf({ ...dry, status })).toMatch(/^dry run: (?!succeeded)/)
    expect(statusOf({ ...dry, wouldDo: { ...wouldDo, refusal } })).toBe('dry run: would be refused')
    expect(statusOf(dry)).toBe('dry run: would run')
    expect(statusOf({ ...dry, status: 'failed', wouldDo: null })).toBe('dry run: failed')
    expect(statusOf({ ...dry, status: 'running' })).toBe('running')
    expect(statusOf({ ...dry, dryRun: false, wouldDo: null, status: 'succeeded_with_warnings' })).toBe(
      'succeeded, with warnings',
    )
  })

  it('says first what would refuse the run, and what to do', () => {
    expect(headlineOf({ ...dry, wouldDo: { ...wouldDo, refusal } }, [])).toBe(
      'The reset would be refused: EnvironmentProtected: Nothing is wiped in it. Take a backup. Nothing was written.',
    )
    const asks = { ...refusal, message: 'Is it yours?' }
    expect(headlineOf({ ...dry, wouldDo: { ...wouldDo, refusal: asks } }, [])).toMatch(
      /: Is it yours\? Nothing was written\.$/,
    )
    expect(headlineOf(dry, [])).toBe('Counted and planned; nothing was written.')
  })

  it('that failed does not say that something was done', () => {
    expect(headlineOf({ ...dry, status: 'failed', wouldDo: null }, [])).toBe(
      'What the reset would do could not be found out. Nothing was written.',
    )
  })
})

describe('a run on one backup', () => {
  const subject = { backupId: backup.backupId, state: 'verified' as const, objects: 12, bytes: 2048 }
  const verify = (state: Subject['state'], status: Run['status']): Run => ({
    ...over,
    ...{ operation: 'verify', strategy: null, status, backupId: backup.backupId },
    outcome: { ...outcomeOf('untouched', null), operation: 'verify', subject: { ...subject, state } },
  })

  it('names the backup, and what was found', () => {
    expect(headlineOf(verify('verified', 'succeeded'), [])).toBe(
      `Succeeded after 1 min 0 s. The backup ${backup.backupId} was read, 12 objects, 2.0 KiB: every object is what was written.`,
    )
    expect(headlineOf(verify('damaged', 'failed'), [])).toMatch(/^Failed .* is damaged/)
    expect(headlineOf({ ...verify('deleted', 'succeeded'), operation: 'delete' }, [])).toContain('is deleted')
    for (const operation of ['verify', 'diff', 'delete'])
      expect(aboutBackup({ ...over, operation, backupId: 'b' })).toEqual({ says: 'of', backupId: 'b' })
    expect(aboutBackup({ ...over, operation: 'restore', restoredBackupId: 'b' })).toMatchObject({
      backupId: 'b',
    })
    expect(aboutBackup({ ...over, operation: 'reset', backupId: 'b' })).toBeNull()
  })
})

describe('what can be done with a backup', () => {
  it('says which scopes a token lacks: to load it, the one that taking it needs', () => {
    const held = { pinned: false, rows: 1 }
    expect(missingOf(held, ['read'])).toEqual(['restore', 'backup', 'delete'])
    expect(missingOf({ pinned: true, rows: null }, ['read', 'delete'])).toEqual(['restore'])
    expect(missingOf({ pinned: false, rows: null }, ['restore', 'delete'])).toEqual(['backup'])
    expect(missingOf(held, ['restore', 'backup', 'delete'])).toEqual([])
    expect(missingOf({ pinned: true, rows: 1 }, ['read', 'restore', 'delete'])).toEqual(['backup'])
  })
})

describe('whether a run can be cancelled', () => {
  const at = (phase: string, operation = 'reset') => ({
    ...{ operation, phase, dryRun: false, waiting: null, cancellable: false },
  })

  it('says what is being changed when it is too late', () => {
    expect(cancelSentence(at('Wipe database'))).toMatch(
      /^Too late to cancel: wiping has begun, and is at the database\./,
    )
    expect(cancelSentence(at('Wipe files'))).toMatch(
      /^Too late to cancel: wiping has begun, and is at the files\./,
    )
    expect(cancelSentence(at('Restore cache', 'restore'))).toMatch(
      /putting back has begun, and is at the cache\./,
    )
    expect(cancelSentence(at('Delete', 'delete'))).toBe('Too late to cancel: the backup is being deleted.')
    expect(cancelSentence(at('Count', 'claim'))).not.toContain('Too late')
  })

  it('never says that it is too late while it waits for locks, or can be cancelled', () => {
    for (const operation of ['backup', 'reset', 'restore', 'verify', 'diff', 'delete']) {
      for (const waiting of [null, 'waiting for locks']) {
        const said = cancelSentence({ ...at('Wipe database', operation), waiting, cancellable: true })
        expect(said).toMatch(/^Possible/)
      }
    }
    for (const changesNothing of [
      at('Verify', 'verify'),
      at('Diff files', 'diff'),
      { ...at('Count'), dryRun: true },
    ]) {
      const said = cancelSentence({ ...changesNothing, cancellable: true })
      expect(said).toBe('Possible until it ends: it changes nothing.')
    }
  })

  it('says until when it is possible, by what the run does', () => {
    const said = (operation: string, waiting: string | null = null) =>
      cancelSentence({ ...at('Count', operation), waiting, cancellable: true })
    expect(['backup', 'reset', 'restore', 'delete'].map((operation) => said(operation))).toEqual([
      'Possible until it ends: it changes nothing.',
      'Possible until something is wiped.',
      'Possible until something is replaced.',
      'Possible until the backup is deleted.',
    ])
    expect(said('reset', 'waiting for locks')).toBe('Possible: it waits, and has changed nothing yet.')
    expect(cancelSentence(at('Count', 'claim'))).toBe('It ends by itself in a moment.')
    expect(cancelSentence(at('Finish'))).toBe(
      'Too late to cancel: changing the stores has begun. Let it end; what it took a backup of can be put back.',
    )
  })

  it('needs the scope that starts such a run, and says which a token lacks', () => {
    const reader = { name: 'viewer', scopes: ['read'] }
    const why = (operation: string, rehearse = false) =>
      obstacleToCancelling(reader, { operation, plan: { rehearse } })
    expect(why('reset')).toBe('The token "viewer" may not cancel it: it lacks the scope "reset".')
    expect([why('verify'), why('verify', true)]).toEqual([null, expect.stringContaining('"backup"')])
    expect(obstacleToCancelling(session, { operation: 'reset', plan: null })).toBeNull()
  })

  it('says that nothing is wiped yet only while that is so', () => {
    expect(staleSentence({ attempt: 0, cancellable: true })).toBeNull()
    expect(staleSentence({ attempt: 1, cancellable: true })).toContain('Nothing is wiped or replaced yet')
    expect(staleSentence({ attempt: 1, cancellable: false })).toMatch(
      /so it counted and backed up once more: attempt 2 of 3\.$/,
    )
    expect(staleSentence({ attempt: 2, cancellable: false })).toMatch(
      / backed up 2 times more: attempt 3 of 3\.$/,
    )
  })
})

describe('putting back what a run took', () => {
  it('is not offered to whom it is refused, and says why', () => {
    const may = { ...session, scopes: ['read', 'restore'] }
    expect(obstacleToPuttingBack({ session: may, active: undefined })).toBeNull()
    expect(obstacleToPuttingBack({ session, active: undefined })).toContain('"restore"')
    expect(obstacleToPuttingBack({ session: { ...may, protected: true }, active: undefined })).toContain(
      'protected',
    )
    expect(obstacleToPuttingBack({ session: may, active: over })).toContain('active')
  })
})

describe('numbers and addresses', () => {
  it('says each time in the one zone that ids and messages have', () => {
    expect(clock(new Date(backup.startedAt))).toBe('19:05:33 UTC')
  })

  it('reads as people say it', () => {
    expect(listed({ rows: 1, files: 0, keys: null })).toBe('1 row, 0 files')
    expect(listed({ rows: 1, files: 20, keys: 3000 }, true)).toBe(
      'about 1 row, about 20 files, about 3,000 keys',
    )
    expect([number(1234), number(1234, true)]).toEqual(['1,234', 'about 1,234'])
    // A clock that goes after the service's.
    expect([-5, 3_599_000, 3_600_000].map(duration)).toEqual(['0.0 s', '59 min 59 s', '1 h 0 min'])
    expect([bytes(0), bytes(1023), bytes(1536)]).toEqual(['0 B', '1023 B', '1.5 KiB'])
    expect([duration(850), duration(59_970), duration(200_000), duration(7_500_000)]).toEqual([
      '0.8 s',
      '59.9 s',
      '3 min 20 s',
      '2 h 5 min',
    ])
    const now = new Date(backup.startedAt)
    const past = (minutes: number) => new Date(now.getTime() - minutes * 60_000).toISOString()
    expect([0, 5, 125, 3000].map((minutes) => ago(now, past(minutes)))).toEqual([
      'just now',
      '5 minutes ago',
      '2 hours ago',
      '2 days ago',
    ])
    expect([1, 119, 2879, 2880].map((minutes) => ago(now, past(minutes)))).toEqual([
      ...['1 minute ago', '119 minutes ago', '47 hours ago', '2 days ago'],
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

describe('the newest backup', () => {
  const lastProved = {
    ...{ backupId: backup.backupId, strategy: 'full', startedAt: backup.startedAt, rehearsedAt: null },
  }
  const backups = { count: 0, bytes: 0, older: 0 }
  const aged = (hours: number) => new Date(Date.parse(backup.startedAt) + hours * 3_600_000)
  const standing = (hours: number, dueEveryHours: number | null) =>
    freshnessOf({ lastProved, dueEveryHours, backups }, aged(hours)).standing

  it('is in time for a little longer than the period of the schedule, then overdue, then missing', () => {
    expect([1, 26, 27, 52, 53].map((hours) => standing(hours, 24))).toEqual([
      ...['good', 'good', 'attention', 'attention', 'failed'],
    ])
    expect([0.9, 1.2, 2.3].map((hours) => standing(hours, 1))).toEqual(['good', 'attention', 'failed'])
    expect(freshnessOf({ lastProved, dueEveryHours: 0.25, backups }, aged(0)).says).toBe(
      'In time: the schedule takes one every 15 minutes.',
    )
    expect(freshnessOf({ lastProved, dueEveryHours: 1, backups }, aged(0)).says).toContain('one every hour.')
  })

  it('is measured by nothing where no schedule takes one, and its lack is told', () => {
    expect(standing(1000, null)).toBe('plain')
    expect(freshnessOf({ lastProved: null, dueEveryHours: null, backups }, aged(0)).standing).toBe(
      'attention',
    )
    expect(freshnessOf({ lastProved: null, dueEveryHours: 24, backups }, aged(0))).toEqual({
      ...{ standing: 'failed', says: 'None yet, though the schedule takes one every 24 hours.' },
    })
    const many = { ...backups, older: 3 }
    const says = (dueEveryHours: number | null) =>
      freshnessOf({ lastProved: null, dueEveryHours, backups: many }, aged(0)).says
    expect([says(24), says(null)]).toEqual([
      'None that was looked at, though the schedule takes one every 24 hours.',
      'None that was looked at, and no schedule that takes one.',
    ])
  })

  it('says why it was taken and by whom, and why it is kept', () => {
    const by = (operation: string, requestedBy: string | null) =>
      Object.values(whyOf({ runId: 'r', operation, requestedBy })).join(', ')
    expect(by('backup', 'schedule')).toBe('Scheduled, schedule')
    expect(by('backup', null)).toBe('By hand, not said')
    expect(by('reset', 'api:ci')).toBe('Before a reset, api:ci')
    expect(by('reset-to', 'schedule')).toBe('Before a scheduled reset, schedule')
    expect(by('restore', 'api:ci')).toBe('Before a restore, api:ci')
    expect(whyOf(null)).toEqual({ why: 'Not known', who: null })
    expect([null, [], ['pinned', 'the newest']].map(keptSentence)).toEqual([
      ...[null, 'Goes with the next prune.', 'Kept: pinned; the newest.'],
    ])
  })
})

describe('a step', () => {
  const step = (name: string, state: 'done' | 'running' | 'waiting') => ({ name, state, progress: null })
  const [from, to] = ['2026-11-22T19:05:33.000Z', '2026-11-22T19:05:41.400Z']
  const plan = {
    database: { rows: 1240, tables: 2, batches: 1 },
    files: { objects: 12, bytes: 2048, batches: 1 },
    cache: null,
  } as unknown as NonNullable<Run['plan']>

  it('says how long it took, or is at work, and of how much', () => {
    const now = new Date('2026-11-22T19:06:33.000Z')
    const steps = { 'Export database': { from, to }, 'Copy files': { from, to: null } }
    const of = (name: string, state: 'done' | 'running' | 'waiting', known: Run['steps'] = steps) =>
      factsOf({ steps: known, plan }, step(name, state), now)
    expect(of('Export database', 'done')).toBe('8.4 s · 1,240 rows')
    expect(of('Copy files', 'running')).toBe('1 min 0 s · 12 files, 2.0 KiB')
    expect(of('Wipe files', 'waiting')).toBeNull()
    expect(of('Export database', 'done', null)).toBe('1,240 rows')
    expect(of('Export cache', 'done')).toBeNull()
    expect(of('Seal', 'done')).toBeNull()
  })

  it('counts parts, files, keys or tables', () => {
    const names = ['Export database', 'Copy files', 'Wipe cache', 'Diff database', 'Rehearse']
    expect(names.map((name) => tallyOf(name, { done: 1, total: 1200 }))).toEqual([
      ...['1 of 1,200 parts', '1 of 1,200 files', '1 of 1,200 keys', '1 of 1,200 tables', '1 of 1,200 parts'],
    ])
  })
})

it('ends a message with a period where it has none', () => {
  expect(['It is off', 'Is it?', 'Wait …', 'See "x"', 'Done.'].map(sentence)).toEqual([
    ...['It is off.', 'Is it?', 'Wait …', 'See "x"', 'Done.'],
  ])
})

it('gives each environment a colour, and what is protected one that no other has', () => {
  const colour = (environment: string, isProtected = false) =>
    colourOf({ environment, protected: isProtected })
  expect(colour('staging')).not.toBe(colour('demo'))
  expect(colour('staging')).toBe(colour('staging'))
  expect([colour('production', true), colour('staging', true)]).toEqual(['#6425c4', '#6425c4'])
})
