import type { Hono, MiddlewareHandler } from 'hono'
import type { Api } from './api.ts'
import { MethodNotAllowed } from './errors.ts'
import type { RateLimits } from './rate-limit.ts'

const order = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/** Answers OPTIONS, and refuses a method that the path does not take, before anybody is asked for a token: the document is public. */
export function knownMethods(app: Hono<Api>, limits: RateLimits): MiddlewareHandler<Api> {
  let known: { methods: Set<string>; pattern: RegExp }[] | undefined
  return async (context, next) => {
    const { req, env } = context
    known ??= patternsOf(app)
    const methods = known.find(({ pattern }) => pattern.test(req.path))?.methods
    if (methods === undefined) return next() // there is no such path, for whatever method
    const method = env?.method ?? req.method
    const allowed = order.filter((one) => one === 'OPTIONS' || methods.has(one)).join(', ')
    if (method === 'OPTIONS') return new Response(null, { status: 204, headers: { allow: allowed } })
    if (methods.has(method)) return next()
    if (req.header('authorization') !== undefined) limits.stranger(context) // its token is not looked at
    throw new MethodNotAllowed(method, req.path, allowed)
  }
}

/** The paths of the app in the order of its routes; a parameter is one segment, unless it says otherwise. */
function patternsOf(app: Hono<Api>) {
  const byPath = new Map<string, Set<string>>()
  for (const { method, path } of app.routes) {
    if (method === 'ALL') continue
    const methods = byPath.get(path) ?? new Set()
    methods.add(method)
    if (method === 'GET') methods.add('HEAD')
    byPath.set(path, methods)
  }
  return [...byPath].map(([path, methods]) => {
    const pattern = path.replace(/:\w+\{(.+?)\}/g, '$1').replace(/:\w+/g, '[^/]+')
    return { methods, pattern: new RegExp(`^${pattern}$`) }
  })
}
