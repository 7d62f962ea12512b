import { expect, test } from 'vitest'
import { variables } from '../../lib/config/variables.ts'
import { findCaller } from '../../lib/http/auth.ts'
import { readArguments } from '../../local/cli/arguments.ts'
import { showToken } from '../../local/cli/commands/token.ts'

function tokenOf(...args: string[]) {
  const read = readArguments(['token', ...args])
  if (typeof read === 'string') throw new Error('These arguments only ask for the help')
  const answer = showToken(read)
  const { token, entry } = answer.document as { token: string; entry: { name: string } }
  return { ...answer, token, entry }
}

test('a token lets in who has it, by the entry that is printed with it', () => {
  const { token, entry, text } = tokenOf('ci', '--scopes', 'read, reset,read')
  const tokens = variables.API_TOKENS.schema.parse(JSON.stringify([entry]))
  expect(findCaller(tokens, `Bearer ${token}`, new Date())).toEqual({ name: 'ci', scopes: ['read', 'reset'] })
  expect(text).toContain(token)
  expect(text).toContain(JSON.stringify(entry))
  expect(JSON.stringify(entry)).not.toContain(token)
})

test.each([
  ['90d', 90 * 86_400_000],
  ['2999-03-01', Date.parse('2999-03-01') - Date.now()],
  ['2999-03-01T12:00:00+01:00', Date.parse('2999-03-01T11:00:00Z') - Date.now()],
])('one may expire: --expires %s', (expires, milliseconds) => {
  const { token, entry, text } = tokenOf('ci', '--scopes', 'read', '--expires', expires)
  const tokens = variables.API_TOKENS.schema.parse(JSON.stringify([entry]))
  const end = Date.now() + milliseconds
  expect(text).toMatch(/good until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC,/)
  expect(findCaller(tokens, `Bearer ${token}`, new Date(end - 60_000)).name).toBe('ci')
  expect(() => findCaller(tokens, `Bearer ${token}`, new Date(end + 60_000))).toThrow('expired at')
})

test('no two are the same, and each has 256 random bits', () => {
  const made = Array.from({ length: 50 }, () => tokenOf('ci', '--scopes', 'read').token)
  expect(new Set(made).size).toBe(50)
  for (const token of made) expect(Buffer.from(token.slice('tmr_'.length), 'base64url')).toHaveLength(32)
})

test.each([
  [['--scopes', 'read'], 'needs a name'],
  [['ci'], 'needs --scopes'],
  [['ci', '--scopes', 'read,write'], '"write" is not a scope'],
  [['ci', '--scopes', ''], 'is not a scope'],
  [['ci', '--scopes', 'read', '--expires', 'tomorrow'], 'is no time to come'],
  [['ci', '--scopes', 'read', '--expires', '0d'], 'is no time to come'],
  [['ci', '--scopes', 'read', '--expires', '2020-01-01'], 'is no time to come'],
  [['ci', '--scopes', 'read', '--expires', '2999-02-31T25:00:00Z'], 'is no time to come'],
  [['the boss', '--scopes', 'read'], 'the boss'],
])('%j makes none, and says why', (args, reason) => {
  expect(() => tokenOf(...args)).toThrow(reason)
})

test("a digest that is equal in one half is nobody's", () => {
  const { token, entry } = tokenOf('ci', '--scopes', 'read')
  const { sha256 } = entry as unknown as { sha256: string }
  const other = '0'.repeat(32)
  for (const half of [sha256.slice(0, 32) + other, other + sha256.slice(32)]) {
    const tokens = variables.API_TOKENS.schema.parse(JSON.stringify([{ ...entry, sha256: half }]))
    expect(() => findCaller(tokens, `Bearer ${token}`, new Date())).toThrow('not one of API_TOKENS')
  }
})
