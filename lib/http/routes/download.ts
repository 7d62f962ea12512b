import { createRoute, OpenAPIHono } from '@hono/zod-openapi'
import * as z from 'zod'
import type { Api } from '../api.ts'
import { scoped } from '../auth.ts'
import { refusals } from '../document/refusals.ts'
import { answer } from '../document/route.ts'
import { backupParams, named } from '../request/backup-name.ts'
import { presignPart } from './parts.ts'

const route = createRoute({
  operationId: 'downloadPart',
  method: 'get',
  path: '/v1/backups/{backupId}/parts/{part}',
  tags: ['Backups'],
  summary: 'Get an address from which one object of a backup can be downloaded',
  description: 'Needs the scope restore. The address is good for five minutes, for whoever has it.',
  middleware: scoped('restore'),
  request: {
    params: backupParams.extend({
      part: z.string().min(1).max(1024).meta({
        description: "As the backup's `parts` name it, percent-encoded; `files/<path>` is the copy of a file",
        example: 'manifest.json',
      }),
    }),
    query: z.strictObject({
      allowForeign: z.stringbool().optional().meta({
        type: 'boolean',
        description: 'For a backup of another environment, which is refused otherwise',
      }),
    }),
  },
  responses: {
    200: answer(
      'Whoever has the address can read the object',
      z.strictObject({ url: z.url(), expiresAt: z.iso.datetime() }),
      {
        example: {
          url: 'https://taskmaster-staging-backups.s3.eu-central-1.amazonaws.com/.taskmaster/backups/2026-11-22T19-05-33Z-3f9a2c/manifest.json?X-Amz-Expires=300',
          expiresAt: '2026-11-22T19:10:33.000Z',
        },
      },
    ),
    ...refusals(400, 404, 409, 422),
  },
})

/** `{.+}`: gateways differ in whether they decode the slashes of a part before we see it. */
const routed = { ...route, path: '/v1/backups/{backupId}/parts/{part}{.+}', hide: true } as const

export const download = new OpenAPIHono<Api>().openapi(routed, async ({ var: { clients }, req, json }) => {
  const { part, backupId: name } = req.valid('param')
  const backupId = await named(clients, name)
  const { pathname } = new URL(req.url) // req.path is decoded in part
  const asSent = pathname.slice(pathname.indexOf('/parts/') + '/parts/'.length)
  const { url, expiresAt } = await presignPart(clients, {
    backupId,
    names: [part, asSent],
    ...req.valid('query'),
  })
  return json({ url, expiresAt }, 200)
})
download.openAPIRegistry.registerPath(route)
