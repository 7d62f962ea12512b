import { execFileSync, spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { showCompletion } from '../../local/cli/commands/completion.ts'
import { commands } from '../../local/cli/table/commands.ts'

const scriptFor = (argument: string) => showCompletion({ command: 'completion', argument, flags: {} }).text

/** What bash offers for the last of these words. */
function offeredByBash(...words: string[]): string[] {
  const asked = `${scriptFor('bash')}
COMP_WORDS=(taskmaster-reset "$@"); COMP_CWORD=$#
_taskmaster_reset
printf '%s\\n' "\${COMPREPLY[@]}"`
  const said = execFileSync('bash', ['-c', asked, 'bash', ...words], { encoding: 'utf8' })
  return said.split('\n').filter((word) => word !== '')
}

describe('completion', () => {
  test('in bash offers commands, what can stand behind them, options, and values of options', () => {
    expect(offeredByBash('')).toEqual([...Object.keys(commands), '--help', '--version'])
    expect(offeredByBash('ba')).toEqual(['backup', 'backups'])
    expect(offeredByBash('reset', 'd')).toEqual(['database-only'])
    expect(offeredByBash('reset', 'full', '--dry')).toEqual(['--dry-run'])
    expect(offeredByBash('restore', 'b', '--target', '')).toEqual(['database', 'files', 'cache'])
    expect(offeredByBash('backups', '--dry')).toEqual([])
    expect(offeredByBash('help', 'dif')).toEqual(['diff'])
    expect(offeredByBash('reset', '--confirm', '')).toEqual([]) // a name that nobody knows here
  })

  test.each(['zsh', 'fish'])('for %s names every command and every option', (shell) => {
    const script = scriptFor(shell)
    for (const [name, { options }] of Object.entries(commands)) {
      expect(script).toMatch(new RegExp(`\\b${name}\\b`))
      for (const option of options) expect(script).toMatch(new RegExp(`(--|-l )${option}\\b`))
    }
    const { error, status, stderr } = spawnSync(shell, ['--no-execute'], { input: script, encoding: 'utf8' })
    if (error === undefined) expect([status, stderr]).toEqual([0, '']) // where that shell is installed
  })
})
