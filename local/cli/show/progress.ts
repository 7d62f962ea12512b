import type { WriteStream } from 'node:tty'
import type { StepProgress } from '../run/steps.ts'
import { coloured } from './colour.ts'
import { seconds } from './table.ts'

export type ProgressView = {
  /** @param runId once the ledger knows the run, so that "runs" finds it by it */
  show(steps: readonly StepProgress[], runId: string | undefined): void
  /** Leaves the last state on the screen. */
  end(): void
}

const barWidth = 24
const marks = { running: '…', done: '✓', failed: '✗' }
const colours = { '✓': 'green', '✗': 'red' } as const

/**
 * Bars that are drawn over themselves on a terminal; elsewhere one line per step, when it has ended.
 * @param namesRun whether the run's id is told as well
 */
export function progressOn(stream: NodeJS.WriteStream, namesRun = true): ProgressView {
  const view = stream.isTTY ? bars(stream) : lines(stream)
  return namesRun ? view : { ...view, show: (steps) => view.show(steps, undefined) }
}

function lines(stream: NodeJS.WritableStream): ProgressView {
  const told = new Set<number>()
  let lastWait = ''
  let isNamed = false
  return {
    show(steps, runId) {
      if (runId !== undefined && !isNamed) {
        isNamed = true
        stream.write(`Run ${runId}\n`)
      }
      for (const [at, step] of steps.entries()) {
        // Once for those who are in the way: each try would be a line.
        const wait = step.endedAt === undefined ? (step.waiting ?? '').replace(/, try \d+ of \d+/, '') : ''
        if (wait !== '' && wait !== lastWait) {
          lastWait = wait
          stream.write(`${marks.running} ${step.name.padEnd(18)}${wait}\n`)
        }
        if (step.endedAt === undefined || told.has(at)) continue
        told.add(at)
        stream.write(`${marks[step.state]} ${step.name.padEnd(18)}${duration(step)}\n`)
      }
    },
    end() {},
  }
}

function bars(stream: WriteStream): ProgressView {
  let drawn = 0
  let last = ''
  return {
    show(steps, runId) {
      const all = [...(runId === undefined ? [] : [`Run ${runId}`]), ...steps.map(line)]
      const cut = all.map((one) => one.slice(0, (stream.columns || 80) - 1))
      const text = cut.map((one) => `${withColour(one, stream)}\n`).join('')
      if (text === last) return
      if (drawn > 0) stream.moveCursor(0, -drawn)
      stream.clearScreenDown()
      stream.write(text)
      drawn = all.length
      last = text
    },
    /** What is written after this stands below, and is not drawn over. */
    end() {
      drawn = 0
      last = ''
    },
  }
}

/** The mark alone: what is cut to the terminal's width has no colours yet. */
function withColour(line: string, stream: WriteStream): string {
  const mark = line[0] as keyof typeof colours
  return mark in colours ? coloured(mark, colours[mark], stream) + line.slice(1) : line
}

function line(step: StepProgress): string {
  const fraction = step.state === 'done' ? 1 : (step.fraction ?? 0)
  const filled = Math.round(fraction * barWidth)
  const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled)
  const waiting = step.endedAt === undefined && step.waiting !== undefined ? `  ${step.waiting}` : ''
  return `${marks[step.state]} ${step.name.padEnd(18)}${bar}  ${duration(step)}${waiting}`
}

function duration({ startedAt, endedAt }: StepProgress): string {
  return seconds((endedAt ?? new Date()).getTime() - startedAt.getTime())
}
