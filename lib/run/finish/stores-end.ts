import type { Manifest, Warning } from '../../backup/manifest.ts'
import type { Clients } from '../../clients.ts'
import type { RunRow } from '../../ledger/runs.ts'
import { type Ending, perStore, type Target, targets } from '../../store.ts'
import { enders, type Held, type Left, type RestoreSummaries, type Summaries } from '../../stores.ts'
import type { Outcome } from '../outcome.ts'
import type { PlanSummary } from '../planning/plan-summary.ts'

/** What tells how far a run got: first the ledger, which is never wrong, then what the steps left behind in the bucket. */
export type EndFacts = {
  row: RunRow
  /** null: the row has no plan, or one that cannot be understood. */
  summary: PlanSummary | null
  manifest: Manifest | null
  left: Left
  /** The machine came to its end without an error. */
  succeeded: boolean
  /** Something of what lies in the bucket could not be read: what is missing there may have been written. */
  unread: boolean
}

/** What the stores say of a run that has ended. */
export type StoresEnd = {
  targets: Outcome['targets']
  warnings: Warning[]
  /** Codes of warnings of the plan and of the manifest that do not count any more. */
  settled: string[]
  shortfalls: { wipe: string[]; restore: string[] }
}

/** What the ledger says of each store. @throws when another version wrote it */
export function leftInLedger(row: RunRow): Left {
  return perStore((target) => enders[target].inLedger(row)) as Left
}

/** The same with what the steps left in the bucket. @throws when something of it cannot be read */
export async function leftInBucket(
  clients: Clients,
  { row, summary, left }: Pick<EndFacts, 'row' | 'summary' | 'left'>,
): Promise<Left> {
  const found = { ...left }
  async function find<T extends Target>(target: T): Promise<void> {
    const { inBucket } = enders[target]
    const about = { row, summary: sectionOf(summary, target) }
    found[target] = (await inBucket?.(clients, about, left[target])) ?? left[target]
  }
  for (const target of targets) await find(target)
  return found
}

/**
 * What happened to each store. The ledger says of the database what was committed; of files and cache it says only whether
 * their turn has come: where the steps' results cannot be read, such a store is `unknown`, never `untouched`.
 * @see docs/decisions.md#an-outcome-says-what-is-known-and-where-it-ends
 */
export function endOfStores(known: EndFacts): StoresEnd {
  const end = <T extends Target>(target: T) => enders[target].end(endingOf(known, target), known.left[target])
  const ends = perStore(end)
  const each = Object.values(ends)
  const shortfalls = (of: 'wipe' | 'restore') => each.flatMap(({ shortfall }) => shortfall[of] ?? [])
  return {
    targets: perStore((target) => ends[target].counts) as StoresEnd['targets'],
    warnings: each.flatMap(({ warnings }) => warnings),
    settled: each.flatMap(({ settled }) => settled ?? []),
    shortfalls: { wipe: shortfalls('wipe'), restore: shortfalls('restore') },
  }
}

function endingOf<T extends Target>(
  { row, summary, manifest, succeeded, unread }: EndFacts,
  target: T,
): Ending<Summaries[T], RestoreSummaries[T], Held[T]> {
  // What cannot be understood may have been about any of them.
  const clears = summary?.clears ?? (row.plan === null ? [] : targets)
  return {
    row,
    summary: sectionOf(summary, target),
    clears: clears.includes(target),
    dryRun: summary?.dryRun ?? false,
    exact: summary?.restore?.exact ?? false,
    succeeded,
    held: (manifest?.[target] ?? null) as Held[T] | null,
    unread,
  }
}

/** What is known of the plan for one store; null: nothing is. */
function sectionOf<T extends Target>(
  summary: PlanSummary | null,
  target: T,
): { planned: Summaries[T] | null; restore: RestoreSummaries[T] | null } | null {
  if (summary === null) return null
  const restore = summary.restore as RestoreSummaries[T] | null
  return { planned: summary[target] as Summaries[T] | null, restore }
}
