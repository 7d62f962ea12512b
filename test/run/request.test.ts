import { describe, expect, it } from 'vitest'
import { digestOfRequest, parseRequest, Request } from '../../lib/run/request.ts'

/** Something else than the default, for every key that a request may carry. */
const others: Record<string, unknown> = {
  strategy: 'cache-only',
  backup: false,
  backupId: '2026-11-22T19-05-33Z-aaaaaa',
  targets: ['files'],
  safetyBackup: false,
  allowForeign: true,
  allowUnsigned: true,
  exact: true,
  without: ['public.old'],
  rehearse: true,
  dryRun: true,
  preserve: { tables: ['users'], files: [], keys: [] },
  confirm: 'another',
  idempotencyKey: 'another',
  scheduledTime: '2026-11-23T03:00:00Z',
}
const needed: Record<string, object> = {
  reset: { strategy: 'full' },
  restore: { backupId: '2026-11-22T19-05-33Z-3f9a2c' },
  verify: { backupId: '2026-11-22T19-05-33Z-3f9a2c' },
  delete: { backupId: '2026-11-22T19-05-33Z-3f9a2c' },
}
const digestOf = (request: object) => digestOfRequest(parseRequest(request))
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

describe('a request that is sent again is another one', () => {
  it.each(fields.filter(([, field]) => field !== 'requestedBy'))(
    'when in a %s the field "%s" says something else',
    (operation, field) => {
      const base = { operation, ...needed[operation] }
      expect(Object.keys(others), 'every field has another value here').toContain(field)
      expect(digestOf({ ...base, [field]: others[field] })).not.toBe(digestOf(base))
    },
  )

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
