import { expect, test } from 'vitest'
import { repeatedIn, requestIn } from '../../lib/executions/payloads.ts'

const nothing = { operation: 'unknown', strategy: null, requestedBy: null, dryRun: false }

test.each([
  ['nothing', undefined, nothing],
  ['a list', '[]', nothing],
  ['a text', '"reset"', nothing],
  ['other types', '{"operation":1,"strategy":[],"requestedBy":{},"dryRun":"true"}', nothing],
  [
    'a request',
    '{"operation":"reset","strategy":"full","requestedBy":"api:ci","dryRun":true,"confirm":"staging"}',
    { operation: 'reset', strategy: 'full', requestedBy: 'api:ci', dryRun: true },
  ],
])('what an execution was started with is told as far as it can be read: %s', (_, input, told) => {
  expect(requestIn(input)).toEqual(told)
})

test('only an execution that repeated a run names it', () => {
  expect(repeatedIn('{"next":"repeated","repeats":"run-1","status":"succeeded"}')).toBe('run-1')
  expect(repeatedIn('{"next":"finish","repeats":"run-1"}')).toBeUndefined()
  expect(repeatedIn('null')).toBeUndefined()
  expect(repeatedIn(undefined)).toBeUndefined()
})
