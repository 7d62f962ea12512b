import { counted } from '../../../lib/amounts.ts'
import { visibleName } from '../../../lib/visible.ts'
import { terminalWidth, wrapped } from './width.ts'

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

/** Lines with a heading over each column, as the lists have it; nothing of none. */
export function list(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  width = terminalWidth(),
): string {
  return rows.length === 0 ? '' : lines([heading, ...rows], { indent: '', width, headings: 1 })
}

/** Lines of columns; a column whose cells are all numbers is aligned to the right. */
export function table(told: readonly (readonly string[])[], indent = '  ', width = terminalWidth()): string {
  return lines(told, { indent, width, headings: 0 })
}

/** What follows the first columns of a row where they have no room beside each other. */
const further = '    '

function lines(
  told: readonly (readonly string[])[],
  { indent, width, headings }: { indent: string; width: number; headings: number },
): string {
  const rows = told.map((row) => row.map(visibleName))
  const columns = rows.reduce((most, { length }) => Math.max(most, length), 0)
  const widths: number[] = []
  const isNumeric: boolean[] = []
  for (let column = 0; column < columns; column++) {
    const cells = rows.map((row) => row[column] ?? '')
    widths.push(cells.reduce((most, { length }) => Math.max(most, length), 0)) // they may be more than one call takes
    isNumeric.push(cells.slice(headings).every((cell) => /^([\d,.]+( \w+)?)?$/.test(cell)))
  }
  const bands = bandsOf(widths, width - indent.length)
  const padded = (cell: string, column: number) =>
    isNumeric[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)
  return rows
    .flatMap((row) =>
      bands.flatMap((band, at) => {
        const before = at === 0 ? indent : indent + further
        const cells = row.flatMap((cell, column) => (band.includes(column) ? [padded(cell, column)] : []))
        if (at > 0 && cells.join('').trim() === '') return []
        const last = (cells.at(-1) ?? '').trimEnd()
        const beside = cells
          .slice(0, -1)
          .map((cell) => `${cell}  `)
          .join('')
        const [first = '', ...more] = wrapped(last, width - before.length - beside.length)
        return [before + beside + first, ...more.map((one) => before + ' '.repeat(beside.length) + one)]
      }),
    )
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}

/** The last column is broken between words where it has at least so much room. */
const columnLeast = 24

/** Columns that stand beside each other; those that have no room there stand below, beside each other. */
function bandsOf(widths: readonly number[], room: number): number[][] {
  const bands: number[][] = [[]]
  let used = 0
  for (const [column, width] of widths.entries()) {
    const band = bands.at(-1) as number[]
    const own = bands.length === 1 ? room : room - further.length
    const isLast = column === widths.length - 1
    const fits = used + 2 + (isLast ? Math.min(width, columnLeast) : width) <= own
    if (band.length > 0 && !fits) {
      bands.push([column])
      used = width
    } else {
      used += (band.length > 0 ? 2 : 0) + width
      band.push(column)
    }
  }
  return bands
}
