import type { Range } from '../../backup/ranges/range.ts'
import type { TablePart } from '../../backup/sections/database.ts'
import { addFingerprints } from '../../backup/sections/fingerprint.ts'
import type { TableRanges } from '../ranges.ts'
import type { PageRange } from '../rows.ts'

/** Postgres knows no page of this number or above. */
const lastPage = 2 ** 32 - 1

/** Of the rows of a range, a part or a table; equal ones are the same rows. */
export type RangeSum = { rows: number; fingerprint: string }

/**
 * The ranges of a live table, from which those go that are found in a backup: rows have no order, so wherever a range lies
 * there, the same count and the same sum of hashes are the same rows.
 */
export class LiveRanges {
  readonly #ranges: TableRanges
  readonly #isLeft: Uint8Array
  readonly #pages: number
  /** What is left, by its sum; made when a range is asked for first. */
  #bySum: Map<string, number[]> | undefined

  /** @param ranges in their order @param pages of each */
  constructor(ranges: TableRanges, pages: number) {
    this.#ranges = ranges
    this.#isLeft = new Uint8Array(ranges.length).fill(1)
    this.#pages = pages
  }

  /** Takes all ranges of the part's pages away, when they are together what the part holds. To be called before `takeRange`. */
  takePart({ pages: { from, to }, ...part }: Pick<TablePart, 'pages' | 'rows' | 'fingerprint'>): boolean {
    if (from % this.#pages !== 0 || (to ?? 0) % this.#pages !== 0) return false
    const first = this.#placeOf(from / this.#pages)
    const end = to === null ? this.#ranges.length : this.#placeOf(to / this.#pages)
    if (!isSame(sumOf(this.#ranges.slice(first, end)), part)) return false
    this.#isLeft.fill(0, first, end)
    return true
  }

  /** Takes one range away that holds as many rows with the same sum of hashes. */
  takeRange(range: RangeSum): boolean {
    this.#bySum ??= this.#leftBySum()
    const place = this.#bySum.get(nameOf(range))?.pop()
    if (place === undefined) return false
    this.#isLeft[place] = 0
    return true
  }

  /** The pages of what is left. */
  left(): PageRange[] {
    const runs: { from: number; to: number }[] = []
    for (const [place, { range }] of this.#ranges.entries()) {
      if (this.#isLeft[place] === 0) continue
      const [from, to] = [range * this.#pages, Math.min((range + 1) * this.#pages, lastPage)]
      const last = runs.at(-1)
      if (last?.to === from) last.to = to
      else runs.push({ from, to })
    }
    return runs
  }

  #leftBySum(): Map<string, number[]> {
    const bySum = new Map<string, number[]>()
    for (const [place, range] of this.#ranges.entries()) {
      if (this.#isLeft[place] === 0) continue
      const places = bySum.get(nameOf(range))
      if (places === undefined) bySum.set(nameOf(range), [place])
      else places.push(place)
    }
    return bySum
  }

  /** Where the range of this number is, or the first behind it. */
  #placeOf(number: number): number {
    let [low, high] = [0, this.#ranges.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#ranges[middle]?.range as number) < number) low = middle + 1
      else high = middle
    }
    return low
  }
}

export function sumOf(ranges: readonly Pick<Range, 'rows' | 'fingerprint'>[]): RangeSum {
  const rows = ranges.reduce((sum, range) => sum + range.rows, 0)
  return { rows, fingerprint: addFingerprints(ranges.map(({ fingerprint }) => fingerprint)) }
}

export function isSame(one: RangeSum, other: RangeSum): boolean {
  return one.rows === other.rows && one.fingerprint === other.fingerprint
}

function nameOf({ rows, fingerprint }: RangeSum): string {
  return `${rows} ${fingerprint}`
}

/** The ranges of one side of two, each as often as it is there; those of the other side are taken from them. */
export class RangeCounts {
  readonly #counts = new Map<string, number>()

  add(range: RangeSum): void {
    const name = nameOf(range)
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
  }

  /** @returns false when there is none left with as many rows and the same sum of hashes */
  take(range: RangeSum): boolean {
    const name = nameOf(range)
    const count = this.#counts.get(name)
    if (count === undefined) return false
    if (count === 1) this.#counts.delete(name)
    else this.#counts.set(name, count - 1)
    return true
  }
}
