import { scopes } from '../../../lib/config/values.ts'
import { strategies } from '../../../lib/run/strategy.ts'
import { targets } from '../../../lib/store.ts'
import type { Command } from '../table/command.ts'
import { commands } from '../table/commands.ts'
import type { OptionText } from '../table/option-text.ts'
import { optionTexts } from '../table/options.ts'

/** A command, as a shell offers it. */
export type Offered = {
  name: string
  says: string
  /** What can stand behind it, where that is known beforehand. */
  words: readonly string[]
  options: OfferedOption[]
}
type OfferedOption = { name: string; says: string; takes: 'nothing' | 'something' | readonly string[] }

export const shells = ['bash', 'zsh', 'fish'] as const

const wordsOf: Record<string, readonly string[]> = { strategy: strategies, shell: shells }
const valuesOf: Record<string, readonly string[]> = { target: targets, scopes }

/** Every command with its options, as `--help` has them. */
export function offered(): Offered[] {
  return Object.entries<Command>(commands).map(([name, { says, argument = '', options }]) => ({
    ...{ name, says },
    words: name === 'help' ? Object.keys(commands) : (wordsOf[argument.replace(/[<>[\]]/g, '')] ?? []),
    options: options.map((option) => {
      const text: OptionText = optionTexts[option]
      const takes = text.type === 'boolean' ? 'nothing' : (valuesOf[option] ?? 'something')
      return { name: `--${option}`, says: text.says, takes }
    }),
  }))
}
