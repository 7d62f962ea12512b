import type { MiddlewareHandler } from 'hono'

/** The page needs its own script, style and API and nothing else; no page may show it in a frame. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const headers = {
  'content-security-policy': contentSecurityPolicy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000',
}

/** On every answer, whatever it is. There is no CORS header but of /v1/next-reset: other sites' pages have nothing else to ask here. */
export const securityHeaders: MiddlewareHandler = async (context, next) => {
  await next()
  withSecurityHeaders(context.res)
}

export function withSecurityHeaders({ headers: answered }: Response): void {
  for (const [name, value] of Object.entries(headers)) answered.set(name, value)
  // What the API answers is true for a moment, and some of it is secret; the page is asked for again each time.
  if (!answered.has('cache-control')) answered.set('cache-control', 'no-store')
}
