import { type Day, type DayRule, daysIn, monthDayRule, weekdayRule } from './days.ts'
import { numbersOf, WrongExpression } from './fields.ts'

/**
 * When something begins, as EventBridge Scheduler says it. `rate` counts from when the schedule was made or changed, which only
 * AWS knows.
 * @see https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
 */
export type Expression =
  | { kind: 'cron'; years: number[]; months: number[]; isDay: DayRule; hours: number[]; minutes: number[] }
  | { kind: 'rate'; minutes: number }
  | { kind: 'at'; day: Day; hour: number; minute: number; second: number }

const minutesIn = { minute: 1, hour: 60, day: 1440 }

/** @throws WrongExpression in words for a person */
export function parseExpression(text: string): Expression {
  const [, kind, inner = ''] = /^(cron|rate|at)\(([^()]*)\)$/.exec(text) ?? []
  if (kind === 'cron') return cronOf(inner)
  if (kind === 'rate') return rateOf(inner)
  if (kind === 'at') return atOf(inner)
  throw new WrongExpression(
    `"${text}" is no expression. Right ones are cron(0 3 * * ? *), rate(6 hours) and at(2027-01-31T03:00:00)`,
  )
}

function cronOf(inner: string): Expression {
  const given = inner.trim().split(/ +/)
  const [minutes = '', hours = '', days = '', months = '', weekdays = '', years = ''] = given
  if (given.length !== 6) {
    throw new WrongExpression(
      `cron has six fields (minutes hours day-of-month month day-of-week year), and this one ${given.length}: "${inner}"`,
    )
  }
  // Of the two only one can say something, and AWS wants it said which.
  if ((days === '?') === (weekdays === '?')) {
    throw new WrongExpression(
      `cron(${inner}) has to have "?" as the day of the month or as the day of the week, and not as both`,
    )
  }
  return {
    kind: 'cron',
    minutes: numbersOf('minutes', minutes),
    hours: numbersOf('hours', hours),
    months: numbersOf('months', months),
    years: numbersOf('years', years),
    isDay: weekdays === '?' ? monthDayRule(days) : weekdayRule(weekdays),
  }
}

function rateOf(inner: string): Expression {
  const [, value = '', unit = ''] = /^([1-9]\d{0,5}) +(minute|hour|day)s?$/.exec(inner.trim()) ?? []
  if (value === '') {
    throw new WrongExpression(`rate(${inner}) is not a number of minutes, hours or days, as rate(6 hours)`)
  }
  return { kind: 'rate', minutes: Number(value) * minutesIn[unit as keyof typeof minutesIn] }
}

function atOf(inner: string): Expression {
  const parts = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)$/.exec(inner)?.slice(1).map(Number) ?? []
  const [year = 0, month = 0, day = 0, hour = 24, minute = 60, second = 60] = parts
  const isDay = month >= 1 && month <= 12 && day >= 1 && day <= daysIn({ year, month })
  if (!isDay || hour > 23 || minute > 59 || second > 59) {
    throw new WrongExpression(`at(${inner}) is no time, as at(2027-01-31T03:00:00) is one`)
  }
  return { kind: 'at', day: { year, month, day }, hour, minute, second }
}
