import { createRoute, OpenAPIHono } from '@hono/zod-openapi'
import * as z from 'zod'
import { setNames } from '../../../backup/naming/label.ts'
import { namesOf } from '../../../backup/naming/names.ts'
import { isPinned, pinBackup, unpinBackup } from '../../../backup/retention/pin.ts'
import { refuseForeign } from '../../../backup/trust.ts'
import { withConnection } from '../../../postgres/with-connection.ts'
import { Label, Note } from '../../../run/request/fields.ts'
import { forgetStatus } from '../../../run/status/status.ts'
import type { Api } from '../../api.ts'
import { requireScope } from '../../auth.ts'
import { backup as example } from '../../document/examples.ts'
import { refusals } from '../../document/refusals.ts'
import { answer, noQuery } from '../../document/route.ts'
import { backupParams, named } from '../../request/backup-name.ts'

const Changes = z
  .strictObject({
    label: Label.nullable().optional().meta({
      description:
        'Moves to it from the backup that had it; null takes away all that it has. It decides what a reset goes back to',
    }),
    note: Note.nullable().optional().meta({ description: 'null takes it away' }),
    pinned: z.boolean().optional(),
  })
  .refine((changes) => Object.keys(changes).length > 0, 'says nothing: give label, note or pinned')

const route = createRoute({
  operationId: 'changeBackup',
  method: 'patch',
  path: '/v1/backups/{backupId}',
  tags: ['Backups'],
  summary: 'Give a backup a label or a note, pin it, or take them away',
  description:
    'A label needs the scope restore, taking it away restore and delete; a note and a pin need backup, unpinning delete. What is left out stays as it is.',
  request: {
    params: backupParams,
    query: noQuery,
    body: {
      required: true,
      content: { 'application/json': { schema: Changes, example: { label: 'baseline', pinned: true } } },
    },
  },
  responses: {
    200: answer(
      'As it is now',
      z.strictObject({
        backupId: z.string(),
        labels: z.array(z.string()),
        note: z.string().nullable(),
        pinned: z.boolean(),
      }),
      { example: { backupId: example.backupId, labels: ['baseline'], note: null, pinned: true } },
    ),
    ...refusals(400, 404, 409, 413, 415, 422),
  },
})

export const backupNames = new OpenAPIHono<Api>().openapi(
  route,
  async ({ var: { clients, caller }, req, json }) => {
    const { pinned, label, note } = req.valid('json')
    if (label !== undefined) requireScope(caller, 'restore')
    if (label === null || pinned === false) requireScope(caller, 'delete')
    if (note !== undefined || pinned === true) requireScope(caller, 'backup')
    const by = `api:${caller.name}`
    const { backups: bucket, config } = clients
    const backupId = await named(clients, req.valid('param').backupId)
    await refuseForeign(clients, backupId, {})
    const pinning = { backupId, by, at: clients.now() }
    // What keeps it comes before what may be refused, and what lets it go behind that.
    if (pinned === true) await pinBackup(bucket, config.BACKUP_PREFIX, pinning)
    const names = { ...(label !== undefined && { label }), ...(note !== undefined && { note }) }
    const told = await withConnection(clients, async (connection) => {
      if (label !== undefined || note !== undefined)
        await setNames(clients, connection, { backupId, ...names, by })
      return (await namesOf(connection, [backupId])).get(backupId)
    })
    if (pinned === false) await unpinBackup(bucket, config.BACKUP_PREFIX, pinning)
    forgetStatus(clients)
    const isKept = await isPinned(bucket, config.BACKUP_PREFIX, backupId)
    const { labels = [], note: noted = null } = told ?? {}
    return json({ backupId, labels, note: noted, pinned: isKept }, 200)
  },
)
