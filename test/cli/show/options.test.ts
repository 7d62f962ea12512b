import { describe, expect, test } from 'vitest'
import type { Backup } from '../../../lib/backup/read.ts'
import { options as example } from '../../../lib/http/document/examples.ts'
import type { ResetOptions } from '../../../lib/run/options.ts'
import { parseRequest, type Request } from '../../../lib/run/request.ts'
import {
  showDelete,
  showOptions,
  showReset,
  showResetTo,
  showRestore,
} from '../../../local/cli/show/options.ts'
import { ageOf, table } from '../../../local/cli/show/table.ts'

const cache = {
  ...{ available: true as const, mark: 'staging', prefix: 'app:', approximate: false },
  ...{ keys: 96, preservedKeys: 5, unmatched: ['nobody:*'] },
}
const options: ResetOptions = { ...example, cache }
const down = { available: false as const, reason: { name: 'StoreUnavailable', message: 'It is off' } }
const database = options.database as Extract<ResetOptions['database'], { available: true }>
const files = options.files as Extract<ResetOptions['files'], { available: true }>

type Of<Operation> = Extract<Request, { operation: Operation }>
const reset = (more: object = {}) =>
  parseRequest({ operation: 'reset', strategy: 'full', ...more }) as Of<'reset'>
const restore = (more: object = {}) =>
  parseRequest({ operation: 'restore', backupId: 'b', ...more }) as Of<'restore'>

/** What is shown of a backup. */
const backup = {
  ...{ backupId: '2026-11-22T19-05-33Z-3f9a2c', environment: 'local', strategy: 'full', rehearsedAt: null },
  database: { rows: 3, tables: [{ name: 'public.users', rows: 3 }] },
  ...{ files: { objects: 1, bytes: 4 }, cache: { keys: 2 } },
} as unknown as Backup

describe('what a reset takes and leaves, for who confirms it,', () => {
  test('is told store by store: what goes, what is kept of it, and what to keep was not found', () => {
    const kept = { ...database, warnings: [{ code: 'LargeObjects', message: 'They stay' }] }
    expect(
      showReset({ ...options, database: kept, files: { ...files, unmatched: ['old/'] } }, reset()),
    ).toBe(`Reset "full" of the environment "staging".

database:
  public.users  User  240 rows  64.0 KiB  wiped but for 4 rows (role = 'admin')
  public.__drizzle_migrations  not managed  bookkeeping of migrations
  Warning LargeObjects: They stay

files:
  s3://taskmaster-staging-files/generated_stories/  12 files  47.1 KiB
  of them kept: 3 files, 11.7 KiB
  to be kept, but there is no file below it: old/

cache:
  keys app:…  96 keys
  of them kept: 5 keys
  to be kept, but no key matches it: nobody:*

A backup is taken and sealed first; without it nothing is wiped.
`)
  })

  test('has the stores of the strategy, and says which are not touched, and that nothing is backed up', () => {
    const text = showReset(options, reset({ strategy: 'database-only', backup: false }))
    expect(text).toContain('\ndatabase:\n')
    expect(text).not.toMatch(/\n(files|cache):\n/)
    expect(text).toContain(
      '\nNot touched: files, cache.\n\nNO BACKUP is taken: what is wiped cannot come back.\n',
    )
  })

  test('says that it will be refused, and why', () => {
    const refused = { ...options, protected: true }
    const warning = '\nThe environment "staging" is protected, so this reset will be refused.\n'
    expect(showReset(refused, reset())).toContain(warning)
    expect(showReset(options, reset())).not.toContain('protected')
    const problem = { name: 'PreservationConflict', message: 'users is kept' }
    expect(showReset({ ...options, database: { ...database, problem } }, reset())).toContain(
      '  A reset of the database would be refused. PreservationConflict: users is kept\n',
    )
  })

  test('does not count what cannot be asked or read', () => {
    const off = '  cannot be asked. StoreUnavailable: It is off\n'
    expect(showReset({ ...options, database: down, files: down, cache: down }, reset())).toContain(
      `\ndatabase:\n${off}\nfiles:\n${off}\ncache:\n${off}`,
    )
    const [one] = database.tables
    const tables = one === undefined ? [] : [{ ...one, rows: null, action: null }]
    expect(showOptions({ ...options, database: { ...database, tables } })).toMatch(
      /public\.users +User +not readable +64\.0 KiB\n/,
    )
    expect(showOptions({ ...options, database: { ...database, tables: [], unmanaged: [] } })).toContain(
      '\nDatabase:\n  no tables\n\nFiles:',
    )
  })
})

