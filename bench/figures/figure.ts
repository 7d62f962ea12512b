import type { Measured } from '../steps/invoke.ts'
import { covered, median } from './statistics.ts'

/** What something took. `null`: it cannot be told of it, as the CPU time of what a server does. */
export type Figure = { seconds: number; cpuSeconds: number | null; peakMiB: number | null }

/** Several steps as one: the time in which any of them was at work, all their CPU, the largest of their peaks. */
export function figureOf(steps: readonly Measured[]): Figure {
  if (steps.length === 0) throw new Error('No step was measured.')
  return {
    seconds: covered(steps) / 1000,
    cpuSeconds: steps.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / 1000,
    peakMiB: Math.max(...steps.map(({ peakMiB }) => peakMiB)),
  }
}

/** Time alone. */
export function lasting(seconds: number): Figure {
  return { seconds, cpuSeconds: null, peakMiB: null }
}

/** Each by itself: the median of the seconds and of the CPU, the highest of the peaks. */
export function medianOf(figures: readonly Figure[]): Figure {
  const all = (key: 'cpuSeconds' | 'peakMiB') => {
    const values = figures.map((figure) => figure[key])
    return values.every((value) => value !== null) ? values : null
  }
  const [cpu, peaks] = [all('cpuSeconds'), all('peakMiB')]
  return {
    seconds: median(figures.map(({ seconds }) => seconds)),
    cpuSeconds: cpu && median(cpu),
    peakMiB: peaks && Math.max(...peaks),
  }
}
