// Run by whole.trust.test.ts as a process of its own, like a Lambda: what Seal does for the files of a run.
import { sealFiles } from '../../lib/files/copy/seal.ts'
import { currentClients } from '../../lib/task.ts'
import { peakMiB } from '../support/peak-memory.ts'

const asked = JSON.parse(process.argv[2] ?? '')
const started = performance.now()
const { held } = await sealFiles(await currentClients(), asked)
const { user, system } = process.cpuUsage()
const cpuSeconds = (user + system) / 1e6
console.log(
  JSON.stringify({ held, peakMiB: peakMiB(), seconds: (performance.now() - started) / 1000, cpuSeconds }),
)
