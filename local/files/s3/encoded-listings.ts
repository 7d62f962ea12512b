import type { buildApp } from 'fauxqs'
import { unescapeXml } from './xml.ts'

const ENCODED = /<(Key|Prefix|Delimiter|StartAfter|Marker|NextMarker)>(.*?)<\/\1>/gs

/** `EncodingType: url`, without which keys with control characters make a listing that is no XML. */
export function encodeListings(app: ReturnType<typeof buildApp>): void {
  app.addHook('onSend', (request, _reply, payload, done) => {
    const wanted = (request.query as Record<string, string>)['encoding-type'] === 'url'
    if (!wanted || request.method !== 'GET' || typeof payload !== 'string') return done(null, payload)
    const encoded = payload
      .replaceAll(ENCODED, (_, name, text) => `<${name}>${encode(unescapeXml(text))}</${name}>`)
      .replace('</ListBucketResult>', '<EncodingType>url</EncodingType></ListBucketResult>')
    done(null, encoded)
  })
}

/** As a form is encoded, but "/" stays. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll('%2F', '/').replaceAll('%20', '+')
}
