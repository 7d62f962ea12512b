import type { buildApp } from 'fauxqs'
import { currentObject, type Store } from './store.ts'
import { errorBody, escapeXml, unescapeXml } from './xml.ts'

type App = ReturnType<typeof buildApp>
type Addressed = {
  bucket: string
  key: string
  headers: Record<string, unknown>
  query: Record<string, string>
}

/**
 * Makes fauxqs answer 412 where S3 does: `If-None-Match: *` and `If-Match` on writes, `If-Match` on a deletion, the ETag
 * of a copy's source, and the ETag of each key of DeleteObjects. The look and the act are one step of this process.
 */
export function keepConditions(app: App, store: Store): void {
  const refusedDeletions = new WeakMap<object, string[]>()

  app.addHook('preHandler', (request, reply, done) => {
    const { bucket = '', '*': key = '' } = request.params as Record<string, string>
    const query = request.query as Record<string, string>
    if (!holds({ bucket, key, headers: request.headers, query }, request.method, store)) {
      reply.code(412).header('content-type', 'application/xml').send(errorBody('PreconditionFailed'))
      return
    }
    if (request.method === 'POST' && 'delete' in query && Buffer.isBuffer(request.body)) {
      const { kept, refused } = splitDeletions(request.body.toString(), bucket, store)
      request.body = Buffer.from(kept)
      refusedDeletions.set(request, refused)
    }
    done()
  })

  app.addHook('onSend', (request, _reply, payload, done) => {
    const refused = refusedDeletions.get(request) ?? []
    if (refused.length === 0 || typeof payload !== 'string') return done(null, payload)
    done(
      null,
      payload.replace('</DeleteResult>', () => `${refused.join('')}</DeleteResult>`),
    )
  })
}

function holds({ bucket, key, headers, query }: Addressed, method: string, store: Store): boolean {
  const completes = method === 'POST' && 'uploadId' in query
  const writes = (method === 'PUT' && !('partNumber' in query)) || completes
  const present = key === '' ? undefined : currentObject(store, bucket, key)
  if (writes && headers['if-none-match'] === '*' && present) return false
  const match = headers['if-match']
  if (writes && match !== undefined && !sameEtag(present?.etag, match)) return false
  // What is gone already counts as deleted.
  if (method === 'DELETE' && match !== undefined && present && !sameEtag(present.etag, match)) return false
  return method !== 'PUT' || sourceHolds(headers, store)
}

function sourceHolds(headers: Record<string, unknown>, store: Store): boolean {
  const match = headers['x-amz-copy-source-if-match']
  if (match === undefined) return true
  const source = decodeURIComponent(String(headers['x-amz-copy-source'])).replace(/^\//, '')
  const [bucket = ''] = source.split('/')
  const object = currentObject(store, bucket, source.slice(bucket.length + 1))
  return object === undefined || sameEtag(object.etag, match) // A source that is gone is another error, fauxqs's to tell.
}

/** The request body without the keys whose ETag has changed, and the answer's elements for those. */
function splitDeletions(body: string, bucket: string, store: Store): { kept: string; refused: string[] } {
  const refused: string[] = []
  const kept = body.replaceAll(/<Object>.*?<\/Object>/gs, (element) => {
    const key = textOf(element, 'Key') ?? ''
    const etag = textOf(element, 'ETag')
    const present = currentObject(store, bucket, key)
    if (etag === undefined || !present || sameEtag(present.etag, etag)) {
      // Written anew, because fauxqs does not read &#x0A; and the like.
      return `<Object><Key>${escapeXml(key)}</Key></Object>`
    }
    const message = 'At least one of the pre-conditions you specified did not hold'
    refused.push(
      `<Error><Key>${escapeXml(key)}</Key><Code>PreconditionFailed</Code><Message>${message}</Message></Error>`,
    )
    return ''
  })
  return { kept, refused }
}

function textOf(element: string, name: string): string | undefined {
  const text = new RegExp(`<${name}>(.*?)</${name}>`, 's').exec(element)?.[1]
  return text === undefined ? undefined : unescapeXml(text)
}

function sameEtag(present: string | undefined, wanted: unknown): boolean {
  const bare = (etag: unknown) => String(etag).replaceAll('"', '')
  return present !== undefined && (wanted === '*' || bare(present) === bare(wanted))
}
