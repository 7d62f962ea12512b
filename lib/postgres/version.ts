/** The major version of a server, as `18` of `18.4`: within one, values are written and read in the same way. */
export function majorOf(serverVersion: string): string {
  return /^\d*/.exec(serverVersion)?.[0] ?? ''
}
