// Run by whole.trust.test.ts as a process of its own, like a Lambda: state "Count", of tables whose sizes are invented.
import { CountInput, countAll } from '../../lib/run/count.ts'
import { currentClients } from '../../lib/task.ts'
import { peakMiB } from '../support/peak-memory.ts'
import { withSizes } from './invented-sizes.ts'

const [event = '', sizes = '{}'] = process.argv.slice(2)
const sizeOf: Record<string, number> = JSON.parse(sizes)
const clients = await currentClients()
const started = performance.now()
const counted = await countAll(
  withSizes(clients, (name) => sizeOf[name.startsWith('public.large_') ? 'large' : 'small'] ?? 8192),
  CountInput.parse(JSON.parse(event)),
)
const { user, system } = process.cpuUsage()
const cpuSeconds = (user + system) / 1e6
console.log(
  JSON.stringify({ counted, peakMiB: peakMiB(), seconds: (performance.now() - started) / 1000, cpuSeconds }),
)
