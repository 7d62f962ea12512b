import type { OpenAPIHono } from '@hono/zod-openapi'
import { toolVersion } from '../version.ts'
import type { Api } from './route.ts'

const description = `Resets an application's Postgres, files and cache after a backup that was proved to restore, and puts it back.

A run is started with POST /v1/runs and watched with GET /v1/runs/{runId}. What wipes, restores or deletes wants the
environment's name in \`confirm\`. Errors are problem documents (RFC 9457): \`title\` is the error's name, \`detail\` says what
failed, why, and what to do; docs/operations.md has a paragraph on each.`

/** OpenAPI 3.1, made from the schemas that the routes check with. */
export function openApiDocument(app: OpenAPIHono<Api>) {
  app.openAPIRegistry.registerComponent('securitySchemes', 'token', { type: 'http', scheme: 'bearer' })
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'taskmaster-reset', version: toolVersion, description },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
  })
}
