// A process of its own for one call of one function, in the place of Lambda's runtime. Plain JavaScript: the compiler for
// TypeScript takes more memory than an export.
import { readFileSync } from 'node:fs'

const [file] = process.argv.slice(2)
const importedFrom = performance.now()
const { handler } = await import(file ?? '')
const importMs = performance.now() - importedFrom

// Whoever asked is gone, and nobody else is to be kept from the database.
process.on('disconnect', () => process.exit())

process.once('message', async ({ event, context, deadline }) => {
  const before = process.cpuUsage()
  const startedAt = performance.timeOrigin + performance.now()
  const measured = () => {
    const { user, system } = process.cpuUsage(before)
    const endedAt = performance.timeOrigin + performance.now()
    return { startedAt, endedAt, cpuMs: (user + system) / 1000, importMs, peakMiB: peakMiB() }
  }
  const getRemainingTimeInMillis = () => Math.max(0, deadline - Date.now())
  try {
    const result = await handler(event, { ...context, getRemainingTimeInMillis })
    process.send?.({ result, measured: measured() }, () => process.exit())
  } catch (error) {
    const { name, message } = error
    process.send?.({ error: { name, message }, measured: measured() }, () => process.exit())
  }
})
process.send?.({ importMs })

/** As Linux says it of the process's own memory; elsewhere, `maxRSS` may count what the parent held at the start. */
function peakMiB() {
  try {
    const status = readFileSync('/proc/self/status', 'utf8')
    return Math.round(Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024)
  } catch {
    return Math.round(process.resourceUsage().maxRSS / 1024)
  }
}
