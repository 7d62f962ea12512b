/** How the CLI is called, in every text that shows a command to paste. */
export const program = 'npm run -s cli --'

/** A whole command. */
export function commandLine(...args: readonly string[]): string {
  return [program, ...args].join(' ')
}
