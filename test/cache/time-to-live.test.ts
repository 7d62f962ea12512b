import { expect, test } from 'vitest'
import { lastMoment } from '../../lib/cache/value/expiry.ts'
import { aliveFromOf, later, shiftAt } from '../../lib/cache/value/time-to-live.ts'

const bytes = (text: string | number) => Buffer.from(String(text))
const line = { key: bytes('key'), part: 1, whole: true, bytes: 1, items: [bytes('value')] }

test('keys, and fields of hashes, live on for as long as they had when they were exported', () => {
  expect(later({ ...line, type: 'string', expiresAt: 5_000 }, 700)).toMatchObject({
    ...{ expiresAt: 5_700, items: [bytes('value')] },
  })
  const items = [
    [bytes('stays'), bytes('1')],
    [bytes('goes'), bytes('1700000000000'), bytes(4_000)],
  ]
  expect(later({ ...line, type: 'hash', expiresAt: null, items }, 700)).toMatchObject({
    expiresAt: null,
    items: [items[0], [bytes('goes'), bytes('1700000000000'), bytes(4_700)]],
  })
})

test('what expires later than Redis knows moments ends at the last of them, and none ends earlier than it would have', () => {
  const last = 2 ** 48 - 2
  for (const [was, is] of [
    [last - 1, last],
    [last + 5, last + 5],
  ]) {
    const items = [[bytes('field'), bytes(1), bytes(was ?? 0)]]
    const { items: shifted } = later({ ...line, type: 'hash', expiresAt: null, items }, 10)
    expect(shifted).toEqual([[bytes('field'), bytes(1), bytes(is ?? 0)]])
  }
  expect(later({ ...line, type: 'string', expiresAt: lastMoment }, 10).expiresAt).toBe(lastMoment)
  const now = Date.parse('2026-11-22T00:00:10Z')
  expect(shiftAt(now, '2026-11-22T00:00:00.500Z')).toBe(9_500)
  expect(shiftAt(now, '2026-11-22T00:01:00Z')).toBe(0) // of a server whose clock is ahead
})

test('of a backup that does not say when its keys were exported the time counts from its beginning', () => {
  const startedAt = '2026-11-22T00:00:00Z'
  const cache = { prefix: '', keys: 0, parts: [] }
  expect(aliveFromOf({ cache, startedAt }, 'relative')).toBe(startedAt)
  const exportedAt = '2026-11-22T00:05:00Z'
  expect(aliveFromOf({ cache: { ...cache, exportedAt }, startedAt }, 'relative')).toBe(exportedAt)
  expect(aliveFromOf({ cache: { ...cache, exportedAt }, startedAt }, 'absolute')).toBeNull()
})
