import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'

/** What the command line says and ends with, when its stdout goes where the shell lets it. */
function ended(where: string) {
  const command = `'${process.execPath}' bin/taskmaster-reset.mjs help ${where}`
  const { stderr, status } = spawnSync('bash', ['-c', `set -o pipefail; ${command}`], { encoding: 'utf8' })
  return { stderr, status }
}

test('a reader that has read enough is no failure', () => {
  expect(ended('| true')).toEqual({ stderr: '', status: 0 })
})

test.runIf(existsSync('/dev/full'))('a full disk under the output is said in a sentence', () => {
  const { stderr, status } = ended('>/dev/full')
  expect(stderr).toMatch(/^What came of it cannot be written: ENOSPC.*\n$/)
  expect(status).toBe(1)
})
