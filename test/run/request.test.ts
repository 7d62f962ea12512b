import { describe, expect, it } from 'vitest'
import { digestOfRequest, isDestructive, parseRequest, Request } from '../../lib/run/request.ts'

/** Something else than the default, for every key that a request may carry. */
const others: Record<string, unknown> = {
  toBackupId: 'another',
  to: '2026-11-23T19-05-33Z-3f9a2c',
  strategy: 'cache-only',
  backup: false,
  backupId: '2026-11-22T19-05-33Z-aaaaaa',
  targets: ['files'],
  safetyBackup: false,
  allowForeign: true,
  allowUnsigned: true,
  exact: true,
  without: ['public.old'],
  tables: ['users'],
  includeParents: true,
  files: ['pinned/'],
  keys: ['session:*'],
  ttl: 'relative',
  label: 'baseline',
  note: 'A sentence',
  pin: true,
  rows: { table: 'users', limit: 20 },
  rehearse: true,
  takeOver: false,
  dryRun: true,
  preserve: { tables: ['users'], files: [], keys: [] },
  confirm: 'another',
  idempotencyKey: 'another',
  scheduledTime: '2026-11-23T03:00:00Z',
}
const needed: Record<string, object> = {
  reset: { strategy: 'full' },
  restore: { backupId: '2026-11-22T19-05-33Z-3f9a2c' },
  diff: { backupId: '2026-11-22T19-05-33Z-3f9a2c' },
  verify: { backupId: '2026-11-22T19-05-33Z-3f9a2c' },
  delete: { backupId: '2026-11-22T19-05-33Z-3f9a2c' },
}
const digestOf = (request: object) => digestOfRequest(Request.parse(request))
const fields = Request.options.flatMap(({ shape }) =>
  Object.keys(shape)
    .filter((field) => field !== 'operation')
    .map((field) => [shape.operation.value, field] as const),
)

describe('a request to leave tables out of a restore', () => {
  const restore = { operation: 'restore', backupId: 'b', without: ['public.old'] }

  it('is refused when the database is not put back at all', () => {
    expect(() => parseRequest({ ...restore, targets: ['files', 'cache'] })).toThrow(
      /^The request is wrong: without: .*"targets" leaves out the database/,
    )
  })

  it('is none when it names no table; and is read with the database, or without targets', () => {
    expect(parseRequest({ ...restore, targets: ['files'], without: [] })).toMatchObject({ without: [] })
    for (const targets of [['files', 'database'], undefined])
      expect(parseRequest({ ...restore, targets })).toMatchObject({ without: ['public.old'] })
  })
})

describe('a request that contradicts itself', () => {
  const restore = { operation: 'restore', backupId: 'baseline' }
  it.each([
    [
      { operation: 'backup', dryRun: true, label: 'baseline' },
      /^The request is wrong: label: a dry run makes no backup/,
    ],
    [{ operation: 'backup', dryRun: true, pin: false }, /^The request is wrong: pin: a dry run/],
    [
      { operation: 'reset', strategy: 'full', ttl: 'relative' },
      /^The request is wrong: ttl: a reset without "to"/,
    ],
    [{ ...restore, includeParents: true }, /^The request is wrong: includeParents: no tables are named/],
    [
      { ...restore, tables: ['users'], without: ['old'] },
      /^The request is wrong: without: "tables" says already/,
    ],
    [
      { ...restore, targets: ['cache'], files: ['a/'] },
      /^The request is wrong: files: "targets" leaves out the files/,
    ],
    [
      { ...restore, targets: ['files'], keys: ['a'] },
      /^The request is wrong: keys: "targets" leaves out the cache/,
    ],
    [
      { ...restore, targets: ['files'], tables: ['a'] },
      /^The request is wrong: tables: "targets" leaves out the database/,
    ],
  ])('is refused by the name of the field: %j', (request, refusal) => {
    expect(() => parseRequest(request)).toThrow(refusal)
  })

  it('has a label that no id, and no other name, can be mistaken for', () => {
    const isTaken = (label: string) => Request.safeParse({ operation: 'backup', label }).success
    for (const label of ['baseline', 'a', 'after-migration-7', 'x'.repeat(39)])
      expect(isTaken(label), label).toBe(true)
    for (const label of [
      '',
      '2026',
      '-a',
      'A',
      'a b',
      'a_b',
      'latest',
      'latest-rehearsed',
      'latest2',
      'x'.repeat(40),
    ])
      expect(isTaken(label), label).toBe(false)
  })
})

