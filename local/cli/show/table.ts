import { counted } from '../../../lib/amounts.ts'
import { visibleName } from '../../../lib/visible.ts'

/** Durations and tables as people read them on a terminal. */

export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`
}

/** How long ago, in the largest unit that makes sense: `3 hours old`. */
export function ageOf(now: Date, since: string): string {
  const minutes = Math.max(0, Math.floor((now.getTime() - Date.parse(since)) / 60_000))
  const [value, unit] =
    minutes < 120
      ? [minutes, 'minute']
      : minutes < 2880
        ? [Math.floor(minutes / 60), 'hour']
        : [Math.floor(minutes / 1440), 'day']
  return `${counted(value, unit)} old`
}

/** Lines of columns; a column whose cells are all numbers is aligned to the right. */
export function table(told: readonly (readonly string[])[], indent = '  '): string {
  const rows = told.map((row) => row.map(visibleName))
  const columns = rows.reduce((most, { length }) => Math.max(most, length), 0)
  const widths: number[] = []
  const isNumeric: boolean[] = []
  for (let column = 0; column < columns; column++) {
    const cells = rows.map((row) => row[column] ?? '')
    widths.push(cells.reduce((most, { length }) => Math.max(most, length), 0)) // they may be more than one call takes
    isNumeric.push(cells.every((cell) => /^([\d,.]+( \w+)?)?$/.test(cell)))
  }
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          isNumeric[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${indent}${line}\n`)
    .join('')
}
