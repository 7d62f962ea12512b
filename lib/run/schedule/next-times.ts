import type { Schedule } from '../../config/schedules.ts'
import { type Day, daysIn } from './days.ts'
import { type Expression, parseExpression } from './expression.ts'
import { type WallTime, wallClock } from './wall-clock.ts'

type Timed = Pick<Schedule, 'expression' | 'timeZone'>

/**
 * When the schedule begins next, as EventBridge Scheduler does: a time that the clocks are put forward past is left out, one
 * that they show twice is taken once. Of a `rate` it is not known, since it counts from when AWS made the schedule: none.
 * @throws WrongExpression
 */
export function nextTimes({ expression, timeZone }: Timed, after: Date, count: number): Date[] {
  const clock = wallClock(timeZone)
  const times: Date[] = []
  for (const time of timesOf(parseExpression(expression), clock.shows(after))) {
    if (times.length >= count) break
    const instant = clock.instantOf(time)
    if (instant !== undefined && instant > after) times.push(instant)
  }
  return times
}

/** So many of its days are looked at. */
const looksAt = 32

/**
 * The longest time that passes between two of its next runs by the clock on the wall, in minutes; null: it runs once at most.
 * Of a schedule of working hours that is the weekend, however often it runs in them.
 * @throws WrongExpression
 */
export function periodOf({ expression, timeZone }: Timed, after: Date): number | null {
  const parsed = parseExpression(expression)
  if (parsed.kind === 'rate') return parsed.minutes
  if (parsed.kind === 'at') return null
  const days: number[] = []
  for (const { year, month, day } of daysOf(parsed, wallClock(timeZone).shows(after))) {
    days.push(Date.UTC(year, month - 1, day) / 60_000)
    if (days.length === looksAt) break
  }
  const times = parsed.hours.flatMap((hour) => parsed.minutes.map((minute) => hour * 60 + minute))
  const overnight = (times[0] ?? 0) - (times.at(-1) ?? 0)
  const gaps = [...(days.length === 0 ? [] : gapsOf(times)), ...gapsOf(days).map((gap) => gap + overnight)]
  return gaps.length === 0 ? null : Math.max(...gaps)
}

function gapsOf(minutes: readonly number[]): number[] {
  return minutes.slice(1).map((minute, at) => minute - (minutes[at] ?? minute))
}

/** What the clock on the wall shows at each of its times, from the day on that it shows now. */
function* timesOf(expression: Expression, from: WallTime): Generator<WallTime> {
  if (expression.kind === 'at') yield { ...expression, ...expression.day }
  if (expression.kind !== 'cron') return
  for (const day of daysOf(expression, from))
    for (const hour of expression.hours)
      for (const minute of expression.minutes) yield { ...day, hour, minute, second: 0 }
}

function* daysOf({ years, months, isDay }: Extract<Expression, { kind: 'cron' }>, from: Day): Generator<Day> {
  for (const year of years) {
    if (year < from.year) continue
    for (const month of months) {
      if (year === from.year && month < from.month) continue
      const first = year === from.year && month === from.month ? from.day : 1
      for (let day = first; day <= daysIn({ year, month }); day++)
        if (isDay({ year, month, day })) yield { year, month, day }
    }
  }
}
