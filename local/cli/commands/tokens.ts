import { utc } from '../../../lib/amounts.ts'
import { readTokenUses } from '../../../lib/ledger/token-uses.ts'
import { withConnection } from '../../../lib/postgres/with-connection.ts'
import type { Answer } from '../answer.ts'
import type { Connected } from '../connect.ts'
import { list } from '../show/table.ts'

type ToldToken = {
  name: string
  scopes: readonly string[]
  expiresAt: string | null
  lastUsedAt: string | null
}

/** Command "tokens": the entries of API_TOKENS, until when they are good, and when they were last used. */
export async function showTokens({ clients }: Connected): Promise<Answer> {
  const uses = await withConnection(clients, readTokenUses)
  const tokens = clients.config.API_TOKENS.map(({ name, scopes, expiresAt = null }) => {
    const lastUsedAt = uses.get(name)?.toISOString() ?? null
    return { name, scopes, expiresAt, lastUsedAt }
  })
  return tokensAnswer(tokens, clients.now())
}

export function tokensAnswer(tokens: readonly ToldToken[], now: Date): Answer {
  const text = list(
    ['name', 'scopes', 'until', 'use'],
    tokens.map(({ name, scopes, expiresAt, lastUsedAt }) => [
      name,
      scopes.join(','),
      expiresAt === null
        ? 'never expires'
        : `${Date.parse(expiresAt) <= now.getTime() ? 'expired' : 'expires'} ${utc(expiresAt)}`,
      lastUsedAt === null ? 'no use known' : `last used ${utc(lastUsedAt)}`,
    ]),
  )
  const none = 'API_TOKENS is not set or holds no entry, so the HTTP API lets nobody in.\n'
  return { document: { tokens }, text: text === '' ? none : text, code: 0 }
}
