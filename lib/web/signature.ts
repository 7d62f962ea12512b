import { createHmac } from 'node:crypto'

/**
 * The headers by which a receiver knows that a call is ours and of now: HMAC-SHA-256 over the time (seconds since 1970), a
 * dot and the body, with the secret as it is written. Who receives compares, and refuses times that are minutes away.
 */
export function signed(secret: string, body: string, now: Date): Record<string, string> {
  const time = Math.floor(now.getTime() / 1000).toString()
  const hmac = createHmac('sha256', secret).update(`${time}.${body}`).digest('hex')
  return { 'x-taskmaster-time': time, 'x-taskmaster-signature': `v1=${hmac}` }
}
