import { basename } from 'node:path'

/** A package has the bundle alone: sources, and with them the embedded stack, are in a checkout. */
export const isPackaged = !import.meta.url.endsWith('.ts')

/** How the CLI is called, in every text that shows a command to paste. */
export const program = nameOf(process.argv[1], isPackaged)

/**
 * As it was called. A package is never called by npx in what is to be pasted: outside of a checkout that would look for the name
 * in the registry.
 */
export function nameOf(script: string | undefined, packaged: boolean): string {
  if (packaged) return 'taskmaster-reset'
  return basename(script ?? '').startsWith('taskmaster-reset') ? 'npx taskmaster-reset' : 'npm run -s cli --'
}

/** A whole command. */
export function commandLine(...args: readonly string[]): string {
  return [program, ...args].join(' ')
}
