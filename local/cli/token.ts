import { createHash, randomBytes } from 'node:crypto'
import { type Scope, scopes, type Token, variables } from '../../lib/config.ts'
import type { Answer } from './answer.ts'
import { type Arguments, WrongUsage } from './arguments.ts'

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
  const { token, entry } = newToken(argument, scopesOf(flags.scopes, command))
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

function textOf(token: string, entry: Token): string {
  return `The token "${entry.name}", which is shown only now and stored nowhere; keep it like a password:

  ${token}

Its entry for API_TOKENS, which cannot be turned back into the token:

  ${JSON.stringify(entry)}

API_TOKENS is a JSON array of such entries, so a first one stands in [ ], others follow after a comma. Kept in SSM:

  aws ssm put-parameter --overwrite --type SecureString --name <the path after ssm: in API_TOKENS> --value '[<entries>]'

A function that is already warm reads it when it starts anew: deploy, or wait until it was idle. Taking an entry out
revokes its token in the same way.
`
}
