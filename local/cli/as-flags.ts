import { commandLine } from './program.ts'
import type { OptionText } from './table/option-text.ts'
import { optionTexts } from './table/options.ts'

/** The options that stand for a field of a request, and say nothing else by being there. */
const optionOf = new Map(
  Object.entries<OptionText>(optionTexts).flatMap(([name, { field, means }]) =>
    field === undefined || means !== undefined ? [] : [[field, name] as const],
  ),
)
const field = `"(${[...optionOf.keys()].map((one) => one.replace('.', '\\.')).join('|')})"`
/** As JSON has it: what only looks like it is no advice. */
const string = '"(?:[^"\\\\\\u0000-\\u001f]|\\\\(?:["\\\\/bfnrt]|u[0-9a-fA-F]{4}))*"'

/** How a message says a part of a request, and how the command line says the same. */
const said: [RegExp, (...groups: string[]) => string][] = [
  [/\{"operation":"claim","confirm":"([^"]*)"\}/g, (_, name = '') => commandLine('claim', '--confirm', name)],
  [new RegExp(`"confirm": (${string})`, 'g'), (_, name = '') => flags('confirm', name)],
  [new RegExp(`${field}: true`, 'g'), (_, name = '') => flagOf(name)],
  [
    new RegExp(`${field}: \\[(${string}(?:, ?${string})*)\\]`, 'g'),
    (_, name = '', values = '') => flags(name, values),
  ],
  // With a colon it is a field of a request that is shown, which is JSON here, too.
  [new RegExp(`${field}(?!:)`, 'g'), (_, name = '') => flagOf(name)],
]

/**
 * What a message advises to say in a request, as it is said on the command line: who follows it there would otherwise look
 * for a place for JSON.
 */
export function asFlags(message: string): string {
  return said.reduce((text, [json, flag]) => text.replace(json, (...groups) => flag(...groups)), message)
}

function flagOf(field: string): string {
  return `--${optionOf.get(field)}`
}

/** @param values as they stand in a JSON array */
function flags(field: string, values: string): string {
  const all = JSON.parse(`[${values}]`) as string[]
  return all.map((value) => `${flagOf(field)} ${quoted(value)}`).join(' ')
}

/** For a shell, where it would read more than a word. */
function quoted(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`
}
