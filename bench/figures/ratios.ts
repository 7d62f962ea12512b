import { type Figure, medianOf } from './figure.ts'
import type { RowResult, ScaleResult } from './results.ts'
import { type Target, targets } from './targets.ts'

export type Ratio = {
  row: string
  peer: string
  ours: Figure
  theirs: Figure
  /** Of the medians of the seconds. */
  ratio: number
  /** Of the medians of the CPU: steadier where others are at work, too. Null where a peer's is the server's. */
  cpuRatio: number | null
  target: Target | undefined
}

/** Each row beside each of its peers. One that was not measured has no ratio. */
export function ratiosOf({ rows }: Pick<ScaleResult, 'rows'>): Ratio[] {
  return rows.filter(({ figures }) => figures.length > 0).flatMap(ratiosOfRow)
}

function ratiosOfRow({ name: row, figures, peers }: RowResult): Ratio[] {
  const ours = medianOf(figures)
  return peers
    .filter((peer) => peer.figures.length > 0)
    .map((peer) => {
      const theirs = medianOf(peer.figures)
      const target = targets.find((one) => one.row === row && one.peer === peer.name)
      const cpuRatio =
        ours.cpuSeconds === null || theirs.cpuSeconds === null ? null : ours.cpuSeconds / theirs.cpuSeconds
      return { row, peer: peer.name, ours, theirs, ratio: ours.seconds / theirs.seconds, cpuRatio, target }
    })
}

/** The highest peak of all steps of a scale; null: of none of them it was measured. */
export function peakOf({ rows }: Pick<ScaleResult, 'rows'>): number | null {
  const peaks = rows
    .flatMap(({ figures }) => figures.map(({ peakMiB }) => peakMiB))
    .filter((peak) => peak !== null)
  return peaks.length > 0 ? Math.max(...peaks) : null
}
