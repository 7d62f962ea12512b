// A process of its own, started by child-processes.ts. It is told on stdin what to look after; when stdin closes, its parent has
// ended, in whatever way (an orderly stop, a crash, SIGKILL), and it sweeps away what is still there.
import { createInterface } from 'node:readline'
import { sweep } from './sweep.ts'

// The signals that end a whole session or a service must not end the one process that is to clean up after them.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

const pids = new Set<number>()
let folder: string | undefined

for await (const line of createInterface({ input: process.stdin })) {
  const [word, value] = JSON.parse(line) as [string, string]
  if (word === 'folder') folder = value
  if (word === 'started') pids.add(Number(value))
  if (word === 'ended') pids.delete(Number(value))
}
await sweep(pids, folder)
