import { expect, test } from 'vitest'
import { causeOfEnd, messageOfCause } from '../../lib/executions/cause.ts'

test.each([
  [
    'what a handler threw',
    '{"errorType":"BackupIsStale","errorMessage":"it is stale","trace":[]}',
    'it is stale',
  ],
  [
    'a timeout, which has no type',
    '{"errorMessage":"Task timed out after 900.00 seconds"}',
    'Task timed out after 900.00 seconds',
  ],
  ['an error without a message', '{"errorType":"Error","errorMessage":""}', ''],
  ['a text', 'The choice state has no rule that fits', 'The choice state has no rule that fits'],
  ['nothing', '', ''],
  [
    'a report that was cut',
    '{"errorType":"Error","errorMessage":"it is st',
    '{"errorType":"Error","errorMessage":"it is st',
  ],
  ['JSON of something else', '{"message":"it is stale"}', '{"message":"it is stale"}'],
  [
    'a message that is no text',
    '{"errorMessage":{"text":"it is stale"}}',
    '{"errorMessage":{"text":"it is stale"}}',
  ],
  ['JSON that is no object', '["errorMessage"]', '["errorMessage"]'],
])('the message in the cause of %s', (_, cause, message) => {
  expect(messageOfCause(cause)).toBe(message)
})

test('what is longer than a cause can be is not parsed', () => {
  const report = (length: number) => JSON.stringify({ errorMessage: 'x'.repeat(length) })
  const longest = 32_768 - report(0).length
  expect(messageOfCause(report(longest))).toBe('x'.repeat(longest))
  expect(messageOfCause(report(longest + 1))).toBe(report(longest + 1))
})

test('an execution that ended without a cause says how it ended', () => {
  expect(causeOfEnd({ status: 'TIMED_OUT' })).toBe('The execution ended TIMED_OUT without a cause')
  expect(causeOfEnd({ status: 'FAILED', cause: '{"errorMessage":"it is stale"}' })).toBe('it is stale')
})