describe('a request', () => {
  const backupId = '2026-11-22T19-05-33Z-3f9a2c'
  const isTaken = (request: object) => Request.safeParse(request).success

  it('has these defaults: a backup is taken and rehearsed when it is small, nothing foreign is believed, nothing else removed', () => {
    const preserve = { tables: [], files: [], keys: [] }
    const rehearsal = { rehearse: 'auto', dryRun: false }
    expect(
      [
        ...[
          { operation: 'backup' },
          { operation: 'reset', strategy: 'full' },
          { operation: 'restore', backupId },
        ],
        ...[{ operation: 'verify', backupId }, { operation: 'delete', backupId }, { operation: 'claim' }],
      ].map(parseRequest),
    ).toEqual([
      { operation: 'backup', strategy: 'full', preserve, ...rehearsal },
      { operation: 'reset', strategy: 'full', backup: true, preserve, ...rehearsal },
      { operation: 'restore', backupId, safetyBackup: true, allowForeign: false, exact: false, ...rehearsal },
      { operation: 'verify', backupId, rehearse: false },
      { operation: 'delete', backupId },
      { operation: 'claim' },
    ])
  })

  it('holds names of some length and number, and of any others none', () => {
    const half = '😀'.slice(0, 1)
    const keeping = (what: string, names: string[]) => ({ operation: 'backup', preserve: { [what]: names } })
    for (const what of ['tables', 'files', 'keys']) {
      expect(isTaken(keeping(what, ['x'.repeat(1_024)]))).toBe(true)
      for (const name of ['', 'x'.repeat(1_025), 'a\0b', half])
        expect(isTaken(keeping(what, [name]))).toBe(false)
      expect(
        isTaken(
          keeping(
            what,
            Array.from({ length: 1_000 }, () => 'x'),
          ),
        ),
      ).toBe(true)
      expect(
        isTaken(
          keeping(
            what,
            Array.from({ length: 1_001 }, () => 'x'),
          ),
        ),
      ).toBe(false)
    }
    for (const field of ['confirm', 'idempotencyKey', 'requestedBy', 'scheduledTime']) {
      expect(isTaken({ operation: 'claim', [field]: 'x'.repeat(256) }), field).toBe(true)
      for (const text of ['', 'x'.repeat(257), 'a\0b', half])
        expect(isTaken({ operation: 'claim', [field]: text }), field).toBe(false)
    }
    const restore = { operation: 'restore', backupId }
    for (const [more, isRight] of [
      [{ targets: [] }, false],
      [{ targets: ['cache'] }, true],
      [{ targets: ['users'] }, false],
      [{ without: ['x'.repeat(1_024)] }, true],
      [{ without: ['x'.repeat(1_025)] }, false],
      [{ without: [''] }, false],
      [{ without: Array.from({ length: 1_001 }, () => 'x') }, false],
      [{ backupId: 'x'.repeat(257) }, false],
    ] as const)
      expect(isTaken({ ...restore, ...more }), JSON.stringify(more).slice(0, 40)).toBe(isRight)
  })

  it('asks for rows of a table only as a diff, for at most a hundred of each kind', () => {
    const rows = { table: 'users' }
    expect(parseRequest({ operation: 'diff', backupId, rows })).toEqual({
      ...{ operation: 'diff', backupId, rows: { table: 'users', limit: 20 } },
    })
    for (const [limit, isRight] of [
      [1, true],
      [100, true],
      [0, false],
      [101, false],
      [1.5, false],
      ['9', false],
    ])
      expect(isTaken({ operation: 'diff', backupId, rows: { ...rows, limit } }), String(limit)).toBe(isRight)
    for (const wrong of [{}, [], 'users', { table: '' }, { ...rows, where: 'true' }])
      expect(isTaken({ operation: 'diff', backupId, rows: wrong })).toBe(false)
    for (const other of [
      ...[{ operation: 'verify', backupId }, { operation: 'restore', backupId }, { operation: 'backup' }],
      ...[
        { operation: 'reset', strategy: 'full' },
        { operation: 'delete', backupId },
        { operation: 'claim' },
      ],
    ]) {
      expect(isTaken(other)).toBe(true)
      expect(isTaken({ ...other, rows }), other.operation).toBe(false)
    }
  })

  it('is read up to 64 KiB, and one that is wrong is shown a right one, which is', () => {
    const sized = (bytes: number) => {
      const request = { operation: 'claim', confirm: '' }
      return { ...request, confirm: 'x'.repeat(bytes - JSON.stringify(request).length) }
    }
    expect(() => parseRequest(sized(65_536))).toThrow(/^The request is wrong: confirm: /)
    expect(() => parseRequest(sized(65_537))).toThrow(
      /^The request has 65537 bytes, more than the 65536 that are read\. A right request: /,
    )
    expect(() => parseRequest(undefined)).toThrow(
      /^The request is wrong: request: .*A right request: (\{.*\})$/,
    )
    const told = (() => {
      try {
        return String(parseRequest(null))
      } catch (error) {
        return (error as Error).message
      }
    })()
    expect(parseRequest(JSON.parse(told.slice(told.indexOf('{"'))))).toMatchObject({ operation: 'reset' })
  })

  it('takes something away when it resets, restores or deletes, and not as a dry run', () => {
    const takes = (request: object) => isDestructive(parseRequest(request))
    const [reset, restore] = [
      { operation: 'reset', strategy: 'full' },
      { operation: 'restore', backupId },
    ]
    expect([reset, restore, { operation: 'delete', backupId }].map(takes)).toEqual([true, true, true])
    expect(
      [
        { ...reset, dryRun: true },
        { ...restore, dryRun: true },
      ].map(takes),
    ).toEqual([false, false])
    expect(
      [{ operation: 'backup' }, { operation: 'verify', backupId }, { operation: 'claim' }].map(takes),
    ).toEqual([...[false, false, false]])
  })
})

