import type { HistoryEvent } from '@aws-sdk/client-sfn'
import { describe, expect, test } from 'vitest'
import { type StepProgress, stepsOf, stepsOfRun } from '../../../local/cli/run/steps.ts'
import { at, row } from '../row.ts'

describe('the steps of an execution', () => {
  let id = 0
  const event = (type: HistoryEvent['type'], more: Partial<HistoryEvent> = {}): HistoryEvent => ({
    ...{ id: ++id, previousEventId: id - 1, type, timestamp: at(id % 60) },
    ...more,
  })
  const enter = (name: string, kind = 'Task') =>
    event(`${kind}StateEntered` as HistoryEvent['type'], { stateEnteredEventDetails: { name, input: '' } })
  const exit = (name: string, kind = 'Task') =>
    event(`${kind}StateExited` as HistoryEvent['type'], { stateExitedEventDetails: { name } })
  const told = (steps: readonly StepProgress[]) => steps.map(({ name, state }) => [name, state])

  test('are done, have failed, or were cut off beside one that failed', () => {
    const events = [
      ...[enter('Count'), event('TaskSucceeded'), exit('Count')],
      ...[event('ParallelStateEntered', { stateEnteredEventDetails: { name: 'Back up' } })],
      ...[enter('Export database', 'Map'), enter('Copy files', 'Map')],
      ...[event('MapRunFailed'), exit('Copy files', 'Map')],
      ...[event('ParallelStateExited', { stateExitedEventDetails: { name: 'Back up' } }), enter('Finish')],
    ]
    expect(told(stepsOf(events, {}))).toEqual([
      ...[
        ['Count', 'done'],
        ['Export database', 'failed'],
        ['Copy files', 'failed'],
        ['Finish', 'running'],
      ],
    ])
    const timed = [enter('Seal'), event('TaskTimedOut'), exit('Seal')]
    expect(told(stepsOf(timed, {}))).toEqual([['Seal', 'failed']])
    const aborted = [enter('Seal'), event('ExecutionAborted')]
    expect(told(stepsOf(aborted, {}))).toEqual([['Seal', 'failed']])
  })

  test('that come again are told apart: the first has ended, the second is at work', () => {
    const again = [enter('Count'), event('TaskSucceeded'), exit('Count'), enter('Count')]
    expect(told(stepsOf(again, {}))).toEqual([
      ...[
        ['Count', 'done'],
        ['Count', 'running'],
      ],
    ])
    const ended = [...again, event('TaskSucceeded'), exit('Count')]
    const times = stepsOf(ended, {}).map(({ startedAt, endedAt }) => Number(endedAt) > Number(startedAt))
    expect(times).toEqual([true, true])
  })

  test('that are at work say how far they are, over the batches that have begun, and what they wait for', () => {
    const events = [enter('Wipe files', 'Map'), enter('Wipe cache')]
    const progress = {
      ...{ 'Wipe files/0': { done: 5, total: 10 }, 'Wipe files/1': { done: 0, total: 10 } },
      ...{ 'Wipe files too/0': { done: 9, total: 9 }, 'Wipe cache/0': { done: 0, total: 1 } },
    }
    const waiting = 'waiting for locks'
    const steps = stepsOfRun(events, { phase: 'Wipe cache', progress, waiting, plan: null })
    expect(steps.map(({ fraction }) => fraction)).toEqual([0.25, 0])
    expect(steps.map(({ waiting }) => waiting)).toEqual([undefined, waiting])
    expect(stepsOfRun(events, undefined).map(({ fraction }) => fraction)).toEqual([undefined, undefined])
  })

  test('leave out what the machine passes because there is nothing for it to do', () => {
    const maps = ['Export database', 'Copy files', 'Export cache', 'Rehearse', 'Load backup', 'Wipe files']
    const events = [...maps, 'Restore files'].map((name) => enter(name, 'Map'))
    const names = (plan: object) =>
      stepsOfRun([...events, enter('Wipe database')], { ...row, plan }).map(({ name }) => name)
    const none = { database: null, files: null, cache: null, restore: null }
    expect(names(none)).toEqual(['Wipe database'])
    const all = { database: {}, files: { batches: 2 }, cache: { keys: 1 } }
    expect(names(all)).toEqual([
      ...['Export database', 'Copy files', 'Export cache', 'Rehearse', 'Wipe files', 'Wipe database'],
    ])
    expect(names({ ...none, restore: { batches: 1, files: { batches: 1 } } })).toEqual([
      ...['Load backup', 'Restore files', 'Wipe database'],
    ])
    expect(names({ ...none, subject: { rehearse: true } })).toEqual(['Load backup', 'Wipe database'])
    expect(names({ ...none, subject: { rehearse: false } })).toEqual(['Wipe database'])
  })
})
