/**
 * What a step that destroys something asks before each request that does: whether its run still holds the lock. A function
 * that was frozen, or whose answer was lost, may wake up when its run is long over and another one has restored what it
 * was about to delete.
 */
export type Fence = {
  /** A later run has a higher one: for a store that can compare, and refuse a straggler by itself. */
  number: number
  /** @throws RunLost when the run was cancelled, finished or taken over */
  check(): Promise<void>
}
