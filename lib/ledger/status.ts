/** The states of a run, as people read them. */
export const statusWords: Record<string, string> = {
  starting: 'starting',
  running: 'running',
  succeeded: 'succeeded',
  succeeded_with_warnings: 'succeeded, with warnings',
  failed: 'failed',
  abandoned: 'abandoned',
  cancelled: 'cancelled',
}
