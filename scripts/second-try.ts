// Tests as `npm test` and `npm run trust` run them: the files of which one lost a race are run once more, alone.
// See docs/decisions.md#a-test-may-lose-a-race-once-where-it-is-judged.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A test that failed, as test/support/failures.ts tells it. */
export type Failure = { file: string; test: string; errors: string[]; isFinding: boolean }

/** More files than may lose a race in one run. */
const tooMany = 4

/**
 * @param options of vitest, for both runs
 * @param args what the user gave, for the first
 * @returns the exit code
 */
export async function runTests(
  options: string[],
  args: string[],
  env = {},
  limit?: AbortSignal,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'taskmaster-tests-'))
  try {
    const told = join(folder, 'failures.json')
    const code = await vitest([...options, ...args], { ...env, TEST_FAILURES: told }, limit)
    if (code === 0 || limit?.aborted || !existsSync(told)) return code
    const failures: Failure[] = JSON.parse(readFileSync(told, 'utf8'))
    const files = [...new Set(failures.map(({ file }) => file))]
    if (files.length >= tooMany || failures.some(({ isFinding }) => isFinding)) return code
    console.log(`\nTried once more, with nothing beside: ${files.join(', ')}`)
    const again = await vitest([...options, ...files], env, limit)
    if (again !== 0) return again
    console.log(`Held at the second try alone (${failures.length}): a race, of the test or of what it tries`)
    for (const { file, test, errors } of failures)
      console.log(`  ${file}: ${test}\n    ${errors.join('\n    ')}`)
    return 0
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @param limit what ends it with SIGINT, and half a minute later with SIGKILL */
async function vitest(args: string[], env: Record<string, string>, limit?: AbortSignal): Promise<number> {
  const child = spawn(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...args], {
    stdio: 'inherit',
    env: { ...process.env, ...env },
  })
  const end = () => {
    child.kill('SIGINT')
    setTimeout(() => child.kill('SIGKILL'), 30_000).unref()
  }
  const wait = () => {} // Ctrl-C is the child's, too: it ends by itself, and says what it had done.
  limit?.addEventListener('abort', end)
  process.on('SIGINT', wait)
  try {
    return await new Promise((resolve, reject) => {
      child.on('error', reject).on('exit', (code) => resolve(code ?? 1))
    })
  } finally {
    limit?.removeEventListener('abort', end)
    process.off('SIGINT', wait)
  }
}
