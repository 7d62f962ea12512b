import { bytes, counted } from '../../lib/amounts.ts'
import { type Figure, medianOf } from './figure.ts'
import { peakOf, ratiosOf } from './ratios.ts'
import type { Results, RowResult, ScaleResult } from './results.ts'
import { limits } from './targets.ts'

/** Fewer say little of a machine that others use, too. */
export const enoughRounds = 5

/** The document of one measuring. @param pictures file names, with what each shows */
export function markdownOf(results: Results, pictures: Readonly<Record<string, string>> = {}): string {
  const { date, rounds, machine, load, versions, scales, bundles } = results
  const few = rounds < enoughRounds ? ` **Fewer than ${enoughRounds}: this is a look, not a result.**` : ''
  return [
    '# Measured beside the peers',
    'Made by `npm run bench`, which [Benchmarks](../docs/benchmarks.md) describes. Seconds and CPU are medians, a peak is the highest of all rounds, and the ratio is that of the median seconds, ours to the peer’s.',
    [
      `- ${date.slice(0, 16).replace('T', ' ')} UTC, ${counted(rounds, 'round')}.${few}`,
      `- ${machine}; load ${load.toFixed(1)}.${load > 2 ? ' Others were at work on it: seconds say nothing by themselves.' : ''}`,
      `- ${versions.join('; ')}; fsync off.`,
    ].join('\n'),
    ...Object.entries(pictures).map(([file, shows]) => `![${shows}](${file})`),
    ...scales.flatMap((scale) => sectionOf(scale)),
    ...memoryOf(scales),
    ...bundlesOf(bundles),
  ]
    .join('\n\n')
    .concat('\n')
}

function sectionOf(scale: ScaleResult): string[] {
  const { rows, bytes: inDatabase, files, keys } = scale.size
  const ratios = ratiosOf(scale)
  const measured = scale.rows.filter(({ figures }) => figures.length > 0)
  const lines = measured.flatMap((row) => {
    const own = [row.what, ...cellsOf(medianOf(row.figures)), peakCell(row)]
    const beside = ratios.filter((one) => one.row === row.name)
    if (beside.length === 0) return [[...own, '', '', '', '', '', limitOf(row)]]
    return beside.map(({ peer, theirs, ratio, cpuRatio, target }, index) => [
      ...(index === 0 ? own : ['', '', '', '']),
      escaped(peer),
      ...cellsOf(theirs),
      cpuRatio === null ? '' : cpuRatio.toFixed(2),
      ratio.toFixed(2),
      target === undefined ? '' : `${target.most}${ratio <= target.most ? ' ✓' : ''}`,
    ])
  })
  const head = ['what', 's', 'CPU s', 'MiB', 'peer', 's', 'CPU s', 'CPU ratio', 'ratio', 'at most']
  const left = scale.leftOut.map(({ name, reason }) => `\`${name}\` (${reason})`)
  return [
    `## Scale ${scale.scale}: ${counted(rows, 'row')} (${bytes(inDatabase)}), ${counted(files, 'file')}, ${counted(keys, 'key')}`,
    tableOf([head, ...lines]),
    ...(left.length > 0 ? [`Left out: ${left.join(', ')}.`] : []),
  ]
}

function cellsOf({ seconds, cpuSeconds }: Figure): string[] {
  return [secondsCell(seconds), cpuSeconds === null ? '' : secondsCell(cpuSeconds)]
}

function secondsCell(seconds: number): string {
  return seconds < 10 ? seconds.toFixed(2) : seconds.toFixed(1)
}

function peakCell({ figures }: RowResult): string {
  const { peakMiB } = medianOf(figures)
  return peakMiB === null ? '' : String(peakMiB)
}

function limitOf({ name, figures }: RowResult): string {
  if (name !== 'import') return ''
  return `${limits.importSeconds} s${medianOf(figures).seconds <= limits.importSeconds ? ' ✓' : ''}`
}

function memoryOf(scales: readonly ScaleResult[]): string[] {
  const told = scales.flatMap((scale) => {
    const peak = peakOf(scale)
    return peak === null ? [] : [`${peak} MiB at scale ${scale.scale}`]
  })
  if (told.length === 0) return []
  const growth = scales.length > 1 ? `, of which ten times the data may add ${limits.peakGrowth * 100} %` : ''
  return [`Largest peak of any invocation: ${told.join(', ')}; at most ${limits.peakMiB} MiB${growth}.`]
}

function bundlesOf(bundles: Results['bundles']): string[] {
  const sorted = Object.entries(bundles).sort(([, one], [, other]) => other - one)
  if (sorted.length === 0) return []
  const list = sorted.map(([name, KiB]) => `${name} ${Math.round(KiB)}`)
  return ['## Bundles', `KiB of each function, at most ${limits.bundleKiB}: ${list.join(', ')}.`]
}

function tableOf([head = [], ...lines]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    line(head),
    line(head.map((_, index) => (index === 0 || index === 4 ? '---' : '--:'))),
    ...lines.map(line),
  ].join('\n')
}

const escaped = (peer: string) => `\`${peer.replaceAll('|', '\\|')}\``
