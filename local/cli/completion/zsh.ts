import { offered } from './words.ts'

/** For a file `_taskmaster-reset` in a folder of `fpath`, or to be sourced. */
export function zshCompletion(): string {
  const commands = offered().map(
    ({ name, says }) => `    ${quoted(`${name}:${says.replaceAll(':', '\\:')}`)}`,
  )
  const cases = offered().map(({ name, words, options }) => {
    const specs = options.map((option) => {
      const value =
        option.takes === 'nothing'
          ? ''
          : option.takes === 'something'
            ? ':value:'
            : `:value:(${option.takes.join(' ')})`
      return quoted(`*${option.name}[${option.says.replace(/[[\]:]/g, '\\$&')}]${value}`)
    })
    const first = words.length > 0 ? ` ${quoted(`1:word:(${words.join(' ')})`)}` : ''
    return `    ${name}) _arguments ${specs.join(' ')}${first} ;;`
  })
  return `#compdef taskmaster-reset
_taskmaster-reset() {
  local -a commands=(
${commands.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  shift words
  (( CURRENT-- ))
  case "$words[1]" in
${cases.join('\n')}
  esac
}
# Sourced it is only made known; in a folder of fpath it is called at once.
if [[ "$funcstack[1]" = _taskmaster-reset ]]; then
  _taskmaster-reset "$@"
else
  compdef _taskmaster-reset taskmaster-reset
fi
`
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
