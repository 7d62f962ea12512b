/** A field of a cron expression: what it may hold, and names in place of numbers. */
type Field = { least: number; most: number; names?: readonly string[] }

const months = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC']
const weekdays = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT']

const fields = {
  minutes: { least: 0, most: 59 },
  hours: { least: 0, most: 23 },
  days: { least: 1, most: 31 },
  months: { least: 1, most: 12, names: months },
  weekdays: { least: 1, most: 7, names: weekdays },
  years: { least: 1970, most: 2199 },
} as const satisfies Record<string, Field>
export type FieldName = keyof typeof fields

/** What is wrong with an expression, in words; whoever asked for it says where it stands. */
export class WrongExpression extends Error {
  override readonly name = 'WrongExpression'
}

/** All numbers that a field names: `*`, `5`, `1-5`, `0/15`, `MON-FRI`, several behind commas; in order. @throws WrongExpression */
export function numbersOf(name: FieldName, text: string): number[] {
  const found = new Set<number>()
  for (const item of text.split(',')) for (const number of itemOf(name, item)) found.add(number)
  return [...found].sort((one, other) => one - other)
}

function itemOf(name: FieldName, item: string): number[] {
  const { least, most } = fields[name]
  const [, range = '', step] = /^([^/]+)(?:\/(\d{1,4}))?$/.exec(item) ?? []
  const [first = '', last] = range.split(/-(?=[^-]*$)/)
  const from = range === '*' ? least : numberOf(name, first)
  const to = last === undefined ? (step === undefined && range !== '*' ? from : most) : numberOf(name, last)
  const by = step === undefined ? 1 : Number(step)
  if (from === undefined || to === undefined || from > to || by === 0) {
    throw new WrongExpression(`${name}: "${item}" is not ${least} to ${most}, or a range or step of these`)
  }
  const numbers: number[] = []
  for (let number = from; number <= to; number += by) numbers.push(number)
  return numbers
}

/** Undefined for what the field cannot hold. */
export function numberOf(name: FieldName, text: string): number | undefined {
  const { least, most, names = [] }: Field = fields[name]
  const at = names.indexOf(text.toUpperCase())
  const number = at === -1 ? (/^\d{1,4}$/.test(text) ? Number(text) : Number.NaN) : at + least
  return number >= least && number <= most ? number : undefined
}
