import { createHash, createHmac } from 'node:crypto'

/** Who signs, and for what: `scope` is `20261126/eu-central-1/s3/aws4_request`. */
export type Signer = { accessKeyId: string; secretAccessKey: string; scope: string }

/** A request without a body, its path and query encoded as they are sent, and headers by their names in lower case. */
export type Unsigned = { method: string; path: string; query: string; headers: Record<string, string> }

const algorithm = 'AWS4-HMAC-SHA256'

/**
 * The Authorization header of a request to S3 by Signature Version 4, over all of its headers: written from the
 * specification, to compare with.
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
export function authorizationOf({ accessKeyId, ...key }: Signer, { method, path, query, headers }: Unsigned) {
  const names = Object.keys(headers).sort()
  const signed = names.join(';')
  const lines = names.map((name) => `${name}:${headers[name]?.trim().replace(/\s+/g, ' ')}\n`).join('')
  const canonical = `${method}\n${path}\n${query}\n${lines}\n${signed}\n${headers['x-amz-content-sha256']}`
  const text = `${algorithm}\n${headers['x-amz-date']}\n${key.scope}\n${createHash('sha256').update(canonical).digest('hex')}`
  const signature = hmac(keyOf(key), text).toString('hex')
  return `${algorithm} Credential=${accessKeyId}/${key.scope}, SignedHeaders=${signed}, Signature=${signature}`
}

function keyOf({ secretAccessKey, scope }: Omit<Signer, 'accessKeyId'>): Buffer {
  return scope.split('/').reduce(hmac, Buffer.from(`AWS4${secretAccessKey}`))
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
