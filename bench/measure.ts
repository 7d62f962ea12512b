import type { Figure } from './figures/figure.ts'
import type { RowResult, Samples, ScaleResult } from './figures/results.ts'
import { programOf } from './stores/programs.ts'
import type { Bench, Peer, Subject } from './subjects/subject.ts'

type Told = (text: string) => void

/** Measures all subjects in turn, each beside its peers, and that so many times: what slows the machine down meets all. */
export async function measureAll(
  subjects: readonly Subject[],
  bench: Bench,
  rounds: number,
  tell: Told,
): Promise<Omit<ScaleResult, 'size' | 'scale'>> {
  const leftOut: ScaleResult['leftOut'] = []
  const wanted = subjects.map((subject) => ({ subject, peers: subject.peers.filter(isMeasurable) }))
  const taken = new Map<string, Figure[]>()
  const keep = (name: string, figure: Figure) => {
    taken.set(name, [...(taken.get(name) ?? []), figure])
    tell(`${name}: ${figure.seconds.toFixed(2)} s`)
  }
  for (const { subject, peers } of wanted) {
    for (const each of [subject, ...peers]) await each.prepare?.(bench)
  }
  for (let round = 1; round <= rounds; round++) {
    tell(`Round ${round} of ${rounds}, scale ${bench.world.scale}`)
    for (const { subject, peers } of wanted) {
      for (const [row, figure] of Object.entries(await subject.measure(bench))) keep(row, figure)
      for (const peer of peers) keep(nameOf(peer), await peer.measure(bench))
    }
  }
  return { rows: wanted.flatMap(({ subject, peers }) => resultsOf(subject, peers)), leftOut }

  function isMeasurable(peer: Peer): boolean {
    const missing = peer.needs.filter((name) => programOf(name) === undefined)
    const reason =
      missing.length > 0 ? `${missing.join(', ')} is not installed` : peer.leftOut?.(bench.world.scale)
    if (reason === undefined) return true
    leftOut.push({ name: peer.name, reason })
    tell(`Left out: ${peer.name}: ${reason}`)
    return false
  }
  function samples(name: string, key = name): Samples {
    return { name, figures: taken.get(key) ?? [] }
  }
  function resultsOf({ rows }: Subject, peers: readonly Peer[]): RowResult[] {
    return Object.entries(rows).map(([row, what]) => ({
      ...samples(row),
      what,
      peers: peers.filter(({ of }) => of === row).map((peer) => samples(peer.name, nameOf(peer))),
    }))
  }
}

const nameOf = ({ of, name }: Peer) => `${of} | ${name}`
