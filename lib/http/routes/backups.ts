import { createRoute, OpenAPIHono } from '@hono/zod-openapi'
import * as z from 'zod'
import { listedBackup } from '../../backup/list.ts'
import { isPinned, pinBackup, unpinBackup } from '../../backup/retention/pin.ts'
import { refuseForeign } from '../../backup/trust.ts'
import type { Clients } from '../../clients.ts'
import { InvalidRequest } from '../../errors.ts'
import { forgetStatus } from '../../run/status/status.ts'
import { BackupDetails, type BackupPart } from '../answers/backup.ts'
import { linkToNext } from '../answers/pages.ts'
import { abridged, answerBytes, fitting } from '../answers/size.ts'
import type { Api } from '../api.ts'
import { requireScope, scoped } from '../auth.ts'
import * as examples from '../document/examples.ts'
import { refusals } from '../document/refusals.ts'
import { answer, ifNoneMatch, noQuery, unchanged } from '../document/route.ts'
import { beginning } from '../errors.ts'
import { backupAsNoted, backupParams, named, namesFor, reasonsFor } from '../request/backup-name.ts'
import { revalidated } from '../request/etag.ts'
import { partsOf } from './parts.ts'

const allowForeign = { description: 'For a backup of another environment, which is refused otherwise' }
const Pin = z.strictObject({ pinned: z.boolean(), allowForeign: z.boolean().optional().meta(allowForeign) })

const get = createRoute({
  operationId: 'getBackup',
  method: 'get',
  path: '/v1/backups/{backupId}',
  tags: ['Backups'],
  summary: 'Look at what a backup holds, and at the objects that can be downloaded',
  description: 'Needs the scope read. A backup of very many objects comes in pages of them.',
  middleware: [scoped('read'), revalidated],
  request: {
    params: backupParams,
    headers: ifNoneMatch,
    query: z.strictObject({
      after: z
        .string()
        .min(1)
        .max(1024)
        .optional()
        .meta({ description: '`next` of the page before: `parts` begin after that one' }),
      kept: z.stringbool().default(false).meta({
        type: 'boolean',
        description: 'Tell why the retention keeps it, for which all manifests are read',
      }),
    }),
  },
  responses: {
    200: answer('The backup', BackupDetails, { has: ['ETag', 'Link'], example: examples.backupDetails }),
    304: unchanged,
    ...refusals(400, 404, 409, 422),
  },
})

const pin = createRoute({
  operationId: 'pinBackup',
  method: 'put',
  path: '/v1/backups/{backupId}/pin',
  tags: ['Backups'],
  summary: 'Keep a backup from being deleted, or no longer',
  description: 'Pinning needs the scope backup, unpinning delete.',
  request: {
    params: backupParams,
    query: noQuery,
    body: { required: true, content: { 'application/json': { schema: Pin, example: { pinned: true } } } },
  },
  responses: {
    200: answer('As it is now', z.strictObject({ backupId: z.string(), pinned: z.boolean() }), {
      example: { backupId: examples.backup.backupId, pinned: true },
    }),
    ...refusals(400, 404, 409, 413, 415, 422),
  },
})

export const backups = new OpenAPIHono<Api>()
  .openapi(get, async ({ var: { clients }, req, json }) => {
    const { bucket, prefix } = placeOf(clients)
    const backupId = await named(clients, req.valid('param').backupId)
    const found = await backupAsNoted(clients, backupId)
    const tables = (found.database?.tables ?? []).map(({ name, rows, parts }) => ({
      name,
      rows,
      bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
    }))
    const { after, kept } = req.valid('query')
    const [pinned, parts, names, keeps] = await Promise.all([
      isPinned(bucket, prefix, backupId),
      partsOf(bucket, prefix, found),
      namesFor(clients, [backupId]),
      kept ? reasonsFor(clients) : undefined,
    ])
    const { preserved, warnings } = found
    const page = pageOfParts(parts, after)
    const next = { after: page.next }
    const told = {
      ...listedBackup(found),
      pinned,
      ...names(backupId),
      kept: keeps?.get(backupId) ?? null,
      tables,
      preserved,
      warnings,
    }
    return json({ ...abridged(told, answerBytes / 2), ...page }, 200, linkToNext(req.url, next))
  })
  .openapi(pin, async ({ var: { clients, caller }, req, json }) => {
    const { pinned, allowForeign } = req.valid('json')
    requireScope(caller, pinned ? 'backup' : 'delete')
    const { bucket, prefix } = placeOf(clients)
    const backupId = await named(clients, req.valid('param').backupId)
    await refuseForeign(clients, backupId, { allowForeign })
    const change = pinned ? pinBackup : unpinBackup
    await change(bucket, prefix, { backupId, by: `api:${caller.name}`, at: clients.now() })
    forgetStatus(clients)
    return json({ backupId, pinned }, 200)
  })

/** @throws InvalidRequest when the backup has no part `after` which the page could begin */
function pageOfParts(parts: readonly BackupPart[], after: string | undefined) {
  const at = parts.findIndex(({ part }) => part === after)
  if (after !== undefined && at === -1) {
    throw new InvalidRequest(
      `after: the backup names no object ${JSON.stringify(beginning(after))}. Take it from \`next\` of the page before, or leave it out to begin with the first`,
    )
  }
  const rest = parts.slice(at + 1)
  const page = fitting(rest, answerBytes / 2)
  return { parts: page, next: rest.length > page.length ? (page.at(-1)?.part ?? null) : null }
}

function placeOf({ backups, config }: Clients) {
  return { bucket: backups, prefix: config.BACKUP_PREFIX }
}
