import type { Answer } from '../answer.ts'
import { type Arguments, WrongUsage } from '../arguments.ts'
import { bashCompletion } from '../completion/bash.ts'
import { fishCompletion } from '../completion/fish.ts'
import { shells } from '../completion/words.ts'
import { zshCompletion } from '../completion/zsh.ts'

const scriptOf: Record<string, () => string> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
}

/** Command "completion": what a shell needs to complete commands and options. */
export function showCompletion({ argument = '' }: Arguments): Answer {
  const script = Object.hasOwn(scriptOf, argument) ? scriptOf[argument]?.() : undefined
  if (script === undefined) {
    throw new WrongUsage(
      `completion needs the name of a shell: ${new Intl.ListFormat('en-GB', { type: 'disjunction' }).format(shells)}`,
      'completion',
    )
  }
  return { document: { shell: argument, script }, text: script, code: 0 }
}
