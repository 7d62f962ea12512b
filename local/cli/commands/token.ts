import { createHash, randomBytes } from 'node:crypto'
import { utc } from '../../../lib/amounts.ts'
import { type Scope, scopes, type Token } from '../../../lib/config/values.ts'
import { variables } from '../../../lib/config/variables.ts'
import type { Answer } from '../answer.ts'
import { type Arguments, WrongUsage } from '../arguments.ts'

/** A new token, and what the configuration keeps of it. The beginning lets secret scanners find one that leaked. */
export function newToken(
  name: string,
  granted: readonly Scope[],
  token = `tmr_${randomBytes(32).toString('base64url')}`,
): { token: string; entry: Token } {
  const sha256 = createHash('sha256').update(token).digest('hex')
  return { token, entry: { name, sha256, scopes: [...granted] } }
}

/** Command "token": makes one and says how it gets into API_TOKENS. @throws WrongUsage */
export function showToken({ command, argument, flags }: Arguments): Answer {
  if (argument === undefined)
    throw new WrongUsage('token needs a name, which the ledger will tell as who asked', command)
  if (flags.scopes === undefined)
    throw new WrongUsage('token needs --scopes: what it may do, for example --scopes read,reset', command)
  const { token, entry: made } = newToken(argument, scopesOf(flags.scopes, command))
  const entry = flags.expires === undefined ? made : { ...made, expiresAt: expiryOf(flags.expires, command) }
  if (!variables.API_TOKENS.schema.safeParse(JSON.stringify([entry])).success) {
    throw new WrongUsage(
      `"${argument}" is no name for a token. It may hold letters, digits, ".", "_" and "-", at most 64, and begins with a letter or digit`,
      command,
    )
  }
  return { document: { token, entry }, text: textOf(token, entry), code: 0 }
}

function scopesOf(text: string, command: Arguments['command']): Scope[] {
  return [...new Set(text.split(','))].map((said) => {
    const scope = scopes.find((one) => one === said.trim())
    if (scope !== undefined) return scope
    throw new WrongUsage(`"${said}" is not a scope. The scopes are ${scopes.join(', ')}`, command)
  })
}

/** A time, or so many days from now, in UTC. */
function expiryOf(text: string, command: Arguments['command']): string {
  const days = /^(\d{1,4})d$/.exec(text)?.[1]
  const isTime = /^\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d))?$/.test(text) && !Number.isNaN(Date.parse(text))
  const time = days === undefined ? Date.parse(text) : Date.now() + Number(days) * 86_400_000
  if ((days === undefined && !isTime) || time <= Date.now()) {
    throw new WrongUsage(
      `"${text}" is no time to come. Say a number of days such as 90d, or a time such as 2027-03-01T00:00:00Z`,
      command,
    )
  }
  return new Date(time).toISOString()
}

function textOf(token: string, entry: Token): string {
  const until = entry.expiresAt === undefined ? '' : `, good until ${utc(entry.expiresAt)}`
  return `The token "${entry.name}"${until}, which is shown only now and stored nowhere; keep it like a password:

  ${token}

Its entry for API_TOKENS, which cannot be turned back into the token:

  ${JSON.stringify(entry)}

API_TOKENS is a JSON array of such entries, so a first one stands in [ ], others follow after a comma. Kept in SSM:

  aws ssm put-parameter --overwrite --type SecureString --name <the path after ssm: in API_TOKENS> --value '[<entries>]'

The API reads it again within a minute; nothing has to be deployed. Taking an entry out revokes its token in the same way.
`
}
