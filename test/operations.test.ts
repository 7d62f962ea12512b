import { expect, test } from 'vitest'
import {
  destroys,
  isOneStep,
  needsConfirm,
  operationOf,
  operations,
  scopeToStart,
} from '../lib/operations.ts'
import { idempotencyKeyOf, operationOfRequest, Request, requests } from '../lib/run/request.ts'

const names = Object.keys(operations)

test('each operation is a request that can be sent, and each request an operation', () => {
  const asked = Request.options.map(({ shape }) => shape.operation.value)
  expect([...asked, 'reset-to'].toSorted()).toEqual(names.toSorted())
  for (const [name, { shape }] of Object.entries(requests)) expect(shape.operation.value).toBe(name)
})

test('a reset to a backup is an operation of its own in the ledger, and one key of a schedule does not stand for another', () => {
  const reset = { operation: 'reset', strategy: 'full', scheduledTime: '2026-11-23T03:00:00Z' }
  const keyed = [reset, { ...reset, to: 'baseline' }, { ...reset, operation: 'backup' }].map((sent) =>
    Request.parse(sent),
  )
  expect(keyed.map(operationOfRequest)).toEqual(['reset', 'reset-to', 'backup'])
  expect(keyed.map(idempotencyKeyOf)).toEqual([
    'schedule 2026-11-23T03:00:00Z reset full',
    'schedule 2026-11-23T03:00:00Z reset full to baseline',
    'schedule 2026-11-23T03:00:00Z backup full',
  ])
})

test('what takes away, and a claim, want the name of the environment; and a request can say it', () => {
  expect(names.filter(destroys)).toEqual(['reset', 'reset-to', 'restore', 'delete'])
  expect(names.filter(needsConfirm)).toEqual(['reset', 'reset-to', 'restore', 'delete', 'claim'])
  expect(names.filter(isOneStep)).toEqual(['claim'])
})

test('a verify needs another scope when it loads rows into the database, a diff when it tells rows', () => {
  const differing = names.filter((name) => scopeToStart(name, true) !== scopeToStart(name, false))
  expect(differing).toEqual(['verify', 'diff'])
  expect(scopeToStart('verify', true)).toBe(scopeToStart('backup', false))
  expect(scopeToStart('diff', false)).toBe(scopeToStart('backup', false))
  expect(scopeToStart('diff', true)).toBe(scopeToStart('restore', false))
})

test('of an operation of another version nothing is known, whatever it is called', () => {
  for (const name of ['archive', 'constructor', '']) {
    expect(operationOf(name)).toBeUndefined()
    expect([destroys(name), needsConfirm(name), isOneStep(name), scopeToStart(name, true)]).toEqual([
      ...[false, false, false],
      undefined,
    ])
  }
})
