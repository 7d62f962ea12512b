import { createHmac, hash } from 'node:crypto'

/** Who signs, as the SDK's client knows it. */
export type Identity = { accessKeyId: string; secretAccessKey: string; sessionToken?: string | undefined }

/** A request without a body; path and query encoded as they are sent, headers by their names in lower case. */
type Unsigned = { method: string; path: string; query: string; headers: Record<string, string> }

const algorithm = 'AWS4-HMAC-SHA256'
const bodiless = hash('sha256', '')

/** The last key that was made: it holds for a day, a region and a secret. */
let made: { of: string; key: Buffer } = { of: '', key: Buffer.alloc(0) }

/**
 * The headers of a request to S3 with Signature Version 4 over all of them. The SDK's signer makes the same, and derives its
 * key, and builds its objects, for every request anew: half of what a copy costs.
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
export function signedHeaders(
  { method, path, query, headers }: Unsigned,
  { identity, region, now }: { identity: Identity; region: string; now: number },
): Record<string, string> {
  const time = new Date(now).toISOString().replace(/[-:]|\.\d{3}/g, '')
  const scope = `${time.slice(0, 8)}/${region}/s3/aws4_request`
  const all: Record<string, string> = {
    ...headers,
    'x-amz-content-sha256': bodiless,
    'x-amz-date': time,
    ...(identity.sessionToken === undefined ? {} : { 'x-amz-security-token': identity.sessionToken }),
  }
  const names = Object.keys(all).sort()
  const list = names.join(';')
  let canonical = `${method}\n${path}\n${query}\n`
  for (const name of names) canonical += `${name}:${all[name]?.trim().replace(/\s+/g, ' ')}\n`
  canonical += `\n${list}\n${bodiless}`
  const text = `${algorithm}\n${time}\n${scope}\n${hash('sha256', canonical)}`
  const signature = createHmac('sha256', keyOf(identity.secretAccessKey, scope)).update(text).digest('hex')
  all.authorization = `${algorithm} Credential=${identity.accessKeyId}/${scope}, SignedHeaders=${list}, Signature=${signature}`
  return all
}

function keyOf(secret: string, scope: string): Buffer {
  const of = `${secret}\n${scope}`
  if (made.of !== of) {
    const parts = scope.split('/')
    made = { of, key: parts.reduce<Buffer>(hmac, Buffer.from(`AWS4${secret}`)) }
  }
  return made.key
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
