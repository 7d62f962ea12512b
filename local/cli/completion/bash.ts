import { offered } from './words.ts'

/** For `source <(taskmaster-reset completion bash)`. */
export function bashCompletion(): string {
  const cases = offered().map(({ name, words, options }) => {
    const values = options.flatMap(({ name: option, takes }) =>
      takes === 'nothing' ? [] : [`${option}) words='${takes === 'something' ? '' : takes.join(' ')}' ;;`],
    )
    const all = [...words, ...options.map((option) => option.name)].join(' ')
    return `    ${name})
      case "$before" in
        ${[...values, `*) words='${all}' ;;`].join('\n        ')}
      esac ;;`
  })
  return `_taskmaster_reset() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" words=''
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='${offered()
      .map(({ name }) => name)
      .join(' ')} --help --version'
  else
    case "\${COMP_WORDS[1]}" in
${cases.map((one) => one.replace(/^/gm, '  ')).join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _taskmaster_reset taskmaster-reset
`
}
