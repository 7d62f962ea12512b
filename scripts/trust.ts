// The long proofs in their full form, within 25 minutes; then what each of them has tried.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const limitMinutes = 25

const folder = mkdtempSync(join(tmpdir(), 'taskmaster-trust-'))
const countsFile = join(folder, 'counts.jsonl')
writeFileSync(countsFile, '')
const started = Date.now()

const vitest = spawn(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', '--project', '!quiet', ...process.argv.slice(2)],
  { stdio: 'inherit', env: { ...process.env, TRUST: 'full', TRUST_COUNTS: countsFile } },
)
let isLate = false
const limit = setTimeout(() => {
  isLate = true
  console.error(`The proofs took more than ${limitMinutes} minutes and are ended.`)
  vitest.kill('SIGINT')
  setTimeout(() => vitest.kill('SIGKILL'), 30_000).unref()
}, limitMinutes * 60_000)

vitest.on('exit', (code) => {
  clearTimeout(limit)
  const lines = readFileSync(countsFile, 'utf8').split('\n').filter(Boolean)
  rmSync(folder, { recursive: true, force: true })
  console.log(`\nTried in ${((Date.now() - started) / 60_000).toFixed(1)} minutes:`)
  for (const line of lines) {
    const { proof, counts } = JSON.parse(line) as { proof: string; counts: Record<string, number> }
    const numbers = Object.entries(counts).map(([what, count]) => `${count.toLocaleString('en')} ${what}`)
    console.log(`  ${proof}: ${numbers.join(', ')}`)
  }
  process.exit(isLate ? 1 : (code ?? 1))
})
