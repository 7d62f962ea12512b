import { pagesInRange, type Range } from '../../backup/ranges/range.ts'
import type { TablePart } from '../../backup/sections/database.ts'
import { addFingerprints } from '../../backup/sections/fingerprint.ts'
import type { Shard } from '../parts/shards.ts'

/** What the base holds of a table: all of its parts when `isWhole`, and then all of the table is in one batch. */
type InBase = { rows: number; fingerprint: string; isWhole: boolean; parts: readonly TablePart[] }

/** What is in a table now, by the number that a range has in it; those without rows are not named. */
export type LiveRange = { range: number; rows: number; fingerprint: string }

/** How a shard is backed up. `compose`: of this part of the base, as far as its ranges are the shard's. */
type ShardDecision =
  | { kind: 'copy'; shard: Shard; part: TablePart }
  | { kind: 'compose'; shard: Shard; part: TablePart }
  | { kind: 'export'; shard: Shard }

/** How a table is: by the base's parts as they are, wherever its rows lie now, or shard by shard. */
export type Decision =
  | { kind: 'table'; parts: readonly TablePart[] }
  | { kind: 'shards'; shards: ShardDecision[] }

/**
 * Decides by count and fingerprint what is taken over from the base.
 * @param live of each shard what is in it now
 * @see docs/decisions.md#what-is-taken-over-is-decided-by-fingerprints-of-the-same-snapshot
 */
export function decide(
  shards: readonly Shard[],
  base: InBase,
  live: readonly (readonly LiveRange[])[],
): Decision {
  const found = live.map(sumOf)
  const decided = shards.map((shard, at): ShardDecision => {
    const now = found[at] ?? sumOf([])
    const same = base.parts.find((part) => hasPages(part, shard))
    if (same !== undefined && isEqual(same, now)) return { kind: 'copy', shard, part: same }
    const part = now.rows === 0 ? undefined : base.parts.find((one) => mayShare(one, shard))
    return part === undefined ? { kind: 'export', shard } : { kind: 'compose', shard, part }
  })
  const isMoved = decided.some(({ kind }) => kind !== 'copy') && base.isWhole && isEqual(base, sumOf(found))
  return isMoved ? { kind: 'table', parts: base.parts } : { kind: 'shards', shards: decided }
}

/** A stretch of a composed part: ranges of the base's part by their place in it, pages that are read anew, or no rows. */
export type Stretch =
  | { taken: { from: number; to: number } }
  | { pages: { from: number; to: number } }
  | { empty: number }

/** What is made of a part: its ranges in their order, and what of them is the base's. */
export type Composition = { stretches: Stretch[]; rows: number; bytes: number }

/** Less than this share of a part's bytes is not worth reading the part for. */
const worth = 1 / 8
/** Bytes of a frame that is held whole. */
const frameMax = 4 * 2 ** 20

/**
 * Finds the ranges of the base's part that are the shard's, in the order of both.
 * @param held the ranges of the part
 * @param live what is in the shard now
 * @param endPage where the shard ends now
 * @returns null when too little of the part is the same
 */
export function compose(
  shard: Shard,
  part: TablePart,
  { held, live, endPage }: { held: readonly Range[]; live: readonly LiveRange[]; endPage: number },
): Composition | null {
  const first = shard.pages.from / pagesInRange
  const count = Math.ceil(endPage / pagesInRange) - first
  const ofRange = new Map(live.map((one) => [one.range - first, one]))
  const taken = inOrder(matches(held, ofRange, first - part.pages.from / pagesInRange))
  const made: Composition = { stretches: [], rows: 0, bytes: 0 }
  for (let range = 0; range < count; range++) {
    const place = taken.get(range)
    if (place === undefined) {
      const from = shard.pages.from + range * pagesInRange
      addFresh(made.stretches, { from, to: Math.min(from + pagesInRange, endPage) }, ofRange.has(range))
    } else {
      addTaken(made.stretches, place)
      made.rows += held[place]?.rows ?? 0
      made.bytes += held[place]?.length ?? 0
    }
  }
  return made.bytes >= part.bytes * worth ? made : null
}

/** Of each range the place of one in the part that has the same rows: at the same pages if it can be, else the next of such. */
function matches(
  held: readonly Range[],
  live: ReadonlyMap<number, LiveRange>,
  shift: number,
): { range: number; place: number }[] {
  const places = Map.groupBy(
    held.flatMap((one, place) => (isTakeable(one) ? [{ text: textOf(one), place }] : [])),
    ({ text }) => text,
  )
  const moved = new Map<string, number>()
  return [...live].flatMap(([range, one]) => {
    const text = textOf(one)
    const among = places.get(text) ?? []
    const last = moved.get(text) ?? -1
    const later = among.filter(({ place }) => place > last)
    const { place } = later.find((one) => one.place === range + shift) ?? later[0] ?? {}
    if (place === undefined) return []
    moved.set(text, place)
    return [{ range, place }]
  })
}

function isTakeable({ rows, length }: Range): boolean {
  return rows > 0 && length <= frameMax
}

/** The most of them that are in one order on both sides, for a part is read once, from its beginning to its end. */
function inOrder(pairs: readonly { range: number; place: number }[]): Map<number, number> {
  type Chain = { range: number; place: number; before: Chain | undefined }
  const ends: Chain[] = []
  for (const pair of pairs) {
    let [low, high] = [0, ends.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((ends[middle] as Chain).place < pair.place) low = middle + 1
      else high = middle
    }
    ends[low] = { ...pair, before: ends[low - 1] }
  }
  const chosen = new Map<number, number>()
  for (let last = ends.at(-1); last !== undefined; last = last.before) chosen.set(last.range, last.place)
  return chosen
}

function addTaken(stretches: Stretch[], place: number): void {
  const last = stretches.at(-1)
  if (last !== undefined && 'taken' in last && last.taken.to === place) last.taken.to++
  else stretches.push({ taken: { from: place, to: place + 1 } })
}

/** Ranges without rows between others that are read are read with them: one statement more costs more. */
function addFresh(stretches: Stretch[], pages: { from: number; to: number }, hasRows: boolean): void {
  const last = stretches.at(-1)
  if (last !== undefined && 'pages' in last) last.pages.to = pages.to
  else if (hasRows) stretches.push({ pages })
  else if (last !== undefined && 'empty' in last) last.empty++
  else stretches.push({ empty: 1 })
}

export type Sum = { rows: number; fingerprint: string }

export function sumOf(found: readonly Sum[]): Sum {
  return {
    rows: found.reduce((sum, { rows }) => sum + rows, 0),
    fingerprint: addFingerprints(found.map(({ fingerprint }) => fingerprint)),
  }
}

function isEqual(one: Sum, other: Sum): boolean {
  return one.rows === other.rows && one.fingerprint === other.fingerprint
}

function textOf({ rows, fingerprint }: Sum): string {
  return `${rows} ${fingerprint}`
}

function hasPages({ pages }: TablePart, shard: Shard): boolean {
  return pages.from === shard.pages.from && pages.to === shard.pages.to
}

/** Whether the shard begins among the part's pages, and both on the grid of ranges. */
function mayShare({ pages, ranges }: TablePart, shard: Shard): boolean {
  if (ranges?.pages !== pagesInRange) return false
  if (pages.from % pagesInRange !== 0 || shard.pages.from % pagesInRange !== 0) return false
  return pages.from <= shard.pages.from && shard.pages.from < (pages.to ?? Number.POSITIVE_INFINITY)
}
