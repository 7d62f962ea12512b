import { readFileSync } from 'node:fs'

/**
 * The most memory, in MiB, that this process has held. Not `maxRSS` where it can be told otherwise: Linux counts there what
 * the parent held when it started the child, and a test's worker may hold more than the child ever does.
 */
export function peakMiB(): number {
  return Math.round((highWaterMark() ?? process.resourceUsage().maxRSS) / 1024)
}

/** In KiB, as proc(5) says it of the process's own memory. */
function highWaterMark(): number | undefined {
  try {
    const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))
    return found?.[1] === undefined ? undefined : Number(found[1])
  } catch {
    return undefined // not Linux
  }
}
