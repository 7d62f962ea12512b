import { describe, expect, test } from 'vitest'
import type { StepProgress } from '../../../local/cli/run/steps.ts'
import { progressOn } from '../../../local/cli/show/progress.ts'
import { at } from '../row.ts'

describe('how far a run is', () => {
  const step = (name: string, more: Partial<StepProgress> = {}): StepProgress => ({
    ...{
      name,
      state: 'running',
      startedAt: at(0),
      endedAt: undefined,
      waiting: undefined,
      fraction: undefined,
    },
    ...more,
  })
  /** What is written to a stream: as it is, or as a terminal is told to draw it. */
  function screen(isTTY: boolean) {
    const written: string[] = []
    const write = (text: string) => written.push(text)
    const moveCursor = (_: number, lines: number) => written.push(`<${lines}>`)
    const stream = { isTTY, columns: 60, write, moveCursor, clearScreenDown() {} }
    return { view: progressOn(stream as unknown as NodeJS.WriteStream), written }
  }

  test('is one line per step where there is no terminal, when it has ended, and one per reason to wait', () => {
    const { view, written } = screen(false)
    const wait = (attempt: number) =>
      step('Wipe database', { waiting: `waiting for locks, try ${attempt} of 15; in the way: process 7` })
    view.show([step('Count')], undefined)
    view.show([step('Count', { state: 'done', endedAt: at(2) }), wait(1)], 'r')
    view.show([step('Count', { state: 'done', endedAt: at(2) }), wait(2)], 'r')
    view.show(
      [
        step('Count', { state: 'done', endedAt: at(2) }),
        step('Wipe database', { state: 'failed', endedAt: at(3) }),
      ],
      'r',
    )
    view.end()
    expect(written).toEqual([
      'Run r\n',
      '✓ Count             2.00 s\n',
      '… Wipe database     waiting for locks; in the way: process 7\n',
      '✗ Wipe database     3.00 s\n',
    ])
  })

  test('is drawn over itself on a terminal, as wide as that, and what comes after its end is not drawn over', () => {
    const { view, written } = screen(true)
    const done = step('Count', { state: 'done', endedAt: at(2) })
    const half = step('Seal', { fraction: 0.5, endedAt: at(1), state: 'failed' })
    view.show([done, half], 'r')
    view.show([done, half], 'r') // nothing new
    view.show([done, step('Seal', { endedAt: at(9), waiting: 'no more' })], 'r')
    view.end()
    view.show([done], undefined)
    const bar = (filled: number) => '█'.repeat(filled) + '░'.repeat(24 - filled)
    expect(written).toEqual([
      `Run r\n✓ Count             ${bar(24)}  2.00 s\n✗ Seal              ${bar(12)}  1.00 s\n`,
      '<-3>',
      `Run r\n✓ Count             ${bar(24)}  2.00 s\n… Seal              ${bar(0)}  9.00 s\n`,
      `✓ Count             ${bar(24)}  2.00 s\n`,
    ])
    const wide = screen(true)
    wide.view.show([step('x'.repeat(80))], undefined)
    expect(wide.written).toEqual([`… ${'x'.repeat(57)}\n`])
  })
})
