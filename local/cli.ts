import { visibleName } from '../lib/visible.ts'
import { logToStderr } from './cli/logs.ts'
import { main } from './cli/main.ts'
import { colouredNames } from './cli/show/colour.ts'
import { readEnvFile } from './env-file.ts'

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return // whoever read it, like head, has read enough
  process.stderr.write(`What came of it cannot be written: ${error.message}. What was done is done\n`)
  process.exitCode = 1
})
const { code, stdout, stderr } = await main(process.argv.slice(2), {
  isTerminal: process.stdin.isTTY && process.stderr.isTTY,
  async perform(args, wanted) {
    readEnvFile((text) => void process.stderr.write(`${visibleName(text)}\n`))
    logToStderr('SILENT')
    const { perform } = await import('./cli/perform.ts')
    return perform(args, wanted)
  },
})
const isJson = process.argv.includes('--json')
if (stderr !== '') process.stderr.write(colouredNames(stderr, process.stderr))
if (stdout !== '') process.stdout.write(isJson ? stdout : colouredNames(stdout, process.stdout))
process.exitCode = code
