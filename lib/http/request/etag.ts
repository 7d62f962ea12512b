import { createHash } from 'node:crypto'
import type { MiddlewareHandler } from 'hono'
import type { Api } from '../api.ts'

/**
 * For what is asked for again and again: an answer that has not changed since is a 304 without a body. A browser may keep
 * it, for that alone and for this token; what it shows it has asked for.
 */
export const revalidated: MiddlewareHandler<Api> = async (context, next) => {
  await next()
  if (context.res.status !== 200) return
  const body = Buffer.from(await context.res.clone().arrayBuffer())
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
  const { headers } = context.res
  headers.set('etag', etag)
  headers.set('cache-control', 'private, no-cache')
  headers.set('vary', 'authorization')
  if (!isNamed(etag, context.req.header('if-none-match'))) return
  headers.delete('content-type')
  context.res = new Response(null, { status: 304, headers })
}

function isNamed(etag: string, names: string | undefined): boolean {
  if (names === undefined) return false
  const listed = names.split(',').map((name) => name.trim().replace(/^W\//, ''))
  return listed.includes(etag) || listed.includes('*')
}
