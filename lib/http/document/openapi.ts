import type { OpenAPIHono } from '@hono/zod-openapi'
import { toolVersion } from '../../version.ts'
import type { Api } from '../api.ts'
import { headers } from './headers.ts'

const description = `Resets an application's Postgres, files and cache after a backup that was proved to restore, and puts it back.

A run is started with POST /v1/runs and watched with GET /v1/runs/{runId}. What wipes, restores or deletes wants the
environment's name in \`confirm\`.

Errors are problem documents (RFC 9457): \`title\` is the error's name, \`detail\` says what failed, why, and what to do, and
\`type\` is an address of this service with the runbook's paragraph on it. A method that an address does not take is answered
405 with \`Allow\`; OPTIONS says the same without a token, and HEAD is GET without the body. What the gateway in front refuses
by itself (too many requests in all, a body above 10 MB, no answer within 30 s) is JSON with a \`message\` alone.`

const tags = [
  { name: 'Runs', description: 'Backups, resets, restores and the like: started, watched, cancelled' },
  { name: 'Backups', description: 'What is sealed and can be put back' },
  { name: 'Environment', description: 'What the token may do, and what there is to reset' },
  { name: 'Documentation', description: 'This document and the runbook; no token is needed' },
]

/** OpenAPI 3.1, made from the schemas that the routes check with. @see docs/decisions.md#the-document-is-made-by-the-build */
export function openApiDocument(app: OpenAPIHono<Api>) {
  const { openAPIRegistry: registry } = app
  registry.registerComponent('securitySchemes', 'token', {
    type: 'http',
    scheme: 'bearer',
    description: 'A token that `npm run -s cli -- token <name> --scopes …` made',
  })
  for (const [name, header] of Object.entries(headers)) registry.registerComponent('headers', name, header)
  const document = app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'taskmaster-reset',
      version: toolVersion,
      description,
      license: { name: 'MIT', url: 'https://opensource.org/license/mit' },
      contact: { name: 'Whoever operates this environment' },
    },
    servers: [{ url: '/', description: 'Where this document came from' }],
    security: [{ token: [] }],
    tags,
  })
  return sayDefaults(document)
}

/**
 * A value that is used when a key is left out stands in its description: of a key with `default`, generators of clients
 * believe that it is always there, and their users would have to send it.
 */
function sayDefaults<Value>(value: Value, isSchema = true): Value {
  if (Array.isArray(value)) return value.map((one) => sayDefaults(one)) as Value
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, one]) => [
    key,
    // What stands below `properties` are names, of which one may be "default"; and an example is as it is.
    key.startsWith('example') ? one : sayDefaults(one, key !== 'properties'),
  ])
  const copy = Object.fromEntries(entries)
  if (!isSchema || !('default' in copy)) return copy
  const { default: otherwise, description: said, ...rest } = copy
  const text = `${said === undefined ? '' : `${said}. `}Left out: ${JSON.stringify(otherwise)}`
  return { ...rest, description: text } as Value
}
