import type { Schedule } from '../../config/schedules.ts'
import { daysIn } from './days.ts'
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

/**
 * The longest time that passes between two of its next runs, in minutes; null: it runs once at most.
 * @throws WrongExpression
 */
export function periodOf(schedule: Timed, after: Date): number | null {
  const parsed = parseExpression(schedule.expression)
  if (parsed.kind === 'rate') return parsed.minutes
  const times = nextTimes(schedule, after, 32)
  const gaps = times.slice(1).map((time, at) => time.getTime() - (times[at] ?? time).getTime())
  return gaps.length === 0 ? null : Math.max(...gaps) / 60_000
}

/** What the clock on the wall shows at each of its times, from the day on that it shows now. */
function* timesOf(expression: Expression, from: WallTime): Generator<WallTime> {
  if (expression.kind === 'at') yield { ...expression, ...expression.day }
  if (expression.kind !== 'cron') return
  const { years, months, isDay, hours, minutes } = expression
  for (const year of years) {
    if (year < from.year) continue
    for (const month of months) {
      if (year === from.year && month < from.month) continue
      const first = year === from.year && month === from.month ? from.day : 1
      for (let day = first; day <= daysIn({ year, month }); day++) {
        if (!isDay({ year, month, day })) continue
        for (const hour of hours)
          for (const minute of minutes) yield { year, month, day, hour, minute, second: 0 }
      }
    }
  }
}
