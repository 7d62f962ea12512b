import type { Fence } from '../../lib/ledger/fence.ts'

/** The fence of a run that holds the lock, as long as `lost` is not set. */
export function fenceOf(number: number): Fence & { lost: Error | null } {
  const fence = {
    number,
    signal: new AbortController().signal,
    lost: null as Error | null,
    check: async () => {
      if (fence.lost !== null) throw fence.lost
    },
    noted: async () => ({ attempt: 0, planDigest: null }),
    // A ledger that notes nothing: of late files the highest counts.
    lateOf: async () => undefined,
    replaceLate: () => fence.check(),
  }
  return fence
}
