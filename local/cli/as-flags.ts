import { commandLine } from './program.ts'

/** How a message says a part of a request, and how the command line says the same. */
const said: [RegExp, string | ((...groups: string[]) => string)][] = [
  [/\{"operation":"claim","confirm":"([^"]*)"\}/g, (_, name = '') => commandLine('claim', '--confirm', name)],
  [/"confirm": "([^"]*)"/g, (_, name = '') => `--confirm ${name}`],
  [/"allowForeign": true/g, '--allow-foreign'],
  [/"allowUnsigned": true/g, '--allow-unsigned'],
  [/"exact": true/g, '--exact'],
  [/"without": \[([^\]]*)\]/g, (_, names = '') => flags('--without', names)],
  [/"targets": \[([^\]]*)\]/g, (_, names = '') => flags('--target', names)],
  [/"(without|targets|rehearse)"/g, (_, name = '') => (name === 'targets' ? '--target' : `--${name}`)],
]

/**
 * What a message advises to say in a request, as it is said on the command line: who follows it there would otherwise look
 * for a place for JSON.
 */
export function asFlags(message: string): string {
  return said.reduce(
    (text, [json, flag]) =>
      typeof flag === 'string'
        ? text.replace(json, flag)
        : text.replace(json, (...groups) => flag(...groups)),
    message,
  )
}

/** @param names as they stand in a JSON array */
function flags(flag: string, names: string): string {
  const all = JSON.parse(`[${names}]`) as string[]
  return all.map((name) => `${flag} ${quoted(name)}`).join(' ')
}

/** For a shell, where it would read more than a word. */
function quoted(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`
}
