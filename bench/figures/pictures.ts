import { medianOf } from './figure.ts'
import { ratiosOf } from './ratios.ts'
import type { ScaleResult } from './results.ts'
import { bar, colors, label, line, svg } from './svg.ts'

/** The ratios that have a target, as multiples of it: what ends left of the line has reached it. */
export function drawRatios(scale: ScaleResult): string {
  const drawn = ratiosOf(scale).flatMap(({ row, peer, ratio, target }) =>
    target === undefined ? [] : [{ text: `${row} : ${peer}`, ratio, most: target.most }],
  )
  const [left, width, row] = [330, 300, 24]
  const largest = Math.max(2, ...drawn.map(({ ratio, most }) => ratio / most))
  const x = (multiple: number) => left + (width * multiple) / largest
  const height = 50 + row * drawn.length
  return svg(
    'Ratios to the peers',
    [left + width + 110, height],
    [
      label(`Ratio to the peer at scale ${scale.scale}; the line is the target`, { x: 12, y: 20 }),
      ...drawn.flatMap(({ text, ratio, most }, index) => {
        const y = 36 + row * index
        return [
          label(text, { x: left - 8, y: y + 13 }, 'end'),
          bar(
            { x: left, y: y + 2 },
            x(ratio / most) - left,
            row - 8,
            ratio <= most ? colors.good : colors.bad,
          ),
          label(`${ratio.toFixed(2)} of ${most}`, { x: x(ratio / most) + 6, y: y + 13 }),
        ]
      }),
      line(
        [1, 1].map((multiple, index) => ({ x: x(multiple), y: index === 0 ? 30 : height - 8 })),
        colors.text,
      ),
    ],
  )
}

type Growth = { row: string; ours: Dot[]; theirs: Dot[]; peer: string | undefined }
type Dot = { scale: number; seconds: number }

const [columns, boxWidth, boxHeight] = [3, 240, 170]

/** Seconds over the scale, both in powers of ten: a straight line that rises by one for each is a price by the row. */
export function drawGrowth(scales: readonly ScaleResult[]): string {
  const drawn = growthOf(scales)
  const all = drawn.flatMap(({ ours, theirs }) => [...ours, ...theirs])
  const xs = powers(all.map(({ scale }) => scale))
  const ys = powers(all.map(({ seconds }) => seconds))
  const height = 40 + boxHeight * Math.ceil(drawn.length / columns)
  return svg(
    'Seconds by scale',
    [columns * boxWidth, height],
    [
      label('Seconds by scale: ours', { x: 12, y: 20 }, 'start', colors.ours),
      label('and the first peer', { x: 150, y: 20 }, 'start', colors.theirs),
      ...drawn.flatMap((growth, index) => {
        const corner = { x: (index % columns) * boxWidth, y: 40 + Math.floor(index / columns) * boxHeight }
        return box(growth, corner, xs, ys)
      }),
    ],
  )
}

function growthOf(scales: readonly ScaleResult[]): Growth[] {
  const names = [...new Set(scales.flatMap(({ rows }) => rows.map(({ name }) => name)))]
  return names.map((row) => {
    const found = scales.flatMap(({ scale, rows }) =>
      rows
        .filter(({ name, figures }) => name === row && figures.length > 0)
        .map((one) => ({ scale, ...one })),
    )
    const dots = (one: (typeof found)[number]['peers'][number] | undefined, scale: number) =>
      one === undefined || one.figures.length === 0 ? [] : [{ scale, seconds: medianOf(one.figures).seconds }]
    return {
      row,
      ours: found.flatMap((one) => dots(one, one.scale)),
      theirs: found.flatMap((one) => dots(one.peers[0], one.scale)),
      peer: found[0]?.peers[0]?.name,
    }
  })
}

type Range = { from: number; to: number }

/** From the power of ten below the least to the one above the most. */
function powers(values: readonly number[]): Range {
  const logs = values.filter((value) => value > 0).map(Math.log10)
  const from = Math.floor(Math.min(...logs))
  return { from, to: Math.max(from + 1, Math.ceil(Math.max(...logs))) }
}

function box(
  { row, ours, theirs, peer }: Growth,
  corner: { x: number; y: number },
  xs: Range,
  ys: Range,
): string[] {
  const inner = {
    left: corner.x + 40,
    right: corner.x + boxWidth - 14,
    top: corner.y + 34,
    bottom: corner.y + boxHeight - 24,
  }
  const x = (value: number) =>
    inner.left + ((inner.right - inner.left) * (value - xs.from)) / (xs.to - xs.from)
  const y = (value: number) =>
    inner.bottom - ((inner.bottom - inner.top) * (value - ys.from)) / (ys.to - ys.from)
  const place = ({ scale, seconds }: Dot) => ({ x: x(Math.log10(scale)), y: y(Math.log10(seconds)) })
  const steps = ({ from, to }: Range) => Array.from({ length: to - from + 1 }, (_, index) => from + index)
  return [
    label(row, { x: corner.x + 12, y: corner.y + 14 }),
    ...(peer === undefined
      ? []
      : [label(peer, { x: corner.x + 12, y: corner.y + 28 }, 'start', colors.theirs)]),
    ...steps(ys).flatMap((power) => [
      line(
        [
          { x: inner.left, y: y(power) },
          { x: inner.right, y: y(power) },
        ],
        colors.faint,
      ),
      label(String(10 ** power), { x: inner.left - 4, y: y(power) + 4 }, 'end'),
    ]),
    ...steps(xs).map((power) => label(String(10 ** power), { x: x(power), y: inner.bottom + 16 }, 'middle')),
    line(theirs.map(place), colors.theirs, 2),
    line(ours.map(place), colors.ours, 2),
  ]
}
