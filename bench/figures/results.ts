import type { Figure } from './figure.ts'

/** One row of what is measured, or one peer of it, with all its rounds. */
export type Samples = { name: string; figures: Figure[] }

export type RowResult = Samples & { what: string; peers: Samples[] }

/** All that was measured at one scale. */
export type ScaleResult = {
  scale: number
  size: { rows: number; bytes: number; files: number; keys: number }
  rows: RowResult[]
  /** Who was not measured, and why. */
  leftOut: { name: string; reason: string }[]
}

export type Results = {
  date: string
  rounds: number
  machine: string
  /** The machine's load while it was measured, the mean of the last minute of all rounds. */
  load: number
  versions: string[]
  scales: ScaleResult[]
  /** KiB of each function. */
  bundles: Record<string, number>
}
