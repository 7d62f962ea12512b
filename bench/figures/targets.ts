/** What a row is to reach at most, as a multiple of the same round's peer. */
export type Target = { row: string; peer: string; most: number; why: string }

export const targets: readonly Target[] = [
  {
    row: 'export',
    peer: 'pg_dump -Fd -j2 -Z1',
    most: 1.5,
    why: 'JSON is more than twice the bytes of COPY, and each part is read back',
  },
  { row: 'export', peer: 'pg_dump -Fc', most: 0.2, why: 'that compresses on one core, at a higher level' },
  {
    row: 'backup',
    peer: 'pg_dump -Fd -j2 -Z1, pg_restore -j2',
    most: 1.5,
    why: 'a dump that was restored once, and beside it every row compared',
  },
  {
    row: 'same night',
    peer: 'pg_dump -Fd -j2 -Z1',
    most: 0.6,
    why: 'every row is read and hashed once, and what the last backup holds is copied from it',
  },
  {
    row: 'changed night',
    peer: 'pg_dump -Fd -j2 -Z1',
    most: 1,
    why: 'and what has changed is exported, loaded and compared',
  },
  {
    row: 'restore of 1 %',
    peer: 'pg_restore -j2',
    most: 0.5,
    why: 'only rows that differ are taken out and put in, and all are compared',
  },
  {
    row: 'restore',
    peer: 'pg_restore -j2',
    most: 2,
    why: 'rows are loaded, compared, and moved into the live tables in one transaction',
  },
  {
    row: 'wipe lock',
    peer: 'one fingerprint pass',
    most: 1.2,
    why: 'every row is read once under the lock; everything else is done before it',
  },
  { row: 'copy files', peer: 'rclone copy --transfers 64', most: 1, why: 'the same requests to the same S3' },
  {
    row: 'export keys',
    peer: 'redis-cli --scan, a DUMP each, pipelined',
    most: 1,
    why: 'the same values, over HTTP as Upstash has it',
  },
  {
    row: 'clear keys',
    peer: 'redis-cli --scan | xargs redis-cli unlink',
    most: 0.5,
    why: 'one script for a page of keys, where that is a process and a round trip for each thousand',
  },
  {
    row: 'options',
    peer: 'the same with a tenth of the data',
    most: 1.2,
    why: 'what is asked before a reset is told from statistics and first pages',
  },
]

/** What no row exceeds, whatever it is measured beside. */
export const limits = {
  /** Of any invocation. */
  peakMiB: 256,
  /** By how much the peak grows with ten times the data. */
  peakGrowth: 0.1,
  /** Of a function's bundle. */
  bundleKiB: 900,
  importSeconds: 0.15,
}
