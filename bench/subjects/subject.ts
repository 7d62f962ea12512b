import type { Figure } from '../figures/figure.ts'
import type { World } from '../world.ts'

/** What subjects and peers are measured in. */
export type Bench = {
  world: World
  /** The same product with a tenth of the data; made when it is first asked for. */
  tenth(): Promise<World>
  /** A folder of its own, which goes at the end. */
  folder: string
  functions: readonly string[]
  bundleOf(name: string): string
}

/** What is measured in one round: a figure for each of its rows. */
export type Subject = {
  /** As `--only` has it. */
  name: string
  /** The rows that it gives, and what each is, in words for the table. */
  rows: Readonly<Record<string, string>>
  /** Once, before its first round. */
  prepare?(bench: Bench): Promise<void>
  measure(bench: Bench): Promise<Record<string, Figure>>
  peers: readonly Peer[]
}

/** What a row is measured beside, in the same round. */
export type Peer = {
  name: string
  of: string
  /** Programs that have to be on the path. */
  needs: readonly string[]
  /** A sentence why it is not measured at this scale; undefined: it is. */
  leftOut?(scale: number): string | undefined
  prepare?(bench: Bench): Promise<void>
  measure(bench: Bench): Promise<Figure>
}
