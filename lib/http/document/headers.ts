/** Headers of answers, as the document's components. */
export const headers = {
  'X-Request-Id': {
    description: "The gateway's id of the request, which the log and each problem have too",
    required: true,
    schema: { type: 'string' },
    example: 'Nf3xJh2PliAEJwg=',
  },
  ETag: {
    description: 'Names what is answered: send it as `If-None-Match`, and the same is not sent again',
    required: true,
    schema: { type: 'string', pattern: '^"[A-Za-z0-9_-]{22}"$' },
    example: '"dBaV4Cw1b0bVYzPrWQ2mHw"',
  },
  Link: {
    description: 'The address of the next page, `rel="next"`; without it this is the last',
    required: false,
    schema: { type: 'string', pattern: '^<.+>; rel="next"$' },
    example: '</v1/runs?limit=50&before=7f9c24e5-1f0a-4b8e-9d63-0c1b1a2d3e4f>; rel="next"',
  },
  Location: {
    description: 'The address of the run',
    required: true,
    schema: { type: 'string', pattern: '^/v1/runs/' },
    example: '/v1/runs/7f9c24e5-1f0a-4b8e-9d63-0c1b1a2d3e4f',
  },
  'Idempotency-Replayed': {
    description:
      'An earlier request with this key had started the run. Of requests at the same moment none may say it',
    required: false,
    schema: { type: 'string', pattern: '^true$' },
    example: 'true',
  },
  'Retry-After': {
    description: 'Seconds after which the same request may be answered otherwise',
    required: true,
    schema: { type: 'string', pattern: '^[1-9][0-9]*$' },
    example: '10',
  },
  'Access-Control-Allow-Origin': {
    description: 'Pages of every origin may read it',
    required: true,
    schema: { type: 'string', pattern: '^[*]$' },
    example: '*',
  },
  'WWW-Authenticate': {
    description: 'How to get in (RFC 6750)',
    required: true,
    schema: { type: 'string', pattern: '^Bearer realm="taskmaster-reset"' },
    example: 'Bearer realm="taskmaster-reset", error="insufficient_scope", scope="reset"',
  },
} as const
export type Header = keyof typeof headers

/** References to the components; one that an answer need not have is written out. */
export function withHeaders(...names: Header[]) {
  const all: Header[] = ['X-Request-Id', ...names]
  return Object.fromEntries(all.map((name) => [name, { $ref: `#/components/headers/${name}` }]))
}
