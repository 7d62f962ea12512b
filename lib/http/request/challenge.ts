import { Forbidden, Unauthorized } from '../errors.ts'

/** The header that says how to get in (RFC 6750): with a token, another one, or one with another scope. */
export function challengeOf(error: unknown): { 'www-authenticate'?: string } {
  const realm = 'Bearer realm="taskmaster-reset"'
  if (error instanceof Unauthorized) {
    return { 'www-authenticate': error.hadToken ? `${realm}, error="invalid_token"` : realm }
  }
  if (!(error instanceof Forbidden)) return {}
  const scope = error.requiredScope === undefined ? '' : `, scope="${error.requiredScope}"`
  return { 'www-authenticate': `${realm}, error="insufficient_scope"${scope}` }
}
