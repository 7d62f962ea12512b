import { numberOf, numbersOf, WrongExpression } from './fields.ts'

/** A day of the calendar. */
export type Day = { year: number; month: number; day: number }
/** Whether a rule holds on a day. */
export type DayRule = (day: Day) => boolean

/** Sunday is 1, as the expressions have it. */
function weekdayOf({ year, month, day }: Day): number {
  return new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 1
}

export function daysIn({ year, month }: Pick<Day, 'year' | 'month'>): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate()
}

/** Day of the month: numbers, `L` for the last one, `15W` for the working day nearest to the 15th. @throws WrongExpression */
export function monthDayRule(text: string): DayRule {
  if (text === 'L') return (day) => day.day === daysIn(day)
  const near = /^(\d{1,2})W$/.exec(text)?.[1]
  if (near === undefined) {
    const days = new Set(numbersOf('days', text))
    return ({ day }) => days.has(day)
  }
  const wanted = numberOf('days', near)
  if (wanted === undefined) throw new WrongExpression(`days: "${text}" names no day of a month`)
  return (day) => wanted <= daysIn(day) && day.day === nearestWorkingDay({ ...day, day: wanted })
}

/** In the same month: of a Saturday the Friday, of a Sunday the Monday, unless that is another month's. */
function nearestWorkingDay(day: Day): number {
  const weekday = weekdayOf(day)
  if (weekday === 7) return day.day === 1 ? 3 : day.day - 1
  if (weekday === 1) return day.day === daysIn(day) ? day.day - 2 : day.day + 1
  return day.day
}

/** Day of the week: numbers or names, `6L` for the last Friday of a month, `6#2` for the second, `L` for Saturday. @throws WrongExpression */
export function weekdayRule(text: string): DayRule {
  const [, name, sign, which] = /^([^#]*?)(?:(L)|#([1-5]))$/.exec(text) ?? []
  if (name === undefined) {
    const weekdays = new Set(numbersOf('weekdays', text))
    return (day) => weekdays.has(weekdayOf(day))
  }
  if (name === '' && sign === 'L') return (day) => weekdayOf(day) === 7
  const wanted = numberOf('weekdays', name)
  if (wanted === undefined) throw new WrongExpression(`weekdays: "${text}" names no day of the week`)
  return (day) =>
    weekdayOf(day) === wanted &&
    (sign === 'L' ? day.day + 7 > daysIn(day) : Math.ceil(day.day / 7) === Number(which))
}
