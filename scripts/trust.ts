// The long proofs in their full form, within 25 minutes; then what each of them has tried. Its arguments are vitest's.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runTests } from './second-try.ts'

const limitMinutes = 25

const folder = mkdtempSync(join(tmpdir(), 'taskmaster-trust-'))
const countsFile = join(folder, 'counts.jsonl')
writeFileSync(countsFile, '')
const started = Date.now()

const limit = new AbortController()
const timer = setTimeout(() => {
  console.error(`The proofs took more than ${limitMinutes} minutes and are ended.`)
  limit.abort()
}, limitMinutes * 60_000)

const env = { TRUST: 'full', TRUST_COUNTS: countsFile }
const code = await runTests(['--project', '!quiet'], process.argv.slice(2), env, limit.signal)

clearTimeout(timer)
const lines = readFileSync(countsFile, 'utf8').split('\n').filter(Boolean)
rmSync(folder, { recursive: true, force: true })
console.log(`\nTried in ${((Date.now() - started) / 60_000).toFixed(1)} minutes:`)
for (const line of lines) {
  const { proof, counts } = JSON.parse(line) as { proof: string; counts: Record<string, number> }
  const numbers = Object.entries(counts).map(([what, count]) => `${count.toLocaleString('en')} ${what}`)
  console.log(`  ${proof}: ${numbers.join(', ')}`)
}
process.exitCode = limit.signal.aborted ? 1 : code
