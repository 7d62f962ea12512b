import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { InvalidConfiguration, messageOf } from '../lib/errors.ts'

/**
 * Puts the variables of the file `.env` in the current folder into the environment, where they are not set already: what
 * is set wins, be it empty. No file is no error.
 * @param note told which file, and names of variables, never a value
 * @throws InvalidConfiguration when there is a file that cannot be read
 */
export function readEnvFile(
  note: (text: string) => void,
  environment: NodeJS.ProcessEnv = process.env,
): void {
  const file = resolve('.env')
  const given = Object.entries(parseEnv(contentOf(file)))
  if (given.length === 0) return
  const isSet = ([name]: [string, string | undefined]) => environment[name] !== undefined
  const [kept, taken] = [given.filter(isSet), given.filter((one) => !isSet(one))]
  Object.assign(environment, Object.fromEntries(taken))
  const names = (some: typeof given) => some.map(([name]) => name).join(', ')
  const wins = kept.length > 0 ? ` Set already, and so not taken from it: ${names(kept)}.` : ''
  note(`${file} gives ${taken.length > 0 ? names(taken) : 'nothing'}.${wins}`)
}

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw new InvalidConfiguration(`${file} cannot be read (${messageOf(cause)}). Mend it or take it away`, {
      cause,
    })
  }
}
