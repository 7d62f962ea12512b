import type { Status } from '../../lib/run/status/status.ts'
import { type Strategy, scopeOf } from '../../lib/run/strategy.ts'
import { words } from '../../lib/stores/words.ts'

/** A backup with a label: what a reset can go back to. */
export type Baseline = Status['labelled'][number]

/** Those that hold what the strategy replaces; others would be refused. */
export function baselinesFor(labelled: readonly Baseline[], strategy: Strategy): Baseline[] {
  return labelled.filter((backup) =>
    scopeOf(strategy).clears.every((target) => backup[words[target].total] !== null),
  )
}
