import { visibleName } from '../../lib/visible.ts'

/** Numbers and tables as people read them on a terminal. */

/** `1,234,567`. Intl would do it too, but takes 25 ms at its first use, in every process that says a number. */
function number(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** `1 row`, `2 rows`. */
export function counted(value: number, one: string): string {
  return `${number(value)} ${one}${value === 1 ? '' : 's'}`
}

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10))
  const scaled = value / 1024 ** power
  return `${power === 0 ? scaled : scaled.toFixed(1)} ${units[power]}`
}

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
  const columns = Math.max(0, ...rows.map((row) => row.length))
  const widths: number[] = []
  const isNumeric: boolean[] = []
  for (let column = 0; column < columns; column++) {
    const cells = rows.map((row) => row[column] ?? '')
    widths.push(Math.max(...cells.map((cell) => cell.length)))
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
