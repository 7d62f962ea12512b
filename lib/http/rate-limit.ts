import type { Context, MiddlewareHandler } from 'hono'
import type { Api } from './api.ts'
import { TooManyRequests } from './errors.ts'

/** How often somebody may ask: so many at once, and then so many a second. */
type Rate = { burst: number; perSecond: number }

export type Rates = { token: Rate; address: Rate }

/**
 * What one process lets through. Several stand beside each other when many requests come at once, each with its own memory:
 * so this bounds what one caller makes a process do, not how many requests there are. That is the gateway's part.
 * @see docs/decisions.md#the-function-counts-callers-the-gateway-requests
 */
export const usualRates: Rates = {
  token: { burst: 200, perSecond: 20 },
  address: { burst: 200, perSecond: 10 },
}

/** Of so many callers something is remembered; those who asked least recently are forgotten first. */
const remembered = 10_000

/** Counts by name. `take` gives 0 when the caller may ask, else the seconds to wait. */
export function rateLimiter({ burst, perSecond }: Rate): { take: (name: string) => number } {
  const buckets = new Map<string, { left: number; at: number }>()
  return {
    take(name) {
      const now = Date.now()
      const { left, at } = buckets.get(name) ?? { left: burst, at: now }
      const filled = Math.min(burst, left + (Math.max(now - at, 0) / 1000) * perSecond)
      buckets.delete(name) // and in again, as the latest
      buckets.set(name, { left: filled < 1 ? filled : filled - 1, at: now })
      const [oldest] = buckets.keys()
      if (buckets.size > remembered && oldest !== undefined) buckets.delete(oldest)
      return filled < 1 ? Math.ceil((1 - filled) / perSecond) : 0
    },
  }
}

export type RateLimits = ReturnType<typeof makeLimits>

/** Strangers count by address, callers by token: whoever floods an address locks out nobody who has a token behind it. */
export function makeLimits(rates: Rates) {
  const [addresses, tokens] = [rateLimiter(rates.address), rateLimiter(rates.token)]
  return {
    /** For who is not known. @throws TooManyRequests */
    stranger({ env }: Context<Api>): void {
      const address = networkOf(env?.sourceIp)
      if (address === undefined) return // asked without a gateway
      const seconds = addresses.take(address)
      if (seconds > 0) throw new TooManyRequests(`The address ${address}`, rates.address, seconds)
    },
    /** For a caller. Cancelling has a count of its own: who asks too often for something else can still do it. */
    caller({ req }: Context<Api>, name: string): void {
      const isCancel = req.method === 'POST' && req.path.endsWith('/cancel')
      const seconds = tokens.take(isCancel ? `cancel ${name}` : name)
      if (seconds > 0) throw new TooManyRequests(`The token "${name}"`, rates.token, seconds)
    },
  }
}

/** Who sends no token is counted before anything else is looked at, and who sends one to where nobody asks for it. */
export function limitStrangers(limits: RateLimits): MiddlewareHandler<Api> {
  return async (context, next) => {
    if (!isToBeKnown(context)) limits.stranger(context)
    await next()
  }
}

/** Where nobody is asked for a token. */
const open = ['/v1/openapi.json', '/v1/next-reset']

/** Whether the request goes on to where a token is looked for, and counted. */
function isToBeKnown({ req }: Context<Api>): boolean {
  if (req.header('authorization') === undefined) return false // also of what is no request, which has no headers here
  return req.path.startsWith('/v1/') && !open.includes(req.path) && req.method !== 'OPTIONS'
}

/** Of IPv6 the network: whoever has one address has 2⁶⁴ of them. One of IPv4 may be written as one of IPv6. */
function networkOf(address: string | undefined): string | undefined {
  if (address === undefined || !address.includes(':')) return address
  if (address.includes('.')) return address.slice(address.lastIndexOf(':') + 1)
  const [front = '', back] = address.split('::')
  const groups = (text: string | undefined) => (text ? text.split(':') : [])
  const [before, after] = [groups(front), groups(back)]
  const zeros = Array.from({ length: Math.max(8 - before.length - after.length, 0) }, () => '0')
  return `${[...before, ...zeros, ...after].slice(0, 4).join(':')}::/64`
}
