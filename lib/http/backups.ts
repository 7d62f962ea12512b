import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import { listBackups, summaryOf } from '../backup/list.ts'
import { Warning } from '../backup/manifest.ts'
import { isPinned, pinBackup, unpinBackup } from '../backup/pin.ts'
import { readBackup } from '../backup/read.ts'
import { refuseForeign } from '../backup/trust.ts'
import type { Clients } from '../clients.ts'
import { requireScope, scoped } from './auth.ts'
import { partsOf } from './parts.ts'
import { type Api, answer, noQuery, refusals } from './route.ts'

const count = z.int().nonnegative()

const backup = {
  backupId: z.string().meta({ example: '2026-11-22T19-05-33Z-3f9a2c' }),
  environment: z.string(),
  strategy: z.string(),
  startedAt: z.iso.datetime(),
  sealedAt: z.iso.datetime(),
  rehearsedAt: z.iso.datetime().nullable().meta({
    description:
      'When it was loaded and compared; null: never. Rows that changed after that were read back only, see `lateAttempts`',
  }),
  rows: count.nullable().meta({ description: 'null: its strategy left the database out' }),
  files: count.nullable(),
  keys: count.nullable(),
  bytes: count.meta({ description: 'As stored: database and cache compressed' }),
  consistency: z.enum(['snapshot', 'reconciled']).nullable(),
  lateAttempts: count.meta({
    description: 'Above 0: rows changed between the backup and the wipe, and were added to it',
  }),
  authentic: z.enum(['signed', 'unsigned', 'unknown key']).meta({
    description:
      'Whether a key of this environment signed it; what is not signed, anybody with the bucket may have made',
  }),
  pinned: z.boolean(),
}
export const Backup = z.strictObject(backup).openapi('Backup')
export type Backup = z.output<typeof Backup>

export const BackupDetails = z
  .strictObject({
    ...backup,
    tables: z.array(z.strictObject({ name: z.string(), rows: count, bytes: count })),
    parts: z.array(
      z.strictObject({
        part: z.string().meta({ example: 'database/public.users/00000.jsonl.zst' }),
        bytes: count,
        rows: count.nullable(),
        kind: z.enum(['database', 'files', 'cache', 'manifest']),
      }),
    ),
    preserved: z.strictObject({
      tables: z.array(z.string()),
      rows: z.record(z.string(), z.string()),
      files: z.array(z.string()),
      keys: z.array(z.string()),
    }),
    warnings: z.array(Warning),
  })
  .openapi('BackupDetails')
export type BackupDetails = z.output<typeof BackupDetails>

const allowForeign = { description: 'For a backup of another environment, which is refused otherwise' }
const Pin = z.strictObject({ pinned: z.boolean(), allowForeign: z.boolean().optional().meta(allowForeign) })

export const backupParams = z.object({ backupId: z.string().min(1).max(100) })

const list = createRoute({
  operationId: 'listBackups',
  method: 'get',
  path: '/v1/backups',
  summary: 'The sealed backups, newest first',
  middleware: scoped('read'),
  request: { query: noQuery },
  responses: {
    200: answer(
      'The backups, and those whose manifest cannot be understood',
      z.strictObject({
        backups: z.array(Backup),
        unreadable: z.array(z.strictObject({ backupId: z.string(), reason: z.string() })),
      }),
    ),
    ...refusals(400),
  },
})

const get = createRoute({
  operationId: 'getBackup',
  method: 'get',
  path: '/v1/backups/{backupId}',
  summary: 'What a backup holds, and the objects that can be downloaded',
  middleware: scoped('read'),
  request: { params: backupParams, query: noQuery },
  responses: { 200: answer('The backup', BackupDetails), ...refusals(400, 404, 422) },
})

const pin = createRoute({
  operationId: 'pinBackup',
  method: 'put',
  path: '/v1/backups/{backupId}/pin',
  summary: 'Keeps a backup from being deleted (scope backup), or no longer (scope delete)',
  request: {
    params: backupParams,
    query: noQuery,
    body: { required: true, content: { 'application/json': { schema: Pin } } },
  },
  responses: {
    200: answer('As it is now', z.strictObject({ backupId: z.string(), pinned: z.boolean() })),
    ...refusals(400, 404, 409, 413, 415, 422),
  },
})

export const backups = new OpenAPIHono<Api>()
  .openapi(list, async ({ var: { clients }, json }) => {
    const { storage, prefix } = placeOf(clients)
    return json(await listBackups(storage, prefix), 200)
  })
  .openapi(get, async ({ var: { clients }, req, json }) => {
    const { storage, prefix } = placeOf(clients)
    const { backupId } = req.valid('param')
    const found = await readBackup(storage, prefix, backupId)
    const tables = (found.database?.tables ?? []).map(({ name, rows, parts }) => ({
      name,
      rows,
      bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
    }))
    const [pinned, parts] = await Promise.all([
      isPinned(storage, prefix, backupId),
      partsOf(storage, prefix, found),
    ])
    const { preserved, warnings } = found
    return json({ ...summaryOf(found), pinned, tables, parts, preserved, warnings }, 200)
  })
  .openapi(pin, async ({ var: { clients, caller }, req, json }) => {
    const { pinned, allowForeign } = req.valid('json')
    requireScope(caller, pinned ? 'backup' : 'delete')
    const { storage, prefix } = placeOf(clients)
    const { backupId } = req.valid('param')
    await refuseForeign(clients, backupId, { allowForeign })
    const change = pinned ? pinBackup : unpinBackup
    await change(storage, prefix, { backupId, by: `api:${caller.name}`, at: clients.now() })
    return json({ backupId, pinned }, 200)
  })

function placeOf({ backups, config }: Clients) {
  return { storage: backups, prefix: config.BACKUP_PREFIX }
}
