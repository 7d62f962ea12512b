import { counted, number } from '../../../lib/amounts.ts'
import type { DifferingRow, ToldRows } from '../../../lib/database/schema/differing-rows.ts'
import { differenceHeadings } from '../../../lib/run/words/difference.ts'
import { visible, visibleName } from '../../../lib/visible.ts'
import { table } from './table.ts'

/** On a terminal: columns beside each other, and characters of a value. */
const most = { columns: 8, characters: 40 }

type Changed = Extract<DifferingRow, { kind: 'changed' }>
type Values = Changed['now']

/** The first rows of a table that differ, for people. @param isBetween two backups were compared */
export function showRows(told: ToldRows, isBetween: boolean): string {
  const { name, extra, missing, changed, columns, leftOut } = told
  const headings = differenceHeadings(isBetween)
  const would = (does: string, found: number, rows: readonly DifferingRow[]) => {
    const some = rows.length === found ? counted(found, 'row') : `${rows.length} of ${counted(found, 'row')}`
    return `\n${headings.restore} would ${does} ${some} of ${visibleName(name)}:\n\n`
  }
  const of = <Kind extends DifferingRow['kind']>(kind: Kind) =>
    told.rows.filter((row): row is Extract<DifferingRow, { kind: Kind }> => row.kind === kind)
  const [gone, back, other] = [of('extra'), of('missing'), of('changed')]
  const sides = [headings.before, headings.now].map((side) => side.toLowerCase())
  // Somebody may have dropped or altered it since it was planned to tell them.
  const obstacle = told.obstacle ?? (told.now === null ? 'it is not there now' : undefined)
  if (obstacle !== undefined) return `\nRows of ${visibleName(name)} cannot be told: ${visible(obstacle)}.\n`
  if (extra + missing + (changed ?? 0) === 0) return `\nNo row of ${visibleName(name)} differs.\n`
  const rest = `\n${counted(leftOut, 'row')} more would have been too long to tell.\n`
  return [
    extra === 0
      ? ''
      : would('remove', extra, gone) +
        wholeRows(
          columns,
          gone.map(({ now }) => now),
        ),
    missing === 0
      ? ''
      : would('bring back', missing, back) +
        wholeRows(
          columns,
          back.map(({ before }) => before),
        ),
    !changed
      ? ''
      : would('change back', changed, other) +
        table([['', 'column', ...sides], ...other.flatMap((row) => changes(told, row))]),
    leftOut === 0 ? '' : rest,
  ].join('')
}

function wholeRows(columns: readonly string[], rows: readonly Values[]): string {
  const more = columns.length - most.columns
  const told = table([columns, ...rows].map((row) => row.slice(0, most.columns).map(cell)))
  return more <= 0 ? told : `${told}  and ${number(more)} columns more: --json tells all\n`
}

/** A line for each value that is another one now; of a long one that may be behind what is told. */
function changes({ columns, key }: ToldRows, { before, now }: Changed): string[][] {
  const own = columns.flatMap((name, at) => (key.includes(name) ? [cell(now[at] ?? null)] : []))
  const lines = columns.flatMap((name, at) => {
    const [was, is] = [before[at] ?? null, now[at] ?? null]
    return was === is ? [] : [[own.join(', '), name, cell(was), cell(is)]]
  })
  return lines.length > 0 ? lines : [[own.join(', '), 'behind the beginning of a long value', '', '']]
}

function cell(value: string | null): string {
  if (value === null) return 'NULL'
  if (value.length <= most.characters) return value
  return `${value.slice(0, most.characters).replace(/[\ud800-\udbff]$/, '')}…` // no half of a character
}