test('options begins with whether runs are allowed in the environment', () => {
  expect(showOptions(options)).toMatch(
    /^Environment "staging": claimed; not protected\.\n\nStrategies:\n {2}full /,
  )
  expect(showOptions({ ...options, protected: true })).toMatch(
    /: claimed; protected: nothing is wiped in it\.\n/,
  )
  expect(
    showOptions({ ...options, cache: { ...cache, prefix: '*', preservedKeys: 0, unmatched: [] } }),
  ).toMatch(/\nCache:\n {2}all keys {2}96 keys\n$/)
})

describe('what a restore replaces, for who confirms it,', () => {
  test('is told with the backup, with what is there and what comes, and that it can be undone', () => {
    expect(
      showRestore(options, backup, restore()),
    ).toBe(`Restore backup ${backup.backupId} of the environment "local" (full, read back):
  database  3 rows
  files     1 file
  cache     2 keys

In the environment "staging":

                now                 after
  public.users  240 rows            3 rows
  files         12 files, 47.1 KiB  1 file, 4 B, and those that are not in the backup
  cache         96 keys             2 keys, and those that are not in the backup

All rows of these tables become those of the backup, also of tables that a reset would keep: rows that were changed since are changed back, rows that came since go, and rows that went come back.

Files and cache keys of the backup replace those of the same name; those that are not in it stay.

What is there now is backed up first; without that backup nothing is replaced.
`)
  })

  test('to a baseline is shown as what there is now and after, exactly, with what is not touched and whether it can come back', () => {
    const request = parseRequest({ operation: 'reset', strategy: 'files-only', to: 'baseline' })
    if (request.operation !== 'reset') throw new Error('see above')
    const text = showResetTo(options, backup, request)
    expect(text).toMatch(/^Reset "files-only" of the environment "staging" to backup 2026.*:\n/)
    expect(text).toContain('         now                 after\n  files  12 files, 47.1 KiB  1 file, 4 B\n')
    expect(text).not.toContain('public.users  240')
    expect(text).toContain('\nNot touched: database, cache.\n')
    expect(text).toContain('What is there now is backed up first; without that backup nothing is replaced.')
    expect(showResetTo(options, backup, { ...request, backup: false })).toContain('NO BACKUP is taken')
  })

  test('says what is removed, what is not touched, and that it cannot be undone', () => {
    const text = showRestore(
      options,
      backup,
      restore({ targets: ['files'], exact: true, safetyBackup: false }),
    )
    expect(text).toContain(
      'Files of the backup replace those of the same name; those that are not in it are removed.',
    )
    expect(text).toContain('\nNot touched: database, cache.\n')
    expect(text).toContain('\nNO SAFETY BACKUP is taken: what is replaced cannot come back.\n')
    expect(showRestore(options, backup, restore())).toContain(
      '\nWhat is there now is backed up first; without that backup nothing is replaced.\n',
    )
    expect(showRestore(options, backup, restore({ targets: ['files', 'cache'] }))).toContain(
      '\nNot touched: database.\n',
    )
    expect(showRestore({ ...options, protected: true }, backup, restore())).toContain(
      '\nThe environment "staging" is protected, so this restore will be refused.\n',
    )
  })
})

test('what a delete takes away is told with what it holds, how it is proved, and that it is for good', () => {
  expect(showDelete({ ...backup, rehearsedAt: '2026-11-22T19:06:33Z', files: null })).toBe(
    `Delete backup ${backup.backupId} of the environment "local" (full, rehearsed 2026-11-22 19:06:33 UTC):
  database  3 rows
  files     not in it
  cache     2 keys

It cannot be restored afterwards.
`,
  )
  const proof = (held: Partial<Backup>) => showDelete({ ...backup, ...held }).match(/\(full, (.*)\)/)?.[1]
  expect(proof({ database: null, cache: null })).toBe('copies found')
  expect([proof({ cache: null }), proof({ database: null })]).toEqual(['read back', 'read back'])
})

test('an age is told in the largest unit that makes sense, and none is below zero', () => {
  const now = new Date('2026-11-22T19:00:00Z')
  const old = (minutes: number) => ageOf(now, new Date(now.getTime() - minutes * 60_000).toISOString())
  expect([-5, 1, 119, 120, 2879, 2880].map(old)).toEqual([
    '0 minutes old',
    '1 minute old',
    '119 minutes old',
    '2 hours old',
    '47 hours old',
    '2 days old',
  ])
})

test('a table aligns numbers to the right, and no name in it can change what a terminal shows', () => {
  expect(
    table(
      [
        ['a', '9 rows', 'x'],
        ['long\u202ename', '1,234 rows'],
      ],
      '',
    ),
  ).toBe('a                   9 rows  x\nlong\\u202ename  1,234 rows\n')
})
