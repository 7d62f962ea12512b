import type { MiddlewareHandler } from 'hono'
import { BodyTooLarge } from '../errors.ts'

/** Bytes. A request that preserves a thousand names has less. */
const maxBytes = 64 * 1024

/** The gateway lets 10 MB through, and has them in memory already; here they are only not parsed. */
export const limitBody: MiddlewareHandler = async ({ req }, next) => {
  const { byteLength } = await req.arrayBuffer()
  if (byteLength > maxBytes) {
    throw new BodyTooLarge(
      `The body has ${byteLength} bytes, more than the ${maxBytes} that are read. Nothing was touched; send less`,
    )
  }
  await next()
}
