import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

// SIGINT is PostgreSQL's fast shutdown and an orderly end for redis-server. SIGQUIT is PostgreSQL's immediate one.
const STEPS: { signal: NodeJS.Signals; waitMs: number }[] = [
  { signal: 'SIGINT', waitMs: 3_000 },
  { signal: 'SIGQUIT', waitMs: 1_500 },
  { signal: 'SIGKILL', waitMs: 1_000 },
]

/** Ends the processes, by force when they do not go, then removes the folder. What is gone already is no error. */
export async function sweep(pids: Iterable<number>, folder: string | undefined): Promise<void> {
  let left = [...pids].filter(isRunning)
  for (const { signal, waitMs } of STEPS) {
    if (left.length === 0) break
    for (const pid of left) send(pid, signal)
    left = await waitUntilGone(left, waitMs)
  }
  // A backend may still be writing its last file while its parent is gone already: hence the retries.
  if (folder) await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
}

async function waitUntilGone(pids: number[], waitMs: number): Promise<number[]> {
  const deadline = Date.now() + waitMs
  let left = pids
  while (left.length > 0 && Date.now() < deadline) {
    await sleep(10)
    left = left.filter(isRunning)
  }
  return left
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // Gone between the look and the signal.
  }
}

/** False for a zombie too: in a container whose first process never reaps, those stay for good. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  if (process.platform !== 'linux') return true
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat[stat.lastIndexOf(')') + 2] !== 'Z'
  } catch {
    return false
  }
}
