import { offered } from './words.ts'

/** For `~/.config/fish/completions/taskmaster-reset.fish`. */
export function fishCompletion(): string {
  const lines = offered().flatMap(({ name, says, words, options }) => {
    const within = `complete -c taskmaster-reset -n '__fish_seen_subcommand_from ${name}'`
    return [
      `complete -c taskmaster-reset -n __fish_use_subcommand -f -a ${name} -d ${quoted(says)}`,
      ...(words.length > 0 ? [`${within} -f -a ${quoted(words.join(' '))}`] : []),
      ...options.map(({ name: option, says: means, takes }) => {
        const value =
          takes === 'nothing' ? '' : takes === 'something' ? ' -r' : ` -x -a ${quoted(takes.join(' '))}`
        return `${within} -l ${option.slice(2)}${value} -d ${quoted(means)}`
      }),
    ]
  })
  return `${lines.join('\n')}\n`
}

function quoted(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`
}
