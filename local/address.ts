/** The value of a variable that holds an address. It may hold a password, so it must not come up in the message. */
export function parseAddress(name: string, value: string): URL {
  if (URL.canParse(value)) return new URL(value)
  throw new Error(
    `${name} is no URL; it should look like postgres://user:password@host:5432/name or redis://host:6379.`,
  )
}

/** Where an address leads, for a description. */
export function hostOf(url: string): string {
  return URL.canParse(url) && !url.startsWith('ssm:') ? new URL(url).host : 'the address in SSM'
}