describe('a request that is sent again is another one', () => {
  it.each(fields.filter(([, field]) => field !== 'requestedBy'))(
    'when in a %s the field "%s" says something else',
    (operation, field) => {
      const base = { operation, ...needed[operation] }
      expect(Object.keys(others), 'every field has another value here').toContain(field)
      expect(digestOf({ ...base, [field]: others[field] })).not.toBe(digestOf(base))
    },
  )

  it('and one that says nothing new is the one it was, over any upgrade: a repeated key finds its run', () => {
    expect(digestOf({ operation: 'backup' })).toBe(
      '4ae97cff9c8d0d5eb99a18e648d0eb89bc579fd69d2503c9fbc3b31746189292',
    )
  })

  it('when one name among those to be preserved is another', () => {
    const keeping = (preserve: object) => digestOf({ operation: 'backup', preserve })
    const kept = ['tables', 'files', 'keys'].flatMap((what) =>
      ['a', 'b'].map((name) => keeping({ [what]: [name] })),
    )
    expect(new Set(kept).size).toBe(6)
  })

  it('but not when only somebody else asks, or defaults are written out, in any order', () => {
    const base = digestOf({ operation: 'reset', strategy: 'full' })
    expect(digestOf({ requestedBy: 'me', operation: 'reset', strategy: 'full' })).toBe(base)
    expect(digestOf({ dryRun: false, strategy: 'full', backup: true, operation: 'reset' })).toBe(base)
  })
})
